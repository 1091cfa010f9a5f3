"""What a vLLM server is asked by `/v1/completions`, and what its answers mean: token ids both ways. No I/O.

Invariant: what is left out of a body is left to no default of the server's that changes an answer.

Source: `vllm/entrypoints/openai/completion/protocol.py` and `serving.py` of vLLM 0.32.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from antiphon.core.generation import Constraint, TokenLogprob
from antiphon.engine.backends.vllm.source import Ask, Piece, SourceFailed, SourceRefused

REFUSED: Final = (400, 413, 422)
"""Statuses of requests that are not done there, whenever they are asked for."""
_TOKEN: Final = "token_id:"


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
        SourceRefused: it says that what was asked for is not done there.
        SourceFailed: it is another error, or lacks what was asked for.
    """
    if "error" in event:
        raise _failure(event["error"])
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


def _failure(error: Any) -> SourceFailed:
    """What an error in place of an answer means: by its time the status has been sent."""
    code = error.get("code") if isinstance(error, dict) else None
    kind = SourceRefused if code in REFUSED else SourceFailed
    return kind(f"the server failed while it answered: {str(error)[:300]}")


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


async def events_of(data: AsyncIterator[bytes]) -> AsyncIterator[Mapping[str, Any]]:
    """What server-sent events bring, up to the one that says it is done.

    Raises:
        SourceFailed: one is not JSON.
    """
    async for line in _lines(data):
        field, _, told = line.partition(b":")
        if field != b"data":
            continue
        if told.strip() == b"[DONE]":
            return
        try:
            yield json.loads(told)
        except ValueError:
            raise SourceFailed("the server sent something else than JSON") from None


async def _lines(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """By line feeds alone: JSON may have in it what else Unicode takes for the end of a line."""
    rest = b""
    async for part in data:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line
