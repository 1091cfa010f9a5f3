"""`/v1/responses`: answer, retrieve, delete, and list what was answered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api import sse
from antiphon.api.answering import Answering
from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.errors import answer as answer_of
from antiphon.api.exchange import Exchange, exchange_of
from antiphon.api.http_errors import IdNotFound
from antiphon.api.ignored import announce
from antiphon.api.presence import while_present
from antiphon.api.responses.decode import ResponseCall, decode_count, decode_response
from antiphon.api.responses.encode import ResponseEncoder, ResponseHead
from antiphon.api.responses.items import InputItem, conversation_of
from antiphon.api.responses.shapes import ENCODED_REASONING, read_include
from antiphon.api.responses.stored import (
    Context,
    bare_id,
    context_of,
    input_items,
    keeping_of,
    stored_events,
    stored_response,
)
from antiphon.api.responses.streaming import ResponseEvents, framed, refusal_event, spell_param
from antiphon.api.responses.truncation import fitting
from antiphon.api.stored import behind, list_object
from antiphon.api.streaming import Opened, Opening, begin_stream, collect, random_text
from antiphon.api.wire.query import included, read_limit, read_order, read_starting_after, read_switch
from antiphon.core.errors import (
    InvalidValue,
    NumberOutOfRange,
    SchemaRefused,
    StoredNotFound,
    UnsupportedParameter,
)
from antiphon.core.messages import ChatRequest
from antiphon.core.stored import StoredCompletion
from antiphon.service.answer import Answer
from antiphon.service.models import PerModel
from antiphon.service.prompts import Conversation
from antiphon.service.tokenization import Tokenization, Tokens


class ResponseRoutes:
    """Responses over HTTP."""

    def __init__(self, services: Answering, tokenization: PerModel[Tokenization] | None) -> None:
        """Answer with these services, whose store has responses only; None: nothing can be counted."""
        self._services = services
        self._tokenization = tokenization

    async def create(self, request: Request) -> Response:
        """Answer items, streamed or whole."""
        services, exchange = self._services, exchange_of(request.scope)
        services.lifecycle.check_open()
        exchange.spell_param = spell_param
        call = decode_response(await read_json(request, services.options), services.models, services.options)
        exchange.model = services.models.resolve(call.request.model).id
        in_vain = call.store is True and services.stored is None
        announce((*call.ignored, "store") if in_vain else call.ignored, exchange)
        if call.stream:
            return await begin_stream(
                Opening(self._opened(call, exchange), services.patience(call.request.model)),
                request.receive,
                services.lifecycle,
                services.options.ping_interval,
                refusal_event,
            )
        whole = self._whole(call, exchange)
        return JsonResponse(await while_present(request.receive, services.lifecycle, whole))

    async def count_input(self, request: Request) -> Response:
        """How many tokens the input would be, answered by nobody."""
        services, exchange = self._services, exchange_of(request.scope)
        exchange.spell_param = spell_param
        call = decode_count(await read_json(request, services.options), services.models, services.options)
        exchange.model = services.models.resolve(call.request.model).id
        announce(call.ignored, exchange)
        asked, _ = await self._in_context(call, exchange)
        tokens = await self._tokens(asked)
        return JsonResponse({"object": "response.input_tokens", "input_tokens": len(tokens.ids)})

    async def retrieve(self, request: Request) -> Response:
        """A stored one, whole or as the events that tell of it."""
        asked = request.query_params
        encode = ENCODED_REASONING in read_include(included(asked))
        if not read_switch(asked, "stream"):
            return JsonResponse(stored_response(await self._get(request), encode=encode))
        first = read_starting_after(asked) + 1
        obfuscate = read_switch(asked, "include_obfuscation")
        events = stored_events(await self._get(request), encode=encode, obfuscate=obfuscate)
        if first >= len(events):
            raise NumberOutOfRange("starting_after", first - 1, integer=True, maximum=len(events) - 2)
        return Response(framed(events[first:]), headers=sse.headers())

    async def cancel(self, request: Request) -> Response:
        """Nothing can be cancelled: what is stored has ended."""
        await self._get(request)
        raise InvalidValue(None, "Cannot cancel a synchronous response.", code=None)

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

    async def _opened(self, call: ResponseCall, exchange: Exchange) -> Opened:
        answer = await self._open(call, exchange)
        encoder = ResponseEncoder(self._head(call, answer), random_text if call.obfuscate else None)
        return Opened(answer, ResponseEvents(encoder))

    async def _whole(self, call: ResponseCall, exchange: Exchange) -> object:
        answer = await self._open(call, exchange)
        encoder = ResponseEncoder(self._head(call, answer))
        await collect(answer, encoder.push)
        return encoder.response()

    async def _open(self, call: ResponseCall, exchange: Exchange) -> Answer:
        request, context = await self._in_context(call, exchange)
        keeping = keeping_of(call, context, exchange.project, exchange.id) if self._keeps(call) else None
        try:
            return await self._services.open(request, exchange.project, keeping)
        except SchemaRefused as refused:
            # Here it has a code, which in chat completions it has not.
            reason = answer_of(refused).message
            raise InvalidValue("text.format.schema", reason, code="invalid_json_schema") from None

    async def _in_context(self, call: ResponseCall, exchange: Exchange) -> tuple[ChatRequest, Context]:
        """The request with the messages of its conversation: all of them, or those that fit."""
        context = await context_of(call, lambda bare: self._find(exchange.project, bare))
        request = _with_items(call, context.items)
        if call.truncate:
            request = _with_items(call, await self._shortened(call, context.items))
        return request, context

    async def _shortened(self, call: ResponseCall, items: Sequence[InputItem]) -> Sequence[InputItem]:
        """The items of a conversation, without the oldest ones where it is too long."""
        whole = await self._tokens(_with_items(call, items))
        limit = whole.context_length
        if len(whole.ids) < limit:
            return items
        room = min(call.request.max_tokens or limit // 4, limit // 2)

        async def fits(some: Sequence[InputItem]) -> bool:
            return len((await self._tokens(_with_items(call, some))).ids) <= limit - room

        return await fitting(items, fits)

    async def _tokens(self, request: ChatRequest) -> Tokens:
        if self._tokenization is None:
            raise UnsupportedParameter("truncation", "Nothing is counted on this server.")
        conversation = Conversation(request.messages, request.tools, request.template_options)
        return await self._tokenization.of(request.model).of_conversation(conversation)

    def _keeps(self, call: ResponseCall) -> bool:
        return self._services.stored is not None and call.store is not False

    def _head(self, call: ResponseCall, answer: Answer) -> ResponseHead:
        return ResponseHead(
            answer.id,
            answer.created,
            answer.model,
            call.facts,
            call.metadata,
            tier=answer.tier,
            stored=self._keeps(call),
            encoded=call.encoded,
        )

    async def _get(self, request: Request) -> StoredCompletion:
        spelled = _spelled_id(request)
        try:
            return await self._find(exchange_of(request.scope).project, bare_id(spelled))
        except StoredNotFound:
            raise IdNotFound("Response", spelled) from None

    async def _forget(self, project: str, bare: str) -> None:
        if self._services.stored is None:
            raise StoredNotFound(bare)
        await self._services.stored.delete(project, bare)

    async def _find(self, project: str, bare: str) -> StoredCompletion:
        if self._services.stored is None:
            raise StoredNotFound(bare)
        return await self._services.stored.get(project, bare)


def _with_items(call: ResponseCall, items: Sequence[InputItem]) -> ChatRequest:
    return replace(call.request, messages=conversation_of(call.instructions, items))


def _spelled_id(request: Request) -> str:
    parameters: dict[str, Any] = request.path_params
    return str(parameters["response_id"])
