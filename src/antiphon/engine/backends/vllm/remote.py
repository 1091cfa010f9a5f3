"""A vLLM server behind a URL: its `/v1/completions`, by token ids in both directions.

Any `vllm serve` has that route. Constraints are held there by its guidance backend, which is the library
that holds them here; what a server cannot do is found out when it is opened, and told.

What it does not do: try again. A choice whose connection breaks fails.

Source: `vllm/entrypoints/openai/completion/protocol.py` and `serving.py` of vLLM 0.32.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Final

import httpx

from antiphon.core.generation import Constraint, EngineFeature, TokenLogprob
from antiphon.engine.backends.vllm.source import Ask, Piece, SourceBusy, SourceFacts, SourceFailed
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.engine.frames import LoadVllm

_log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_SILENT_S: Final = 600.0
"""A choice may wait long in the server's queue."""
_HEALTH_S: Final = 5.0
_BUSY: Final = (429, 503)
_TOKEN: Final = "token_id:"
_PROBED_TOKENS: Final = 64
_EITHER: Final = Constraint("lark", 'start: %json {"enum": [7, 8]}')
"""Lark with a schema in it: of vLLM's grammar backends only guidance knows that."""


class RemoteVllm:
    """Implements `source.TokenSource`."""

    def __init__(
        self, load: LoadVllm, compiler: ConstraintCompiler, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`open` finds it. `compiler` knows the vocabulary; without a `transport` the network is used."""
        self._load = load
        self._compiler = compiler
        self._client = httpx.AsyncClient(
            base_url=load.url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {load.key}"} if load.key else {},
            timeout=httpx.Timeout(_SILENT_S, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            transport=transport or httpx.AsyncHTTPTransport(retries=1),
            trust_env=False,
        )
        self._model = ""

    async def open(self) -> SourceFacts:
        """Ask the server what it serves and what it can do; see `TokenSource.open`.

        Raises:
            ValueError: it is no vLLM, or serves another model.
            httpx.HTTPError: it cannot be reached, or refuses.
        """
        version = str((await self._json("GET", "/version"))["version"])
        (served, *_) = (await self._json("GET", "/v1/models"))["data"]
        self._model = str(served["id"])
        await self._check_vocabulary()
        facts = f"vllm {version} {served.get('root')} {served['id']}"
        return SourceFacts(int(served["max_model_len"]), facts, await self._lacks())

    async def pieces(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Generate one choice; see `TokenSource.pieces`."""
        body = completion_body(self._model, ask)
        try:
            scores = () if ask.prompt_logprobs is None else await self._prompt_scores(ask)
            async with self._client.stream("POST", "/v1/completions", json=body) as response:
                await _check(response)
                async for event in _events(response):
                    piece = piece_of(event, ask.sampling["logprobs"])
                    if piece is not None:
                        yield replace(piece, prompt_scores=scores)
                        scores = ()
        except httpx.HTTPError as error:
            raise SourceFailed(f"{type(error).__name__} while the server answered") from None

    async def healthy(self) -> bool:
        """Whether the server says that it lives; one that is down may come back."""
        try:
            return (await self._client.get("/health", timeout=_HEALTH_S)).is_success
        except httpx.HTTPError:
            return False

    async def aclose(self) -> None:
        """Close the connections: the server cancels what they were for."""
        await self._client.aclose()

    async def _json(self, method: str, path: str, body: Any = None) -> Any:
        response = await self._client.request(method, path, json=body)
        response.raise_for_status()
        return response.json()

    async def _prompt_scores(self, ask: Ask) -> tuple[TokenLogprob, ...]:
        """In a request of its own: the server tells them in no stream."""
        body = completion_body(self._model, ask) | {"stream": False, "max_tokens": 1, "min_tokens": 0}
        del body["stream_options"]
        body.pop("logprobs", None)
        response = await self._client.post(
            "/v1/completions", json=body | {"prompt_logprobs": ask.prompt_logprobs}
        )
        await _check(response)
        return prompt_scores_of(ask, response.json())

    async def _check_vocabulary(self) -> None:
        """The server's tokens must be those of the model folder here.

        Raises:
            ValueError: they are not.
        """
        words = {token: self._compiler.word(token) for token in range(self._load.vocab_size)}
        plain = [token for token, word in words.items() if word.isascii() and word.strip().isalpha()]
        probed = plain[:: max(1, len(plain) // _PROBED_TOKENS)]
        asked = {"model": self._model, "tokens": probed}
        theirs = str((await self._json("POST", "/detokenize", asked))["prompt"])
        if "".join(theirs.split()) != "".join(words[token].strip() for token in probed):
            raise ValueError(f"{self._model} has another vocabulary than {self._load.model_id}")

    async def _lacks(self) -> tuple[EngineFeature, ...]:
        """What the server refuses, by trying it."""
        lacks: list[EngineFeature] = ["scored_constraints", "constraints_with_minimum"]
        if not await self._can(priority=1):
            lacks.append("priority")
        if not await self._can(constraint=_EITHER):
            _log.warning(
                "the vLLM server takes no grammars: start it with "
                '--structured-outputs-config \'{"backend": "guidance"}\''
            )
            lacks.append("constraints")
        return tuple(lacks)

    async def _can(self, priority: int = 0, constraint: Constraint | None = None) -> bool:
        """Whether a request for one token is answered; and, with a constraint, by it."""
        sampling = {"max_tokens": 1, "temperature": 0.0, "logprobs": None, "ignore_eos": True}
        ask = Ask("probe", self._load.eos_token_ids[:1], sampling, constraint, "probe", priority)
        try:
            tokens = [token async for piece in self.pieces(ask) for token in piece.token_ids]
        except SourceFailed:
            return False
        return constraint is None or [self._compiler.word(token) for token in tokens] in (["7"], ["8"])


def completion_body(model: str, ask: Ask) -> dict[str, Any]:
    """The JSON body that asks for one choice."""
    body = {name: value for name, value in ask.sampling.items() if value is not None}
    body |= {
        "model": model,
        "prompt": list(ask.prompt),
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "add_special_tokens": False,
        "skip_special_tokens": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "request_id": ask.id,
        "cache_salt": ask.cache_salt,
    }
    if ask.priority:
        body["priority"] = -ask.priority  # with vLLM the lower number goes first
    if ask.constraint is not None:
        body["structured_outputs"] = _structure(ask.constraint)
    return body


def _structure(constraint: Constraint) -> dict[str, Any]:
    """A constraint in vLLM's words, with the same choice of white space as in `engine.constraint`."""
    match constraint.kind:
        case "json_schema":
            schema = json.loads(constraint.text)
            plain = schema if isinstance(schema, dict) else {"allOf": [schema]}
            return {"json": plain | {"x-guidance": {"whitespace_flexible": False}}}
        case "regex":
            return {"regex": constraint.text}
        case "lark":
            return {"grammar": constraint.text}


def piece_of(event: Mapping[str, Any], top: int | None) -> Piece | None:
    """What an event of the stream brings; None for one that brings no tokens.

    Raises:
        SourceFailed: it is an error, or lacks what was asked for.
    """
    if "error" in event:
        raise SourceFailed("the server failed while it answered")
    choices = event.get("choices")
    if not choices:
        return None
    (choice,) = choices
    tokens, reason = choice.get("token_ids"), choice.get("finish_reason")
    if tokens is None:
        raise SourceFailed("the server tells no token ids: its vLLM is too old")
    if reason not in (None, "stop", "length"):
        raise SourceFailed("the server gave up on it")
    details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
    scores = () if top is None else _scores(choice["logprobs"], tokens, top)
    return Piece(tuple(tokens), scores, reason, details.get("cached_tokens") or 0)


def prompt_scores_of(ask: Ask, answer: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """What a whole answer says of its prompt; nothing precedes the first token."""
    rows = answer["choices"][0]["prompt_logprobs"]
    rest = (
        _score(
            token,
            row[str(token)]["logprob"],
            {id: scored["logprob"] for id, scored in row.items()},
            ask.prompt_logprobs or 0,
        )
        for token, row in zip(ask.prompt[1:], rows[1:], strict=True)
    )
    return (TokenLogprob(ask.prompt[0], None), *rest)


def _scores(told: Mapping[str, Any], tokens: list[int], top: int) -> tuple[TokenLogprob, ...]:
    rows = zip(tokens, told["token_logprobs"], told["top_logprobs"], strict=True)
    return tuple(_score(token, logprob, best or {}, top) for token, logprob, best in rows)


def _score(token: int, logprob: float, best: Mapping[str, float], top: int) -> TokenLogprob:
    ids = ((int(name.removeprefix(_TOKEN)), value) for name, value in best.items())
    ranked = sorted(ids, key=lambda item: (-item[1], item[0]))[:top]
    return TokenLogprob(token, logprob, tuple(ranked))


async def _check(response: httpx.Response) -> None:
    """Raise what a status means; the server's words are for the log alone."""
    if response.is_success:
        return
    if response.status_code in _BUSY:
        raise SourceBusy
    words = (await response.aread())[:300].decode(errors="replace")
    raise SourceFailed(f"the server answered with status {response.status_code}: {words}")


async def _events(response: httpx.Response) -> AsyncIterator[Mapping[str, Any]]:
    """The data of server-sent events, up to the one that says it is done.

    Raises:
        SourceFailed: one is not JSON.
    """
    async for line in response.aiter_lines():
        field, _, data = line.partition(":")
        if field != "data":
            continue
        if data.strip() == "[DONE]":
            return
        try:
            yield json.loads(data)
        except ValueError:
            raise SourceFailed("the server sent something else than JSON") from None
