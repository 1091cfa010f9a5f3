"""`POST /v1/chat/completions`."""

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.decode import ChatCall, decode_chat
from antiphon.api.encode import AnswerShape, ChunkEncoder, CompletionFold
from antiphon.api.exchange import Exchange, exchange_of
from antiphon.api.ignored import announce
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.options import ApiOptions
from antiphon.api.presence import while_present
from antiphon.api.streaming import ChunkEvents, EventStream, collect, head_of, random_text
from antiphon.service.answer import Answer
from antiphon.service.completions import Completions
from antiphon.service.models import ModelRegistry
from antiphon.service.stored import StoredCompletions


class ChatRoutes:
    """Chat completions over HTTP."""

    def __init__(
        self,
        completions: Completions,
        stored: StoredCompletions | None,
        models: ModelRegistry,
        lifecycle: Lifecycle,
        options: ApiOptions,
    ) -> None:
        """Answer with these services; without `stored`, nothing is stored, and callers are told."""
        self._completions = completions
        self._stored = stored
        self._models = models
        self._lifecycle = lifecycle
        self._options = options

    async def create(self, request: Request) -> Response:
        """Answer a conversation, streamed or whole."""
        self._lifecycle.check_open()
        call = decode_chat(await read_json(request, self._options), self._models, self._options)
        exchange = exchange_of(request.scope)
        in_vain = call.wish is not None and self._stored is None
        announce((*call.ignored, "store") if in_vain else call.ignored, exchange)
        shape = _shape(call, self._options)
        if call.stream:
            opening = self._open(call, exchange)
            completion = await while_present(request.receive, self._lifecycle, opening)
            events = ChunkEvents(ChunkEncoder(head_of(completion), shape, random_text))
            return EventStream(completion, events, self._lifecycle, self._options.ping_interval)
        answer = self._whole(call, shape, exchange)
        return JsonResponse(await while_present(request.receive, self._lifecycle, answer))

    async def _whole(self, call: ChatCall, shape: AnswerShape, exchange: Exchange) -> object:
        completion = await self._open(call, exchange)
        fold = CompletionFold(head_of(completion), shape)
        await collect(completion, fold.push)
        return fold.completion()

    async def _open(self, call: ChatCall, exchange: Exchange) -> Answer:
        if call.wish is None or self._stored is None:
            return await self._completions.open(call.request, exchange.project)
        keeping = call.wish.of(exchange.project, exchange.id)
        return await self._stored.open(self._completions, call.request, keeping)


def _shape(call: ChatCall, options: ApiOptions) -> AnswerShape:
    request = call.request
    return AnswerShape(
        logprobs=request.top_logprobs is not None,
        include_usage=call.include_usage,
        obfuscate=call.obfuscate,
        may_call=bool(request.tools) and request.tool_choice.mode != "none",
        functions=call.functions,
        reasoning_field=options.reasoning_field,
    )
