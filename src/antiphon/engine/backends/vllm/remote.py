"""A vLLM server behind a URL: its `/v1/completions`, by token ids in both directions.

Any `vllm serve` has that route. Constraints are held there by its guidance backend, which is the library
that holds them here; what a server cannot do is found out when it is opened, and told (`survey`). When a
server is back that was gone, it is looked at again, for it may be another one.

What it does not do: try again. A choice whose connection breaks fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

import httpx

from antiphon.core.generation import Constraint, TokenLogprob
from antiphon.engine.backends.vllm.choice import HeldChoice
from antiphon.engine.backends.vllm.completions import (
    REFUSED,
    completion_body,
    events_of,
    piece_of,
    prompt_scores_of,
)
from antiphon.engine.backends.vllm.source import (
    Ask,
    Piece,
    SourceBusy,
    SourceFacts,
    SourceFailed,
    SourceGone,
    SourceRefused,
    SourceUnfit,
)
from antiphon.engine.backends.vllm.survey import Survey, probe
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.engine.frames import LoadVllm

_log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_SILENT_S: Final = 600.0
"""A choice may wait long in the server's queue."""
_HEALTH_S: Final = 5.0
_KEPT_S: Final = 2.0
"""An idle connection is kept for less than the five seconds after which a vLLM server closes it."""
_BUSY: Final = (429, 503)


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
            transport=transport
            or httpx.AsyncHTTPTransport(
                retries=1,
                limits=httpx.Limits(
                    max_connections=None, max_keepalive_connections=64, keepalive_expiry=_KEPT_S
                ),
            ),
            trust_env=False,
        )
        self._survey = Survey(self._client, load, compiler)
        self._facts: SourceFacts | None = None
        self._lost = False
        """Whether it has been out of reach since it was last looked at."""

    async def open(self) -> SourceFacts:
        """Ask the server what it serves and what it can do; see `TokenSource.open`.

        Raises:
            SourceUnfit: it cannot be reached, refuses, is no vLLM, or serves another model.
        """
        found = await self._survey.server()
        self._facts = await self._survey.facts(found, self._can)
        return self._facts

    async def refusal(self, constraint: Constraint) -> str | None:
        """Have it generate one token under a constraint; see `TokenSource.refusal`."""
        matcher = await asyncio.to_thread(self._compiler.compile, constraint)
        endings = frozenset(self._load.eos_token_ids)
        ask = probe(self._load, constraint=constraint)
        try:
            async with contextlib.aclosing(self.pieces(ask)) as pieces:
                held = HeldChoice(endings, 1, matcher)
                async for piece in pieces:
                    if not _holds(held, piece):
                        return "the vLLM server of this engine does not hold it."
        except SourceRefused as refused:
            _log.warning("the vLLM server refuses a constraint: %s", refused)
            return "the vLLM server of this engine refuses it."
        return None

    async def pieces(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Generate one choice; see `TokenSource.pieces`."""
        body = completion_body(self._survey.model, ask)
        try:
            scores = () if ask.prompt_logprobs is None else await self._prompt_scores(ask)
            async with self._client.stream("POST", "/v1/completions", json=body) as response:
                await _check(response)
                async for event in events_of(response.aiter_bytes()):
                    piece = piece_of(event, ask.sampling["logprobs"])
                    if piece is not None:
                        yield replace(piece, prompt_scores=scores)
                        scores = ()
        except httpx.ConnectError:
            self._lost = True
            raise SourceBusy from None
        except httpx.HTTPError as error:
            self._lost = True
            raise SourceFailed(f"{type(error).__name__} while the server answered") from None

    async def healthy(self) -> bool:
        """Whether the server says that it lives; see `TokenSource.healthy`.

        Raises:
            SourceGone: there is another one in its place, which has to be made known.
        """
        try:
            alive = (await self._client.get("/health", timeout=_HEALTH_S)).is_success
        except httpx.HTTPError:
            alive = False
        if not alive:
            self._lost = True
        elif self._lost:
            alive = await self._is_the_same()
            self._lost = not alive
        return alive

    async def aclose(self) -> None:
        """Close the connections: the server cancels what they were for."""
        await self._client.aclose()

    async def _is_the_same(self) -> bool:
        """Whether the server that is back can do what was told of it; False where it does not say.

        Raises:
            SourceGone: it is another one.
        """
        known = self._facts
        try:
            if await self.open() == known:
                return True
        except SourceUnfit as unfit:
            if unfit.passing:
                return False
        _log.error("another vLLM server than before answers")
        raise SourceGone

    async def _prompt_scores(self, ask: Ask) -> tuple[TokenLogprob, ...]:
        """In a request of its own: the server tells them in no stream."""
        body = completion_body(self._survey.model, ask) | {"stream": False, "max_tokens": 1, "min_tokens": 0}
        del body["stream_options"]
        body.pop("logprobs", None)
        response = await self._client.post(
            "/v1/completions", json=body | {"prompt_logprobs": ask.prompt_logprobs}
        )
        await _check(response)
        return prompt_scores_of(ask, response.json())

    async def _can(self, ask: Ask) -> list[int] | None:
        """The tokens it answers with; None where it refuses.

        Raises:
            SourceUnfit: it does neither now.
        """
        try:
            return [token async for piece in self.pieces(ask) for token in piece.token_ids]
        except SourceRefused:
            return None
        except (SourceBusy, SourceFailed) as failed:
            raise SourceUnfit(f"it does not answer a request for one token: {failed}", passing=True) from None


def _holds(held: HeldChoice, piece: Piece) -> bool:
    try:
        held.take(piece)
    except SourceFailed:
        return False
    return True


async def _check(response: httpx.Response) -> None:
    """Raise what a status means; the server's words are for the log alone."""
    if response.is_success:
        return
    if response.status_code in _BUSY:
        raise SourceBusy
    words = (await response.aread())[:300].decode(errors="replace")
    kind = SourceRefused if response.status_code in REFUSED else SourceFailed
    raise kind(f"the server answered with status {response.status_code}: {words}")
