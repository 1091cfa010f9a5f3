"""`/v1/responses`: answer, retrieve, delete, and list what was answered."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.errors import IdNotFound
from antiphon.api.exchange import Exchange, exchange_of
from antiphon.api.ignored import announce
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.options import ApiOptions
from antiphon.api.presence import while_present
from antiphon.api.responses.decode import ResponseCall, decode_response
from antiphon.api.responses.encode import ResponseEncoder, ResponseHead
from antiphon.api.responses.items import conversation_of
from antiphon.api.responses.stored import (
    bare_id,
    context_of,
    input_items,
    keeping_of,
    stored_response,
)
from antiphon.api.responses.streaming import ResponseEvents, spell_param
from antiphon.api.stored import behind, list_object
from antiphon.api.streaming import EventStream, collect, random_text
from antiphon.api.wire.query import read_limit, read_order
from antiphon.core.errors import StoredNotFound, UnsupportedParameter
from antiphon.core.stored import StoredCompletion
from antiphon.service.answer import Answer
from antiphon.service.completions import Completions
from antiphon.service.models import ModelRegistry
from antiphon.service.stored import StoredCompletions


class ResponseRoutes:
    """Responses over HTTP."""

    def __init__(
        self,
        completions: Completions,
        stored: StoredCompletions | None,
        models: ModelRegistry,
        lifecycle: Lifecycle,
        options: ApiOptions,
    ) -> None:
        """Answer with these services; without `stored`, nothing is stored, and who asked for it is told."""
        self._completions = completions
        self._stored = stored
        self._models = models
        self._lifecycle = lifecycle
        self._options = options

    async def create(self, request: Request) -> Response:
        """Answer items, streamed or whole."""
        self._lifecycle.check_open()
        exchange = exchange_of(request.scope)
        exchange.spell_param = spell_param
        call = decode_response(await read_json(request, self._options), self._models, self._options)
        in_vain = call.store is True and self._stored is None
        announce((*call.ignored, "store") if in_vain else call.ignored, exchange)
        if call.stream:
            opening = self._open(call, exchange)
            answer = await while_present(request.receive, self._lifecycle, opening)
            encoder = ResponseEncoder(self._head(call, answer), random_text if call.obfuscate else None)
            return EventStream(answer, ResponseEvents(encoder), self._lifecycle, self._options.ping_interval)
        whole = self._whole(call, exchange)
        return JsonResponse(await while_present(request.receive, self._lifecycle, whole))

    async def retrieve(self, request: Request) -> Response:
        """A stored one."""
        if request.query_params.get("stream", "false") == "true":
            raise UnsupportedParameter("stream", "A stored response is retrieved whole.")
        return JsonResponse(stored_response(await self._get(request)))

    async def delete(self, request: Request) -> Response:
        """Forget a stored one."""
        spelled = _spelled_id(request)
        try:
            await self._forget(exchange_of(request.scope).project, bare_id(spelled))
        except StoredNotFound:
            raise IdNotFound("Response", spelled) from None
        return JsonResponse({"id": spelled, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        """A page of the items that a stored one answered, newest first unless asked for otherwise."""
        asked = request.query_params
        limit, order = read_limit(asked), read_order(asked, "desc")
        items = input_items(await self._get(request))
        if order == "desc":
            items.reverse()
        rest = behind("Item", items, asked.get("after"))
        return JsonResponse(list_object(rest[:limit], has_more=len(rest) > limit))

    async def _whole(self, call: ResponseCall, exchange: Exchange) -> object:
        answer = await self._open(call, exchange)
        encoder = ResponseEncoder(self._head(call, answer))
        await collect(answer, encoder.push)
        return encoder.response()

    async def _open(self, call: ResponseCall, exchange: Exchange) -> Answer:
        context = await context_of(call, lambda bare: self._find(exchange.project, bare))
        request = replace(call.request, messages=conversation_of(call.instructions, context.items))
        if not self._keeps(call) or self._stored is None:
            return await self._completions.open(request, exchange.project)
        keeping = keeping_of(call, context, exchange.project, exchange.id)
        return await self._stored.open(self._completions, request, keeping)

    def _keeps(self, call: ResponseCall) -> bool:
        return self._stored is not None and call.store is not False

    def _head(self, call: ResponseCall, answer: Answer) -> ResponseHead:
        return ResponseHead(
            answer.id,
            answer.created,
            answer.model,
            call.facts,
            call.metadata,
            tier=answer.tier,
            stored=self._keeps(call),
        )

    async def _get(self, request: Request) -> StoredCompletion:
        spelled = _spelled_id(request)
        try:
            return await self._find(exchange_of(request.scope).project, bare_id(spelled))
        except StoredNotFound:
            raise IdNotFound("Response", spelled) from None

    async def _forget(self, project: str, bare: str) -> None:
        if self._stored is None:
            raise StoredNotFound(bare)
        await self._stored.delete(project, bare)

    async def _find(self, project: str, bare: str) -> StoredCompletion:
        if self._stored is None:
            raise StoredNotFound(bare)
        return await self._stored.get(project, bare)


def _spelled_id(request: Request) -> str:
    parameters: dict[str, Any] = request.path_params
    return str(parameters["response_id"])
