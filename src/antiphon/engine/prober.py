"""The prober: tries constraints in processes that are thrown away, before the engine meets them.

Run as `python -m antiphon.engine.prober FD` with one end of a socket pair. For each constraint it
forks itself. The child takes limits of processor time and memory, compiles, and then writes under
the constraint: one walk that ends as soon as it can, one that wanders. A constraint that dies on the
way, by a limit, a crash or a dead end, is refused; the engine, with the same library and limits,
compiles only what was not. A child costs milliseconds, so there is nothing to start anew when one is
killed, and what it used of memory is gone with it.

Invariant: every `Check` is answered with one `Checked`, and no child lives beyond its deadline.
"""

import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

from antiphon.engine import frames
from antiphon.engine.constraint import ConstraintBroken, ConstraintCompiler, ConstraintRefused, Matcher

_log = logging.getLogger(__name__)

CPU_S: Final = 1.5
"""Processor time of a child. With a fork and a walk to spare this keeps the answer within 2 s."""
_WALL_S: Final = 6.0
"""A child that did not get its processor time by then says nothing of the constraint, but of the machine."""
_MEMORY_BYTES: Final = 768 << 20
"""Of a child, beyond what the prober itself has."""
_MASK_CPU_S: Final = 0.1
"""A mask that takes longer would hold up everybody's next token."""
_CHILDREN: Final = 2
_NICENESS: Final = 5
"""Children give way to the engine, which gets three quarters of a core that both want."""
_POLL_S: Final = 0.002
_LOOK_S: Final = 0.01
_IDLE_S: Final = 60.0
_TOO_LARGE_CODE: Final = 2
_SHORT_WALK: Final = 400
_WANDERING_WALK: Final = 48
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


@dataclass(slots=True)
class _Trial:
    """A child at work."""

    number: int
    pid: int
    verdict: int
    """The end of the pipe that is read here."""
    deadline: float


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
        self._waiting = deque(message for message in early if isinstance(message, frames.Check))
        self._trials: list[_Trial] = []

    def run(self) -> None:
        """Serve until the channel closes.

        Raises:
            frames.ChannelClosed: the API process is gone.
        """
        try:
            while True:
                while self._waiting and len(self._trials) < _CHILDREN:
                    self._trials.append(self._start(self._waiting.popleft()))
                for message in self._channel.receive(_POLL_S if self._trials else _IDLE_S):
                    if isinstance(message, frames.Check):
                        self._waiting.append(message)
                self._trials = [trial for trial in self._trials if not self._ended(trial)]
        finally:
            for trial in self._trials:
                os.kill(trial.pid, signal.SIGKILL)

    def _start(self, check: frames.Check) -> _Trial:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            _try(lambda: probe(self._compiler, check), theirs)
        os.close(theirs)
        return _Trial(check.number, pid, ours, time.monotonic() + _WALL_S)

    def _ended(self, trial: _Trial) -> bool:
        """Whether the child is gone and its check answered."""
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
        self._channel.send(frames.Checked(trial.number, refusal, undecided))
        return True


def probe(compiler: ConstraintCompiler, check: frames.Check) -> str | None:
    """Compile and walk; why the constraint is refused, or None."""
    try:
        matcher = compiler.compile(check.constraint)
        ends = frozenset(compiler.eos_token_ids)
        _walk(matcher.copy(), ends, _nearest_end(compiler.closing_tokens), _SHORT_WALK)
        _walk(matcher, ends, random.Random(0).choice, _WANDERING_WALK)
    except ConstraintRefused as refused:
        return str(refused)
    except ConstraintBroken:
        return DEAD_END
    except TimeoutError:
        return SLOW_MASKS
    return None


def _walk(matcher: Matcher, ends: frozenset[int], choose: Callable[[list[int]], int], tokens: int) -> None:
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


def _pick(matcher: Matcher, choose: Callable[[list[int]], int]) -> int:
    """A token that may follow; raises as `_walk`."""
    while True:
        began = time.process_time()
        allowed = matcher.allowed()
        if time.process_time() - began > _MASK_CPU_S:
            raise TimeoutError
        token = choose(allowed.tolist())
        if matcher.may_follow(token):
            return token


def _nearest_end(closing: tuple[int, ...]) -> Callable[[list[int]], int]:
    """A choice that ends texts, strings, arrays and objects as soon as it may; else any."""
    chance = random.Random(0)

    def choose(allowed: list[int]) -> int:
        may = frozenset(allowed)
        return next((token for token in closing if token in may), None) or chance.choice(allowed)

    return choose


def _try(work: Callable[[], str | None], verdict: int) -> NoReturn:
    """In the child: do the work under limits, say what came of it, and be gone."""
    code = 1
    try:
        _limit()
        with open(verdict, "wb") as pipe:
            pipe.write((work() or "").encode())
        code = 0
    except MemoryError:
        code = _TOO_LARGE_CODE
    finally:
        os._exit(code)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The library's panics print; what it would say is in the verdict.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.nice(_NICENESS)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    limit_memory(sys.platform)


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
