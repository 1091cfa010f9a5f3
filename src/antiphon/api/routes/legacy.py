"""`POST /v1/completions`."""

from functools import partial
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.encode import AnswerShape
from antiphon.api.exchange import exchange_of
from antiphon.api.ignored import announce
from antiphon.api.legacy.decode import TextCall, decode_text
from antiphon.api.legacy.encode import TextChunkEncoder, TextFold
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.options import ApiOptions
from antiphon.api.presence import while_present
from antiphon.api.streaming import (
    ChunkEvents,
    Opened,
    Opening,
    begin_stream,
    collect,
    error_event,
    head_of,
    patience,
    random_text,
)
from antiphon.service.answer import Answer
from antiphon.service.models import ModelRegistry, PerModel
from antiphon.service.text_completions import TextCompletions

_NAMES = MappingProxyType({"messages": "prompt"})
"""What this API calls the fields that errors of the service name."""


class LegacyRoutes:
    """Text completions over HTTP."""

    def __init__(
        self,
        texts: PerModel[TextCompletions],
        models: ModelRegistry,
        lifecycle: Lifecycle,
        options: ApiOptions,
    ) -> None:
        """Answer with these services."""
        self._texts = texts
        self._models = models
        self._lifecycle = lifecycle
        self._options = options

    async def create(self, request: Request) -> Response:
        """Continue a text or several, streamed or whole."""
        self._lifecycle.check_open()
        exchange = exchange_of(request.scope)
        exchange.spell_param = _spell_param
        call = decode_text(await read_json(request, self._options), self._models, self._options)
        exchange.model = self._models.resolve(call.request.model).id
        announce(call.ignored, exchange)
        shape = AnswerShape(call.request.top_logprobs is not None, call.include_usage, call.obfuscate)
        if call.stream:
            at_hand = self._texts.of(call.request.model).at_hand
            return await begin_stream(
                Opening(self._opened(call, shape, exchange.project), patience(at_hand, self._options)),
                request.receive,
                self._lifecycle,
                self._options.ping_interval,
                partial(error_event, spell_param=_spell_param),
            )
        whole = self._whole(call, shape, exchange.project)
        return JsonResponse(await while_present(request.receive, self._lifecycle, whole))

    async def _opened(self, call: TextCall, shape: AnswerShape, project: str) -> Opened:
        answer = await self._open(call, project)
        return Opened(answer, ChunkEvents(TextChunkEncoder(head_of(answer), shape, random_text)))

    async def _whole(self, call: TextCall, shape: AnswerShape, project: str) -> object:
        answer = await self._open(call, project)
        fold = TextFold(head_of(answer), shape)
        await collect(answer, fold.push)
        return fold.completion()

    async def _open(self, call: TextCall, project: str) -> Answer:
        return await self._texts.of(call.request.model).open(call.request, project)


def _spell_param(name: str) -> str:
    return _NAMES.get(name, name)
