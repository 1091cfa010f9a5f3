"""The engine process of vLLM: frames in, tokens out, until the API process is gone.

Run as `python -m antiphon.engine.backends.vllm.host FD` with one end of a socket pair; it speaks as
`engine.host` does. It opens a vLLM, in this process's own children or behind a URL, and keeps no
model, no queue and no cache of its own.

Invariant: whatever one request does, the others go on; when vLLM is gone this process ends, and the
API process starts another.
"""

import asyncio
import contextlib
import hashlib
import itertools
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from antiphon.core.generation import GenerationRequest, ModelInfo, PhaseEnd
from antiphon.engine import frames
from antiphon.engine.backends.vllm.choice import HeldChoice
from antiphon.engine.backends.vllm.figures import Figures
from antiphon.engine.backends.vllm.sampling import ending_tokens, sampling_of
from antiphon.engine.backends.vllm.source import (
    Ask,
    Piece,
    SourceBusy,
    SourceFacts,
    SourceFailed,
    SourceGone,
    SourceUnfit,
    TokenSource,
)
from antiphon.engine.constraint import ConstraintCompiler, ConstraintRefused, Matcher
from antiphon.engine.phases import PhaseRecorder
from antiphon.telemetry.optout import silence_vllm

_log = logging.getLogger(__name__)

_IDLE_WAIT_S: Final = 1.0
"""How often an idle engine says that it lives, and asks vLLM whether it does."""
_STUCK_S: Final = 120.0
"""So long without a token while choices run: a vLLM in this process, or out of reach, is taken for dead."""
_SHARED_PROMPT: Final = 64
"""Tokens. Choices of longer prompts wait for the first one's prefill, and find it in the cache."""
_ALGORITHM_VERSION: Final = 1
"""Part of the fingerprint. Raise it when the mapping changes what is answered."""


@dataclass(slots=True)
class _Running:
    """A request at work."""

    request: GenerationRequest
    came_at: float
    task: asyncio.Task[None] | None = None
    choices: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """A token has come, or the first choice is over."""
    cached_tokens: int | None = None
    """None: no token has come."""
    generated: int = 0


class VllmHost:
    """Glue between the channel and a source of tokens."""

    def __init__(
        self,
        source: TokenSource,
        compiler: ConstraintCompiler,
        load: frames.LoadVllm,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._source = source
        self._compiler = compiler
        self._eos = load.eos_token_ids
        self._watches = not load.url
        self._writer = writer
        self._running: dict[str, _Running] = {}
        self._produced: list[frames.Produced] = []
        self._failed: list[str] = []
        self._refused: list[str] = []
        self._trying: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._healthy = True
        self._figures = Figures(time.monotonic)
        self._phases = PhaseRecorder()
        self._numbers = itertools.count()
        """vLLM wants no id twice; one that was cancelled may still be known to it."""

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Serve until the channel closes or vLLM is gone."""
        decoder = msgspec.msgpack.Decoder(frames.ToEngine)
        workers = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("frames", self._receive(reader, decoder)),
                ("reports", self._report()),
                ("health", self._keep_asking()),
                ("gone", self._until_gone()),
            )
        ]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            requests = (running.task for running in self._running.values() if running.task)
            tasks = [*workers, *requests, *self._trying]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(
        self, reader: asyncio.StreamReader, decoder: "msgspec.msgpack.Decoder[frames.ToEngine]"
    ) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._handle(await frames.read_frame(reader, decoder))

    async def _until_gone(self) -> None:
        await self._gone.wait()

    def _handle(self, message: frames.ToEngine) -> None:
        match message:
            case frames.Submit():
                if not self._running:
                    self._figures.resumed()
                running = _Running(message.request, time.monotonic())
                self._running[message.request.id] = running
                running.task = asyncio.create_task(self._serve(running), name="request")
            case frames.StopChoice():
                self._stop(message.key, message.choice)
            case frames.Cancel():
                self._cancel(message.key)
            case frames.Check():
                task = asyncio.create_task(self._try(message), name="constraint")
                self._trying.add(task)
                task.add_done_callback(self._trying.discard)
            case frames.Load() | frames.LoadVllm():
                raise EOFError

    async def _try(self, asked: frames.Check) -> None:
        """Say whether a constraint is held where the tokens come from."""
        answer = frames.Checked(asked.number, None, undecided=True)
        try:
            answer = frames.Checked(asked.number, await self._source.refusal(asked.constraint))
        except SourceGone:
            self._gone.set()
        except (SourceBusy, SourceFailed) as failed:
            _log.warning("a constraint could not be tried: %s", failed)
        except ConstraintRefused as refused:
            answer = frames.Checked(asked.number, str(refused))
        except Exception:  # noqa: BLE001 - one constraint's fault must not end the others
            _log.exception("a constraint could not be tried")
        self._writer.write(frames.encode(answer))

    def _cancel(self, key: str) -> None:
        running = self._running.pop(key, None)
        if running is not None and running.task is not None:
            running.task.cancel()
            self._phases.leave(key, "cancelled", running.generated)

    def _stop(self, key: str, choice: int) -> None:
        """End one choice quietly; unknown ones are ignored, for they may have ended."""
        running = self._running.get(key)
        if running is None:
            return
        running.stopped.add(choice)
        task = running.choices.pop(choice, None)
        if task is not None:
            task.cancel()

    async def _serve(self, running: _Running) -> None:
        """Generate a request's choices; says at the end what else the API process has to know."""
        key = running.request.id
        end: PhaseEnd = "failed"
        try:
            matcher = await self._matcher(running.request)
            async with asyncio.TaskGroup() as group:
                for choice in range(running.request.choices):
                    if choice not in running.stopped:
                        held = matcher.copy() if matcher else None
                        running.choices[choice] = group.create_task(self._generate(running, choice, held))
            end = "finished"
        except* SourceBusy:
            self._refused.append(key)
        except* SourceGone:
            self._gone.set()
        except* (SourceFailed, ConstraintRefused) as failed:
            _log.error("request %s failed: %s", key, failed.exceptions[0])
            self._failed.append(key)
        except* Exception:  # noqa: BLE001 - one request's fault must not end the others
            _log.exception("request %s failed", key)
            self._failed.append(key)
        finally:
            if self._running.get(key) is running:
                del self._running[key]
                self._phases.leave(key, end, running.generated)
            self._news.set()

    async def _matcher(self, request: GenerationRequest) -> Matcher | None:
        """The constraint's matcher; the prober has found before that it compiles within its limits."""
        if request.constraint is None:
            return None
        matcher = self._compiler.cached(request.constraint)
        if matcher is None:
            self._phases.enter(request, "compile")
            matcher = await asyncio.to_thread(self._compiler.compile, request.constraint)
        return matcher

    async def _generate(self, running: _Running, choice: int, matcher: Matcher | None) -> None:
        request = running.request
        self._phases.enter(request, "queue")
        held = HeldChoice(ending_tokens(request, self._eos), request.max_tokens, matcher)
        try:
            if choice and (len(request.prompt) >= _SHARED_PROMPT or request.prompt_logprobs is not None):
                await running.begun.wait()
            async with contextlib.aclosing(self._source.pieces(self._ask(request, choice))) as pieces:
                async for piece in pieces:
                    if self._deliver(running, choice, piece, held):
                        return
            raise SourceFailed("vLLM ended it without a reason")
        finally:
            running.choices.pop(choice, None)
            running.begun.set()

    def _ask(self, request: GenerationRequest, choice: int) -> Ask:
        return Ask(
            id=f"{request.id}-{choice}-{next(self._numbers)}",
            prompt=request.prompt,
            sampling=sampling_of(request, choice, self._eos),
            constraint=request.constraint,
            cache_salt=hashlib.sha256(request.cache_salt.encode()).hexdigest(),
            priority=request.priority,
            prompt_logprobs=None if choice else request.prompt_logprobs,
        )

    def _deliver(self, running: _Running, choice: int, piece: Piece, held: HeldChoice) -> bool:
        """Pass on what a piece brought; whether the choice is over."""
        if running.cached_tokens is None:
            running.cached_tokens = piece.cached_tokens
            self._figures.began(running.request, piece.cached_tokens, running.came_at)
            self._phases.enter(running.request, "decode", len(running.request.prompt), piece.cached_tokens)
            running.begun.set()
        taken = held.take(piece)
        running.generated += len(taken.token_ids)
        self._figures.took(len(taken.token_ids))
        self._produced.append(
            frames.Produced(
                key=running.request.id,
                choice=choice,
                token_ids=taken.token_ids,
                logprobs=taken.logprobs,
                end=taken.end,
                cached_tokens=running.cached_tokens,
                prompt_scores=piece.prompt_scores,
            )
        )
        self._news.set()
        return taken.end is not None

    async def _report(self) -> None:
        """Send what has come as soon as something has, and a sign of life when nothing does."""
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_WAIT_S):
                        await self._news.wait()
                self._news.clear()
                stats = self._figures.stats(self._healthy, self._in_hand())
                stepped = frames.Stepped(
                    self._produced, self._failed, self._refused, stats, self._phases.take()
                )
                self._produced, self._failed, self._refused = [], [], []
                self._writer.write(frames.encode(stepped))
                await self._writer.drain()

    def _in_hand(self) -> Iterator[tuple[GenerationRequest, int, bool]]:
        """Requests, how many choices of each are not over, and whether they have begun."""
        for running in self._running.values():
            open_choices = len(running.choices) or running.request.choices
            yield running.request, open_choices, running.cached_tokens is not None

    async def _keep_asking(self) -> None:
        """Know whether vLLM lives; return when it never will again."""
        with contextlib.suppress(SourceGone):
            while True:
                await asyncio.sleep(_IDLE_WAIT_S)
                self._healthy = await self._source.healthy()
                watched = self._watches or not self._healthy
                if watched and self._running and self._figures.silent_for() > _STUCK_S:
                    _log.error("vLLM made no progress for %.0f s", _STUCK_S)
                    return


def _compiler(load: frames.LoadVllm) -> ConstraintCompiler:
    document = (Path(load.folder) / "tokenizer.json").read_text(encoding="utf-8")
    return ConstraintCompiler(document, load.vocab_size, load.eos_token_ids)


def make_source(load: frames.LoadVllm, compiler: ConstraintCompiler) -> TokenSource:
    """The source that a load names. Each brings a library of its own, so it is imported here."""
    if load.url:
        from antiphon.engine.backends.vllm.remote import RemoteVllm

        return RemoteVllm(load, compiler)
    silence_vllm()
    from antiphon.engine.backends.vllm.local import LocalVllm

    return LocalVllm(load)


def model_info(load: frames.LoadVllm, facts: SourceFacts) -> ModelInfo:
    """What the API process may know."""
    depends_on = f"{load.digest} {facts.depends_on} {_ALGORITHM_VERSION}"
    return ModelInfo(
        id=load.model_id,
        context_length=min(load.context_length, facts.context_length),
        vocab_size=load.vocab_size,
        eos_token_ids=load.eos_token_ids,
        fingerprint=hashlib.sha256(depends_on.encode()).hexdigest()[:10],
        lacks=(*facts.lacks, "budget_hint"),
    )


async def serve(descriptor: int) -> None:
    """Open what the first frame names and serve; returns when the channel closes."""
    ours = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=ours, limit=frames.MAX_FRAME_BYTES)
    load = await frames.read_frame(reader, msgspec.msgpack.Decoder(frames.ToEngine))
    if not isinstance(load, frames.LoadVllm):
        return
    source: TokenSource | None = None
    try:
        try:
            compiler = _compiler(load)
            source = make_source(load, compiler)
            info = model_info(load, await source.open())
        except Exception as error:  # noqa: BLE001 - whatever vLLM raises, the operator is told
            reason = str(error) if isinstance(error, SourceUnfit) else f"{type(error).__name__}: {error}"
            writer.write(frames.encode(frames.LoadFailed(reason)))
            await writer.drain()
            return
        writer.write(frames.encode(frames.Ready(info)))
        await VllmHost(source, compiler, load, writer).run(reader)
    finally:
        if source is not None:
            await source.aclose()
        writer.close()


def main(descriptor: int) -> None:
    """Run `serve`; the terminal's signals are for the API process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError):
        asyncio.run(serve(descriptor))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s engine %(message)s")
    main(int(sys.argv[1]))
