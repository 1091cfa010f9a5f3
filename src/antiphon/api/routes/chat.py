"""`POST /v1/chat/completions`."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.decode import ChatCall, decode_chat
from antiphon.api.encode import AnswerShape
from antiphon.api.exchange import Exchange, exchange_of
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.options import ApiOptions
from antiphon.api.presence import while_present
from antiphon.api.streaming import EventStream, whole_answer
from antiphon.service.completion import Completion
from antiphon.service.completions import Completions
from antiphon.service.models import ModelRegistry
from antiphon.service.stored import StoredCompletions

logger = logging.getLogger(__name__)

MAX_IGNORED_NAMES = 16
MAX_IGNORED_NAME = 64


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
        _announce((*call.ignored, "store") if in_vain else call.ignored, exchange)
        shape = _shape(call, self._options)
        if call.stream:
            opening = self._open(call, exchange)
            completion = await while_present(request.receive, self._lifecycle, opening)
            return EventStream(completion, shape, self._lifecycle, self._options.ping_interval)
        answer = self._whole(call, shape, exchange)
        return JsonResponse(await while_present(request.receive, self._lifecycle, answer))

    async def _whole(self, call: ChatCall, shape: AnswerShape, exchange: Exchange) -> object:
        return await whole_answer(await self._open(call, exchange), shape)

    async def _open(self, call: ChatCall, exchange: Exchange) -> Completion:
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


def _announce(ignored: tuple[str, ...], exchange: Exchange) -> None:
    """Name the fields without effect in the answer's header and in the log."""
    if not ignored:
        return
    names = [_header_safe(name) for name in ignored[:MAX_IGNORED_NAMES]]
    if len(ignored) > MAX_IGNORED_NAMES:
        names.append("...")
    exchange.headers["x-antiphon-ignored"] = ", ".join(names)
    logger.info("fields without effect: request=%s fields=%s", exchange.id, ",".join(names))


def _header_safe(name: str) -> str:
    """A client's word with nothing in it that could break a header, a list or a log line."""
    kept = name[:MAX_IGNORED_NAME]
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "?" for letter in kept
    )
