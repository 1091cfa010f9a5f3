"""Constraints tried by a real prober process: verdicts, limits, crashes, and what is remembered."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from antiphon.core.errors import Overloaded, SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine import frames, prober, trials
from antiphon.engine.probing import ConstraintProber
from tests.byte_grammar import EOS, byte_tokenizer_document
from tests.schema_bombs import BOMBS, Bomb

VALID = Constraint("json_schema", '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConstraintProber]:
    """A prober for a vocabulary of bytes."""
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "tokenizer.json").write_text(byte_tokenizer_document(), encoding="utf-8")
    constraints = ConstraintProber()
    await constraints.start(frames.Vocabulary(str(folder), EOS + 1, (EOS,)))
    yield constraints
    await constraints.aclose()


async def refusal(constraints: ConstraintProber, constraint: Constraint) -> str | None:
    """Why it is refused, or None. A machine too busy to tell is asked again, a few times."""
    for patience in reversed(range(5)):
        try:
            await constraints.check(constraint)
        except SchemaRefused as refused:
            return refused.reason
        except Overloaded:
            if not patience:
                raise
        else:
            break
    return None


@pytest.mark.asyncio(loop_scope="module")
class TestProber:
    """One process for all of these: whatever one does, the next finds it alive."""

    @pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.name)
    async def test_bomb_between_two_valid_ones_does_no_harm(
        self, proving: ConstraintProber, bomb: Bomb
    ) -> None:
        """It is answered, rightly where only one answer is right, and what follows is too."""
        before = json.dumps({"const": f"before {bomb.name}"})
        after = json.dumps({"const": f"after {bomb.name}"})

        assert await refusal(proving, Constraint("json_schema", before)) is None
        found = await refusal(proving, bomb.constraint)
        assert bomb.fate == "any" or (found is None) == (bomb.fate == "held"), found
        assert await refusal(proving, Constraint("json_schema", after)) is None

    async def test_many_at_once_are_each_answered(self, proving: ConstraintProber) -> None:
        """Checks that come together do not mix."""
        good = [Constraint("json_schema", json.dumps({"const": i})) for i in range(20)]
        bad = [Constraint("json_schema", json.dumps({"type": f"no type {i}"})) for i in range(20)]
        found = await asyncio.gather(*(refusal(proving, each) for each in good + bad))

        assert [reason is None for reason in found] == [True] * 20 + [False] * 20

    async def test_too_many_at_once_are_overload(self, proving: ConstraintProber) -> None:
        """The queue is bounded, and what was refused for that is not remembered as bad."""
        many = [Constraint("json_schema", json.dumps({"const": f"many {i}"})) for i in range(80)]
        found = await asyncio.gather(*map(proving.check, many), return_exceptions=True)

        assert {type(each) for each in found} == {type(None), Overloaded}
        assert await refusal(proving, many[-1]) is None

    async def test_verdict_is_remembered(self, proving: ConstraintProber) -> None:
        """A constraint is tried once: a second check needs no process."""
        assert await refusal(proving, VALID) is None
        pid = proving.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await refusal(proving, VALID) is None
        finally:
            os.kill(pid, signal.SIGCONT)

    async def test_prober_that_dies_is_replaced(self, proving: ConstraintProber) -> None:
        """Whoever waits is told to come again, and soon there is another."""
        pid = proving.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Overloaded):
            await proving.check(Constraint("json_schema", '{"const":"asked too early"}'))
        answered = False
        for _ in range(500):
            with suppress(Overloaded):
                answered = await refusal(proving, Constraint("json_schema", '{"const":"again"}')) is None
                break
            await asyncio.sleep(0.02)

        assert answered
        assert proving.pid != pid


def slow(number: int) -> Constraint:
    """One that takes all the time it is given, and has too little."""
    properties = {f"property{i}": {"type": "string"} for i in range(6000 + number)}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return Constraint("json_schema", json.dumps(schema))


@pytest.mark.asyncio(loop_scope="module")
class TestLanes:
    """Nobody waits behind a bomb, and no verdict is lost."""

    async def test_honest_constraint_is_answered_before_bombs_that_came_first(
        self, proving: ConstraintProber
    ) -> None:
        """They are in another lane by the time that it is tried."""
        bombs = [asyncio.create_task(proving.check(slow(number))) for number in range(2)]
        await asyncio.sleep(0)
        assert await refusal(proving, Constraint("json_schema", '{"const":"honest"}')) is None

        assert not all(bomb.done() for bomb in bombs)
        # On a machine that others keep busy nothing may be found out of them.
        found = await asyncio.gather(*bombs, return_exceptions=True)
        assert all(isinstance(each, SchemaRefused | Overloaded) for each in found)

    async def test_verdict_that_comes_late_is_remembered(
        self, proving: ConstraintProber, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever did not wait so long is told to come again, and then it is there."""
        late = Constraint("json_schema", '{"type":"comes late"}')
        monkeypatch.setattr(trials, "_PATIENCE_S", 0.0)
        with pytest.raises(Overloaded):
            await proving.check(late)
        await asyncio.wait(proving._trials._trying.values())
        pid = proving.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(SchemaRefused):
                await proving.check(late)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_end_of_a_child_says_why() -> None:
    """A limit, a crash and a missing answer are told apart."""
    ends = {
        signal.SIGPROF: prober.TOO_SLOW,
        signal.SIGABRT: prober.TOO_LARGE,
        signal.SIGSEGV: prober.TOO_DEEP,
        signal.SIGKILL: prober.TOO_LARGE,
    }

    assert {number: prober.refusal_of(number, "") for number in ends} == ends
    assert prober.refusal_of(0, "") is None
    assert prober.refusal_of(0, "because") == "because"
    assert prober.refusal_of(2 << 8, "") == prober.TOO_LARGE


_GREEDY = """
import time
from antiphon.engine import prober

prober._MEMORY_BYTES = 64 << 20
prober.limit_memory("darwin")
kept = []
for _ in range(600):
    kept.append(b"x" * (1 << 20))
    time.sleep(0.001)
"""


def test_where_the_system_has_no_limit_of_memory_a_thread_watches() -> None:
    """The way of macOS, on any system. Its parent is small: Linux counts that one's peak as its own."""
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, _GREEDY]
    ended = subprocess.run(command, check=False, timeout=60)

    assert prober.refusal_of(ended.returncode << 8, "") == prober.TOO_LARGE


def test_the_corpus_is_as_large_as_it_says() -> None:
    """Some forty, each with a name of its own."""
    assert len({bomb.name for bomb in BOMBS}) == len(BOMBS) >= 40
