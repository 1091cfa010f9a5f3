"""The engine process: inbox, step, outbox, until the API process is gone.

Run as `python -m antiphon.engine.host FD` with one end of a socket pair. It loads the model it is
told to, then alternates between reading frames and stepping. It opens no socket of its own, reads
no configuration and ignores the terminal's signals: its life ends with the channel.

Invariant: whatever one request does, the loop goes on; a failure of a whole step ends the process,
and the API process starts another.
"""

import gc
import hashlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from antiphon.core.generation import EngineStats, GenerationRequest, ModelInfo
from antiphon.engine import frames
from antiphon.engine.backend import Backend
from antiphon.engine.constraint import ConstraintCompiler, Matcher
from antiphon.engine.loop import Emitted, EngineLoop, Outcome, RequestFailed
from antiphon.engine.pages import PagePool
from antiphon.engine.phases import PhaseRecorder
from antiphon.engine.scheduler import QueueFull, Scheduler, SchedulerCounters, SchedulerOptions
from antiphon.engine.throughput import Throughput

_log = logging.getLogger(__name__)

_IDLE_WAIT_S = 1.0
"""How often an idle engine says that it lives."""
_COMPILING_WAIT_S = 0.002
"""How long it waits for frames while nothing runs but a constraint is being compiled."""
_COMPILER_THREADS = 2
_NICENESS = 5
_WARM_UP_TOKENS = 64
_ALGORITHM_VERSION = 5
"""Part of the fingerprint. Raise it whenever the same file and seed may give other tokens than before:
when drawing, chunking or the conversion of model files changes."""


class Host:
    """Glue between the channel and the loop."""

    def __init__(self, channel: frames.Channel[frames.ToEngine], backend: Backend, load: frames.Load) -> None:
        self._channel = channel
        self._pool = PagePool(backend.page_count)
        self._phases = PhaseRecorder()
        options = SchedulerOptions(
            max_running=load.max_running,
            draft_tokens=load.draft_tokens,
            least_tokens=backend.least_tokens,
        )
        self._scheduler = Scheduler(self._pool, backend.page_tokens, options)
        self._loop = EngineLoop(
            backend,
            self._scheduler,
            load.eos_token_ids,
            time.perf_counter,
            jump_forward=load.jump_forward,
            phases=self._phases,
        )
        tokenizer_json = (Path(load.folder) / "tokenizer.json").read_text(encoding="utf-8")
        self._compiler = ConstraintCompiler(tokenizer_json, backend.vocab_size, load.eos_token_ids)
        self._compiling = ThreadPoolExecutor(_COMPILER_THREADS, "constraint", _give_way)
        self._awaiting: dict[str, tuple[GenerationRequest, Future[Matcher]]] = {}
        """Requests whose constraint is being compiled, by key."""
        self._steps = 0
        self._throughput = Throughput(time.perf_counter())

    def warm_up(self) -> None:
        """Run a small request: the first steps of a process are slow, and pacing learns what steps cost."""
        prompt = tuple(range(_WARM_UP_TOKENS))
        request = GenerationRequest("warm-up", prompt, 4, ignore_eos=True, cache_salt="warm-up")
        self._loop.submit(request, [])
        while self._loop.active:
            self._loop.step()
        self._scheduler.counters = SchedulerCounters()
        self._loop.times.clear()

    def run(self) -> None:
        """Serve until the channel closes.

        Raises:
            frames.ChannelClosed: the API process is gone.
        """
        while True:
            refused = [
                key for message in self._channel.receive(self._patience()) for key in self._handle(message)
            ]
            outcomes = self._begin_compiled()
            stepping = self._loop.active
            outcomes += self._loop.step()
            self._steps += stepping
            self._channel.send(self._report(outcomes, refused))

    def _patience(self) -> float:
        """Seconds to wait for frames before the next step."""
        if self._loop.active:
            return 0.0
        return _COMPILING_WAIT_S if self._awaiting else _IDLE_WAIT_S

    def _handle(self, message: frames.ToEngine) -> list[str]:
        """Act on a message; returns the key of a request that was refused."""
        match message:
            case frames.Submit():
                return self._submit(message.request)
            case frames.StopChoice():
                self._loop.stop(message.key, message.choice)
            case frames.Cancel():
                self._awaiting.pop(message.key, None)
                self._loop.cancel(message.key)
            case frames.Load() | frames.LoadVllm() | frames.Check():
                raise frames.ChannelClosed
        return []

    def _submit(self, request: GenerationRequest) -> list[str]:
        """Queue a request, now or when its constraint is compiled."""
        if request.constraint is None:
            return self._queue(request, None)
        matcher = self._compiler.cached(request.constraint)
        if matcher is not None:
            return self._queue(request, matcher)
        future = self._compiling.submit(self._compiler.compile, request.constraint)
        self._awaiting[request.id] = request, future
        self._phases.enter(request, "compile")
        return []

    def _queue(self, request: GenerationRequest, matcher: Matcher | None) -> list[str]:
        matchers = [matcher.copy() for _ in range(request.choices)] if matcher else []
        try:
            self._loop.submit(request, matchers)
        except QueueFull:
            self._phases.leave(request.id, "failed")
            return [request.id]
        return []

    def _begin_compiled(self) -> list[Outcome]:
        """Queue the requests whose constraint has become ready; those that fail here, fail alone."""
        outcomes: list[Outcome] = []
        for key, (request, future) in list(self._awaiting.items()):
            if not future.done():
                continue
            del self._awaiting[key]
            error = future.exception()
            if error is not None:
                # The prober had let it pass.
                _log.error("a constraint did not compile: %s", type(error).__name__)
            if error is not None or self._queue(request, future.result()):
                self._phases.leave(key, "failed")
                outcomes.append(RequestFailed(key))
        return outcomes

    def _report(self, outcomes: list[Outcome], refused: list[str]) -> frames.Stepped:
        produced = [_produced(o) for o in outcomes if isinstance(o, Emitted)]
        failed = [o.key for o in outcomes if isinstance(o, RequestFailed)]
        return frames.Stepped(produced, failed, refused, self._stats(), self._phases.take())

    def _stats(self) -> EngineStats:
        pages = self._pool.counts()
        totals, times = self._scheduler.counters, self._loop.times
        return EngineStats(
            ready=True,
            running=len(self._scheduler.running),
            waiting=len(self._scheduler.waiting),
            waiting_tokens=sum(len(sequence.tokens) for sequence in self._scheduler.waiting),
            pages_total=pages.free + pages.idle + pages.held,
            pages_used=pages.held,
            pages_cached=pages.idle,
            prompt_tokens=totals.prompt_tokens,
            cached_tokens=totals.cached_tokens,
            generated_tokens=totals.generated_tokens,
            forced_tokens=totals.forced_tokens,
            drafted_tokens=totals.drafted_tokens,
            accepted_tokens=totals.accepted_tokens,
            preemptions=totals.preemptions,
            begun=totals.begun,
            queued_s=totals.queued_s,
            steps=self._steps,
            tokens_per_s=self._throughput.per_second(time.perf_counter(), totals.generated_tokens),
            forward_s=times.forward,
            sampling_s=times.sampling,
            masks_s=times.masks,
        )


def _give_way() -> None:
    """Let a compiling thread take less of the processor than the step that everybody waits for."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _produced(emitted: Emitted) -> frames.Produced:
    delta = emitted.delta
    return frames.Produced(
        key=emitted.key,
        choice=emitted.choice,
        token_ids=delta.token_ids if delta else (),
        logprobs=delta.logprobs if delta else (),
        end=emitted.end,
        cached_tokens=emitted.cached_tokens,
        prompt_scores=emitted.prompt_scores,
    )


def load_backend(load: frames.Load) -> Backend:
    """The backend of a model folder. Imports the inference library here, not at the module's top."""
    from antiphon.engine.backends.openvino import OpenVINOBackend, OpenVINOOptions

    options = OpenVINOOptions(Path(load.folder), load.kv_cache_bytes, load.threads, load.kv_cache_type)
    return OpenVINOBackend(options)


def model_info(load: frames.Load, backend: Backend) -> ModelInfo:
    """What the API process may know. No request can need more tokens than the KV cache holds."""
    depends_on = f"{load.digest} {backend.fingerprint} {_ALGORITHM_VERSION}"
    return ModelInfo(
        id=load.model_id,
        context_length=min(load.context_length, backend.page_count * backend.page_tokens),
        vocab_size=backend.vocab_size,
        eos_token_ids=load.eos_token_ids,
        fingerprint=hashlib.sha256(depends_on.encode()).hexdigest()[:10],
    )


def _receive_load(channel: frames.Channel[frames.ToEngine]) -> frames.Load:
    while True:
        for message in channel.receive(_IDLE_WAIT_S):
            if isinstance(message, frames.Load):
                return message


def main(descriptor: int) -> None:
    """Load what the first frame names and serve; returns when the channel closes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = frames.engine_end(socket.socket(fileno=descriptor))
    try:
        load = _receive_load(channel)
        try:
            backend = load_backend(load)
            host = Host(channel, backend, load)
            host.warm_up()
        except Exception as error:  # noqa: BLE001 - whatever the library raises, the operator is told
            channel.send(frames.LoadFailed(f"{type(error).__name__}: {error}"))
            return
        gc.freeze()
        channel.send(frames.Ready(model_info(load, backend)))
        host.run()
    except frames.ChannelClosed:
        return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s engine %(message)s")
    main(int(sys.argv[1]))
