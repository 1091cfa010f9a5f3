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
from antiphon.service.completions import Completions
from antiphon.service.models import ModelRegistry

logger = logging.getLogger(__name__)

MAX_IGNORED_NAMES = 16
MAX_IGNORED_NAME = 64


class ChatRoutes:
    """Chat completions over HTTP."""

    def __init__(
        self, completions: Completions, models: ModelRegistry, lifecycle: Lifecycle, options: ApiOptions
    ) -> None:
        """Answer with these services."""
        self._completions = completions
        self._models = models
        self._lifecycle = lifecycle
        self._options = options

    async def create(self, request: Request) -> Response:
        """Answer a conversation, streamed or whole."""
        self._lifecycle.check_open()
        call = decode_chat(await read_json(request, self._options), self._models, self._options)
        _announce(call.ignored, exchange_of(request.scope))
        shape = AnswerShape(call.request.top_logprobs is not None, call.include_usage, call.obfuscate)
        if call.stream:
            opening = self._completions.open(call.request)
            completion = await while_present(request.receive, self._lifecycle, opening)
            return EventStream(completion, shape, self._lifecycle, self._options.ping_interval)
        return JsonResponse(await while_present(request.receive, self._lifecycle, self._whole(call, shape)))

    async def _whole(self, call: ChatCall, shape: AnswerShape) -> object:
        return await whole_answer(await self._completions.open(call.request), shape)


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
