"""`/v1/chat/completions` as a collection: list, retrieve, relabel and delete what was stored."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.encode import completion_id
from antiphon.api.exchange import exchange_of
from antiphon.api.options import ApiOptions
from antiphon.api.stored import bare_id, behind, list_object, stored_messages, stored_object
from antiphon.api.wire.query import read_limit, read_metadata_pairs, read_order
from antiphon.api.wire.reader import ABSENT, Cursor, optional
from antiphon.api.wire.shapes import read_metadata
from antiphon.core.errors import MissingParameter
from antiphon.core.stored import StoredQuery
from antiphon.service.stored import StoredCompletions


class StoredRoutes:
    """The caller's stored completions over HTTP."""

    def __init__(self, stored: StoredCompletions, options: ApiOptions) -> None:
        """Offer what is kept there."""
        self._stored = stored
        self._options = options

    async def list(self, request: Request) -> Response:
        """A page of them."""
        asked = request.query_params
        after = asked.get("after")
        query = StoredQuery(
            model=asked.get("model"),
            metadata=read_metadata_pairs(asked),
            after=None if after is None else bare_id(after),
            limit=read_limit(asked),
            order=read_order(asked),
        )
        page = await self._stored.list(_project(request), query)
        data = [stored_object(stored) for stored in page.completions]
        return JsonResponse(list_object(data, has_more=page.has_more))

    async def retrieve(self, request: Request) -> Response:
        """One of them."""
        return JsonResponse(stored_object(await self._stored.get(_project(request), _id(request))))

    async def update(self, request: Request) -> Response:
        """Replace the metadata of one; null clears it."""
        metadata = Cursor(await read_json(request, self._options)).field("metadata")
        if metadata.value is ABSENT:
            raise MissingParameter(metadata.path)
        labels = optional(metadata, read_metadata, dict[str, str]())
        stored = await self._stored.set_metadata(_project(request), _id(request), labels)
        return JsonResponse(stored_object(stored))

    async def delete(self, request: Request) -> Response:
        """Forget one."""
        id = _id(request)
        await self._stored.delete(_project(request), id)
        return JsonResponse({"object": "chat.completion.deleted", "id": completion_id(id), "deleted": True})

    async def messages(self, request: Request) -> Response:
        """A page of the messages that one answered."""
        asked = request.query_params
        limit, order = read_limit(asked), read_order(asked)
        messages = stored_messages(await self._stored.get(_project(request), _id(request)))
        if order == "desc":
            messages.reverse()
        rest = behind("Message", messages, asked.get("after"))
        return JsonResponse(list_object(rest[:limit], has_more=len(rest) > limit))


def _project(request: Request) -> str:
    return exchange_of(request.scope).project


def _id(request: Request) -> str:
    parameters: dict[str, Any] = request.path_params
    return bare_id(parameters["completion_id"])
