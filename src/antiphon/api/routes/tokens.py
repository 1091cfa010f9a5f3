"""`POST /tokenize` and `POST /detokenize`."""

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse, read_json
from antiphon.api.exchange import exchange_of
from antiphon.api.ignored import announce
from antiphon.api.options import ApiOptions
from antiphon.api.tokens import decode_detokenize, decode_tokenize
from antiphon.service.models import ModelRegistry, PerModel
from antiphon.service.tokenization import Tokenization


class TokenRoutes:
    """Tokens of texts, and texts of tokens, over HTTP."""

    def __init__(
        self, tokenization: PerModel[Tokenization], models: ModelRegistry, options: ApiOptions
    ) -> None:
        """Answer with these services."""
        self._tokenization = tokenization
        self._models = models
        self._options = options

    async def tokenize(self, request: Request) -> Response:
        """The ids of a text or a conversation."""
        call = decode_tokenize(await read_json(request, self._options), self._options)
        tokenization = self._tokenization.of(call.model)
        self._note(request, call.model, call.ignored)
        if isinstance(call.subject, str):
            tokens = await tokenization.of_text(call.subject, start=call.start)
        else:
            tokens = await tokenization.of_conversation(call.subject)
        answer = {
            "tokens": tokens.ids,
            "count": len(tokens.ids),
            "max_model_len": tokens.context_length,
            "token_strs": await tokenization.spelled(tokens.ids) if call.strings else None,
        }
        return JsonResponse(answer)

    async def detokenize(self, request: Request) -> Response:
        """The text of ids."""
        body = await read_json(request, self._options)
        call = decode_detokenize(body, self._models, self._options)
        self._note(request, call.model, call.ignored)
        return JsonResponse({"prompt": await self._tokenization.of(call.model).text(call.ids)})

    def _note(self, request: Request, model: str | None, ignored: tuple[str, ...]) -> None:
        exchange = exchange_of(request.scope)
        exchange.model = self._models.resolve(model).id
        announce(ignored, exchange)
