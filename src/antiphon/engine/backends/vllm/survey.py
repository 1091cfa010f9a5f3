"""What a vLLM server is and can do, found out by asking it.

What only some servers do is tried with requests for one token: no option of a server can be read.

Invariant: a server passes only if its tokens mean what the model folder here says.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from antiphon.core.generation import Constraint, EngineFeature
from antiphon.engine.backends.vllm.source import Ask, SourceFacts, SourceUnfit
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.engine.frames import LoadVllm

_log = logging.getLogger(__name__)

_ASK_S: Final = 30.0
_PROBED_TOKENS: Final = 64
_MOST_LOGPROBS: Final = 20
_EITHER: Final = Constraint("lark", 'start: %json {"enum": [7, 8]}')
"""Lark with a schema in it: of vLLM's grammar backends only guidance knows that."""
_KEY_WANTED: Final = (401, 403)

Try = Callable[[Ask], Awaitable[list[int] | None]]
"""Has the server answer; the tokens, or None where it refuses."""


@dataclass(frozen=True, slots=True)
class Server:
    """What it says of itself."""

    version: str
    model: str
    root: str
    context_length: int


def probe(
    load: LoadVllm, *, priority: int = 0, logprobs: int | None = None, constraint: Constraint | None = None
) -> Ask:
    """One token after an ending token."""
    sampling = {"max_tokens": 1, "temperature": 0.0, "logprobs": logprobs, "ignore_eos": True}
    return Ask(
        f"probe-{secrets.token_hex(8)}", load.eos_token_ids[:1], sampling, constraint, "probe", priority
    )


class Survey:
    """Asks one server."""

    def __init__(self, client: httpx.AsyncClient, load: LoadVllm, compiler: ConstraintCompiler) -> None:
        """By `client`, which knows where it is and its key."""
        self._client = client
        self._load = load
        self._compiler = compiler
        self.model = ""
        """What the server calls its model, once it has said so."""

    async def server(self) -> Server:
        """What it is.

        Raises:
            SourceUnfit: it cannot be reached, refuses, is no vLLM, or has another vocabulary.
        """
        version = (await self._json("GET", "/version")).get("version")
        listed = (await self._json("GET", "/v1/models")).get("data")
        if not isinstance(version, str) or not listed or "max_model_len" not in listed[0]:
            raise self._unfit("is no vLLM server that generates text")
        served = listed[0]
        self.model = str(served["id"])
        await self._check_vocabulary()
        return Server(version, self.model, str(served.get("root")), int(served["max_model_len"]))

    async def facts(self, server: Server, can: Try) -> SourceFacts:
        """What the rest has to know of it.

        Raises:
            SourceUnfit: it stopped answering meanwhile.
        """
        names = f"vllm {server.version} {server.root} {server.model}"
        return SourceFacts(server.context_length, names, await self._lacks(can))

    async def _lacks(self, can: Try) -> tuple[EngineFeature, ...]:
        """What the server refuses, by trying it."""
        lacks: list[EngineFeature] = ["scored_constraints", "constraints_with_minimum"]
        if await can(probe(self._load)) is None:
            raise self._unfit("answers no request for one token")
        if await can(probe(self._load, priority=1)) is None:
            lacks.append("priority")
        if await can(probe(self._load, logprobs=_MOST_LOGPROBS)) is None:
            _log.warning("the vLLM server tells too few logprobs: start it with --max-logprobs 20")
            lacks.append("logprobs")
        told = await can(probe(self._load, constraint=_EITHER))
        if told is None or [self._compiler.word(token) for token in told] not in (["7"], ["8"]):
            _log.warning(
                "the vLLM server takes no grammars: start it with "
                '--structured-outputs-config \'{"backend": "guidance"}\''
            )
            lacks.append("constraints")
        return tuple(lacks)

    async def _check_vocabulary(self) -> None:
        """The server's tokens must be those of the model folder here.

        Raises:
            SourceUnfit: they are not.
        """
        words = {token: self._compiler.word(token) for token in range(self._load.vocab_size)}
        plain = [token for token, word in words.items() if word.isascii() and word.strip().isalpha()]
        probed = plain[:: max(1, len(plain) // _PROBED_TOKENS)]
        answer = await self._json("POST", "/detokenize", {"model": self.model, "tokens": probed})
        theirs = "".join(str(answer.get("prompt")).split())
        if theirs != "".join(words[token].strip() for token in probed):
            raise self._unfit(f"serves {self.model}, which has another vocabulary than {self._load.model_id}")

    async def _json(self, method: str, path: str, body: Any = None) -> Mapping[str, Any]:
        try:
            response = await self._client.request(method, path, json=body, timeout=_ASK_S)
        except httpx.HTTPError as error:
            raise self._unfit(f"cannot be reached ({type(error).__name__})", passing=True) from None
        if response.status_code in _KEY_WANTED:
            wanted = "does not take the key" if self._load.key else "wants a key"
            raise self._unfit(f"{wanted}: say it in ANTIPHON_ENGINE_KEY")
        if response.is_server_error:
            raise self._unfit(f"answers {path} with status {response.status_code}", passing=True)
        try:
            told = response.json()
        except ValueError:
            told = None
        if not response.is_success or not isinstance(told, dict):
            raise self._unfit(f"is no vLLM server: it answers {path} with status {response.status_code}")
        return told

    def _unfit(self, reason: str, *, passing: bool = False) -> SourceUnfit:
        """With the server's address, but no name or password that stand in it."""
        url = self._client.base_url
        return SourceUnfit(f"{url.scheme}://{url.netloc.decode()} {reason}", passing=passing)
