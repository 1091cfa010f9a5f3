"""`POST /v1/chat/completions`."""

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.answering import Answering
from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.decode import ChatCall, decode_chat
from antiphon.api.encode import AnswerShape, ChunkEncoder, CompletionFold
from antiphon.api.exchange import Exchange, exchange_of
from antiphon.api.ignored import announce
from antiphon.api.options import ApiOptions
from antiphon.api.presence import while_present
from antiphon.api.streaming import (
    ChunkEvents,
    Opened,
    Opening,
    begin_stream,
    collect,
    head_of,
    random_text,
)
from antiphon.service.answer import Answer


class ChatRoutes:
    """Chat completions over HTTP."""

    def __init__(self, services: Answering) -> None:
        """Answer with these services."""
        self._services = services

    async def create(self, request: Request) -> Response:
        """Answer a conversation, streamed or whole."""
        services, exchange = self._services, exchange_of(request.scope)
        services.lifecycle.check_open()
        call = decode_chat(await read_json(request, services.options), services.models, services.options)
        exchange.model = services.models.resolve(call.request.model).id
        in_vain = call.wish is not None and services.stored is None
        announce((*call.ignored, "store") if in_vain else call.ignored, exchange)
        shape = _shape(call, services.options)
        if call.stream:
            opening = Opening(self._opened(call, shape, exchange), services.patience(call.request.model))
            ping_interval = services.options.ping_interval
            return await begin_stream(opening, request.receive, services.lifecycle, ping_interval)
        answer = self._whole(call, shape, exchange)
        return JsonResponse(await while_present(request.receive, services.lifecycle, answer))

    async def _opened(self, call: ChatCall, shape: AnswerShape, exchange: Exchange) -> Opened:
        completion = await self._open(call, exchange)
        return Opened(completion, ChunkEvents(ChunkEncoder(head_of(completion), shape, random_text)))

    async def _whole(self, call: ChatCall, shape: AnswerShape, exchange: Exchange) -> object:
        completion = await self._open(call, exchange)
        fold = CompletionFold(head_of(completion), shape)
        await collect(completion, fold.push)
        return fold.completion()

    async def _open(self, call: ChatCall, exchange: Exchange) -> Answer:
        keeping = None if call.wish is None else call.wish.of(exchange.project, exchange.id)
        return await self._services.open(call.request, exchange.project, keeping)


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
