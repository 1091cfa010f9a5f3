"""The prober: tries constraints in processes that are thrown away, before the engine meets them.

Run as `python -m antiphon.engine.prober FD` with one end of a socket pair. For each constraint it
forks itself. The child takes limits of processor time and memory, compiles, and then writes under
the constraint: one walk that ends as soon as it can, three that wander and end only where they must. A
constraint that dies on the way, by a limit, a crash or a dead end, is refused; the engine, with the same
library and limits, compiles only what was not. A child costs milliseconds, so there is nothing to start
anew when one is killed, and what it used of memory is gone with it.

Three lanes, so that nobody waits behind a bomb: in the first a child has a quarter of a second, which
is enough for 99 of 100 schemas that people wrote. What does not end there is tried anew with the whole
budget, on what the machine has left over; and where that is nothing, once more with a share of its own.

Invariant: every `Check` is answered with one `Checked`; the first lane has one child at most, and so have
the others together; no child lives beyond its deadline.
"""

import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from antiphon.engine import frames
from antiphon.engine.constraint import ConstraintBroken, ConstraintCompiler, ConstraintRefused, Matcher
from antiphon.engine.way_out import anything, nearest_end

_Choice = Callable[[NDArray[np.intp]], int]

_log = logging.getLogger(__name__)

CPU_S: Final = 1.5
"""Processor time that decides. With what the first lane took this keeps the answer within 2 s."""
_MEMORY_BYTES: Final = 768 << 20
"""Of a child, beyond what the prober itself has."""
_MASK_CPU_S: Final = 0.1
"""A mask that takes longer would hold up everybody's next token."""
_MAX_WAITING: Final = 16
"""In each lane but the first."""
_LOW: Final = 5
_LOWEST: Final = 19
"""Niceness."""
_POLL_S: Final = 0.002
_POLL_SLOW_S: Final = 0.02
_LOOK_S: Final = 0.01
_IDLE_S: Final = 60.0
_TOO_LARGE_CODE: Final = 2
_SHORT_WALK: Final = 400
_WANDERING_WALKS: Final = 3
_WANDERING_WALK: Final = 64
"""Tokens."""

TOO_SLOW: Final = "it takes too long to compile."
TOO_LARGE: Final = "it needs too much memory to compile."
TOO_DEEP: Final = "it is nested too deeply."
DEAD_END: Final = "no answer can satisfy it, or a limit of the grammar engine is reached on the way to one."
SLOW_MASKS: Final = "it takes too long to find out which tokens it allows."
_OF_SIGNAL: Final[Mapping[int, str]] = MappingProxyType(
    {
        signal.SIGPROF: TOO_SLOW,
        signal.SIGXCPU: TOO_SLOW,
        signal.SIGABRT: TOO_LARGE,
        signal.SIGSEGV: TOO_DEEP,
        signal.SIGBUS: TOO_DEEP,
    }
)


@dataclass(frozen=True, slots=True)
class Share:
    """What a child gets of the machine."""

    cpu_s: float
    wall_s: float
    """A child that did not get its processor time by then says nothing of the constraint."""
    only_idle: bool = False
    """Whether it runs where nobody else wants to; if not, it has a quarter of a core that is wanted."""


SHARES: Final = (Share(0.1, 3.0), Share(CPU_S, 6.0, only_idle=True), Share(CPU_S, 12.0))
"""One lane for each, in the order in which a constraint goes through them until one decides."""


@dataclass(slots=True)
class _Trial:
    """A child at work."""

    check: frames.Check
    pid: int
    verdict: int
    """The end of the pipe that is read here."""
    deadline: float


@dataclass(slots=True)
class _Lane:
    """Constraints that are tried one after the other, each with the same share."""

    share: Share
    waiting: deque[frames.Check] = field(default_factory=deque)
    trial: _Trial | None = None


class Prober:
    """Takes checks from a channel and keeps at most two children at work on them."""

    def __init__(
        self,
        channel: frames.Channel[frames.ToProber],
        compiler: ConstraintCompiler,
        early: Iterable[frames.ToProber] = (),
    ) -> None:
        """`early` came while the compiler was made."""
        self._channel = channel
        self._compiler = compiler
        self._lanes = tuple(map(_Lane, SHARES))
        self._take(early)

    def run(self) -> None:
        """Serve until the channel closes.

        Raises:
            frames.ChannelClosed: the API process is gone.
        """
        try:
            while True:
                self._fill_lanes()
                self._take(self._channel.receive(self._patience()))
                for place, lane in enumerate(self._lanes):
                    if lane.trial is not None and self._ended(lane.trial, place):
                        lane.trial = None
        finally:
            for trial in (lane.trial for lane in self._lanes if lane.trial):
                os.kill(trial.pid, signal.SIGKILL)

    def _fill_lanes(self) -> None:
        """Start whatever may be: a child in the first lane, and one in the others, the last before."""
        quick, *others = self._lanes
        for group in ([quick], list(reversed(others))):
            waiting = [lane for lane in group if lane.waiting]
            if waiting and not any(lane.trial for lane in group):
                waiting[0].trial = self._start(waiting[0].waiting.popleft(), waiting[0].share)

    def _take(self, messages: Iterable[frames.ToProber]) -> None:
        self._lanes[0].waiting.extend(each for each in messages if isinstance(each, frames.Check))

    def _patience(self) -> float:
        """Seconds to wait for frames before looking at the children again."""
        quick, *others = self._lanes
        if quick.trial:
            return _POLL_S
        return _POLL_SLOW_S if any(lane.trial for lane in others) else _IDLE_S

    def _start(self, check: frames.Check, share: Share) -> _Trial:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            _try(lambda: probe(self._compiler, check), theirs, share)
        os.close(theirs)
        return _Trial(check, pid, ours, time.monotonic() + share.wall_s)

    def _ended(self, trial: _Trial, place: int) -> bool:
        """Whether the child is gone, and its check answered or in the next lane."""
        late = time.monotonic() > trial.deadline
        if late:
            os.kill(trial.pid, signal.SIGKILL)
        pid, status = os.waitpid(trial.pid, 0 if late else os.WNOHANG)
        if pid == 0:
            return False
        with open(trial.verdict, "rb") as pipe:
            said = pipe.read().decode()
        undecided = late and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        refusal = None if undecided else refusal_of(status, said)
        if undecided or (refusal == TOO_SLOW and self._lanes[place].share.cpu_s < CPU_S):
            self._pass_on(trial.check, place + 1)
        else:
            self._channel.send(frames.Checked(trial.check.number, refusal))
        return True

    def _pass_on(self, check: frames.Check, place: int) -> None:
        """Into the lane at `place`; undecided where there is none, or no room in it."""
        if place < len(self._lanes) and len(self._lanes[place].waiting) < _MAX_WAITING:
            self._lanes[place].waiting.append(check)
        else:
            self._channel.send(frames.Checked(check.number, None, undecided=True))


def probe(compiler: ConstraintCompiler, check: frames.Check) -> str | None:
    """Compile and walk; why the constraint is refused, or None."""
    try:
        matcher = compiler.compile(check.constraint)
        ends = frozenset(compiler.eos_token_ids)
        _walk(matcher.copy(), ends, nearest_end(matcher.closing_tokens), _SHORT_WALK)
        for seed in range(_WANDERING_WALKS):
            _walk(matcher.copy(), ends, _going_on(anything(seed), compiler.eos_token_ids), _WANDERING_WALK)
    except ConstraintRefused as refused:
        return str(refused)
    except ConstraintBroken:
        return DEAD_END
    except TimeoutError:
        return SLOW_MASKS
    return None


def _going_on(choose: _Choice, ends: tuple[int, ...]) -> _Choice:
    """The same choice among what does not end the text, if there is any: a short walk would prove little."""
    ending = np.array(ends, np.intp)

    def choice(allowed: NDArray[np.intp]) -> int:
        others = allowed[~np.isin(allowed, ending)]
        return choose(others if len(others) else allowed)

    return choice


def _walk(matcher: Matcher, ends: frozenset[int], choose: _Choice, tokens: int) -> None:
    """Write under the constraint until the text may end, or for as many tokens.

    Raises:
        ConstraintBroken: nothing may follow, or a limit was hit.
        TimeoutError: a mask took too long.
    """
    for _ in range(tokens):
        if matcher.finished:
            return
        token = _pick(matcher, choose)
        if token in ends:
            return
        matcher.consume(token)


def _pick(matcher: Matcher, choose: _Choice) -> int:
    """A token that may follow; raises as `_walk`."""
    while True:
        began = time.process_time()
        allowed = matcher.allowed()
        if time.process_time() - began > _MASK_CPU_S:
            raise TimeoutError
        token = choose(allowed)
        if matcher.may_follow(token):
            return token


def _try(work: Callable[[], str | None], verdict: int, share: Share) -> NoReturn:
    """In the child: do the work under limits, say what came of it, and be gone."""
    code = 1
    try:
        _limit(share)
        with open(verdict, "wb") as pipe:
            pipe.write((work() or "").encode())
        code = 0
    except MemoryError:
        code = _TOO_LARGE_CODE
    finally:
        os._exit(code)


def _limit(share: Share) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The library's panics print; what it would say is in the verdict.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _step_back(share)
    signal.setitimer(signal.ITIMER_PROF, share.cpu_s)
    limit_memory(sys.platform)


def _step_back(share: Share) -> None:
    """Take a lower priority than the engine's.

    The lowest is not enough for `only_idle`: the engine's threads wait for each other many times a step, and
    whoever got a core meanwhile keeps it for a time slice. Linux takes it from an idle task at once.
    """
    if share.only_idle and sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(_LOWEST if share.only_idle else _LOW)


def limit_memory(platform: str) -> None:
    """Let this process have `_MEMORY_BYTES` more than it has.

    Linux refuses what goes beyond. macOS has no limit that holds, so a thread looks what is resident: the
    library compiles without the interpreter's lock. What is taken between two looks is not stopped.
    """
    if platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MEMORY_BYTES,) * 2)
    else:
        threading.Thread(target=_watch_memory, args=(_resident_bytes() + _MEMORY_BYTES,), daemon=True).start()


def _watch_memory(most: int) -> NoReturn:
    while _resident_bytes() <= most:
        time.sleep(_LOOK_S)
    os._exit(_TOO_LARGE_CODE)


def _resident_bytes() -> int:
    """The most that this process has had in memory."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def refusal_of(status: int, said: str) -> str | None:
    """What a child's end means, by its wait status and what it said; None: not refused."""
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        if code == 0:
            return said or None
        return TOO_LARGE if code == _TOO_LARGE_CODE else "it cannot be compiled."
    return _OF_SIGNAL.get(os.WTERMSIG(status), TOO_LARGE)


def _first(channel: frames.Channel[frames.ToProber]) -> list[frames.ToProber]:
    """The first messages; the very first names the vocabulary."""
    while True:
        if messages := channel.receive(_IDLE_S):
            return messages


def main(descriptor: int) -> None:
    """Read the tokenizer that the first frame names and serve; returns when the channel closes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = frames.prober_end(socket.socket(fileno=descriptor))
    with suppress(frames.ChannelClosed):
        named, *early = _first(channel)
        if not isinstance(named, frames.Vocabulary):
            return
        document = (Path(named.folder) / "tokenizer.json").read_text(encoding="utf-8")
        compiler = ConstraintCompiler(document, named.vocab_size, named.eos_token_ids)
        Prober(channel, compiler, early).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s prober %(message)s")
    main(int(sys.argv[1]))
