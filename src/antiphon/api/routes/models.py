"""`GET /v1/models` and `GET /v1/models/{id}`.

Beside OpenAI's members a model tells its context and what its operator has set for it: `defaults`, by the
names of the fields of a chat request, and whether there is a system prompt, which itself is not told.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse
from antiphon.api.decode import stated_defaults
from antiphon.api.wire import fields
from antiphon.service.models import ModelRegistry, ServedModel


class ModelRoutes:
    """The models this server answers for, over HTTP."""

    def __init__(self, models: ModelRegistry) -> None:
        """Show this registry."""
        self._models = models

    async def list(self, request: Request) -> Response:
        """All models and aliases."""
        data = [_model_object(model) for model in self._models.list()]
        return JsonResponse({"object": "list", "data": data})

    async def retrieve(self, request: Request) -> Response:
        """One of them; its id may hold slashes, encoded or not."""
        return JsonResponse(_model_object(self._models.get(request.path_params["model_id"])))


def _model_object(model: ServedModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "antiphon",
        "root": model.alias_of or model.id,
        "parent": None,
        "alias_of": model.alias_of,
        "max_model_len": model.context_length,
        "defaults": stated_defaults(model.defaults, fields.MAX_TOKENS),
        "has_system_prompt": model.has_system_prompt,
    }
