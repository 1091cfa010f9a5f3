"""Engines that come and go: who is loaded, who waits, who has to leave, and what fails."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

import pytest

from antiphon.core.errors import EngineUnavailable, ModelNotLoaded
from antiphon.core.generation import GenerationRequest
from antiphon.engine.backends.fake import FakeEngine, say
from antiphon.engine.on_demand import OnDemandEngine
from antiphon.engine.residency import Residency, ResidencyOptions


class SlowEngine(FakeEngine):
    """Starts when its gate is open; may refuse to."""

    def __init__(self, house: "House", model: str) -> None:
        super().__init__(lambda *_: say("a", "b"), model=model)
        self._house = house

    async def start(self) -> None:
        """Wait at the gate."""
        self._house.began.append(self.info.id)
        await self._house.gate.wait()
        if self._house.broken:
            raise self._house.broken
        await super().start()

    async def aclose(self) -> None:
        """Note it."""
        if self.stats().ready:
            self._house.ended.append(self.info.id)
        await super().aclose()


class House:
    """Models of one residency, and what happened to them."""

    def __init__(self, *models: str, sizes: int = 1, available: Callable[[], int | None] = lambda: None,
                 **options: float) -> None:  # fmt: skip
        self.gate = asyncio.Event()
        self.gate.set()
        self.began: list[str] = []
        self.ended: list[str] = []
        self.broken: Exception | None = None
        self.residency = Residency(ResidencyOptions(**options), available)  # type: ignore[arg-type]
        self.engines = {model: self._engine(model, sizes) for model in models}

    def _engine(self, model: str, size: int) -> OnDemandEngine:
        info = FakeEngine(model=model).info
        return OnDemandEngine(info, size, lambda: SlowEngine(self, model), self.residency)

    @property
    def loaded(self) -> list[str]:
        """Who is in memory."""
        return [model for model, engine in self.engines.items() if engine.loaded]

    async def use(self, model: str) -> None:
        """Ask for it, and leave."""
        async with self.engines[model].held():
            assert self.engines[model].loaded

    async def aclose(self) -> None:
        """End all."""
        for engine in self.engines.values():
            await engine.aclose()


class Use:
    """A request that holds a model until it is told to let go."""

    def __init__(self, house: House, model: str) -> None:
        self._engine = house.engines[model]
        self._enough = asyncio.Event()
        self.held = asyncio.Event()
        self.task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        async with self._engine.held():
            self.held.set()
            await self._enough.wait()
            assert self._engine.loaded

    async def end(self) -> None:
        """Let go."""
        self._enough.set()
        await self.task


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_model_is_loaded_once_for_all_who_wait() -> None:
    """And is told of meanwhile."""
    house = House("a", "b")
    house.gate.clear()
    engine = house.engines["a"]
    before = engine.stats()
    uses = [Use(house, "a") for _ in range(3)]
    await settle()
    during = engine.stats()
    house.gate.set()
    for use in uses:
        await use.held.wait()
    after = engine.stats()
    for use in uses:
        await use.end()

    assert (before.state, during.state, after.state) == ("unloaded", "loading", "loaded")
    assert (during.awaiting, after.awaiting, after.loads) == (3, 0, 1)
    assert (before.ready, during.ready, after.ready) == (False, False, True)
    assert (house.began, house.loaded, engine.uses) == (["a"], ["a"], 0)
    await house.aclose()
    assert house.ended == ["a"]


async def test_least_recently_used_leaves_for_another() -> None:
    """Within a number of models, and within a size."""
    for house in (House("a", "b", "c", max_loaded=2), House("a", "b", "c", sizes=10, memory=20)):
        for model in ("a", "b", "a", "c"):
            await house.use(model)

        assert house.loaded == ["a", "c"]
        assert house.ended == ["b"]
        await house.aclose()


async def test_model_too_large_for_the_bound_is_alone() -> None:
    """The only model is never refused for its size."""
    house = House("a", "b", sizes=50, memory=20)
    await house.use("a")
    await house.use("b")

    assert house.loaded == ["b"]
    await house.aclose()


async def test_model_in_use_is_not_taken_away() -> None:
    """Who needs its room waits until it is free; its new requests wait behind that."""
    house = House("a", "b", max_loaded=1)
    old = Use(house, "a")
    await old.held.wait()
    newcomer = Use(house, "b")
    await settle()
    late = Use(house, "a")
    await settle()
    assert (house.loaded, newcomer.held.is_set(), late.held.is_set()) == (["a"], False, False)
    assert [engine.stats().state for engine in house.engines.values()] == ["leaving", "loading"]

    await old.end()
    await newcomer.held.wait()
    assert (house.loaded, late.held.is_set()) == (["b"], False)
    await newcomer.end()
    await late.held.wait()
    assert (house.loaded, house.began) == (["a"], ["a", "b", "a"])
    await late.end()
    await house.aclose()


async def test_whoever_is_free_first_leaves() -> None:
    """Those that were asked to leave in vain are taken up again."""
    house = House("a", "b", "c", max_loaded=2)
    one, other = Use(house, "a"), Use(house, "b")
    await one.held.wait()
    await other.held.wait()
    newcomer = Use(house, "c")
    await settle()
    await other.end()
    await newcomer.held.wait()
    assert house.loaded == ["a", "c"]

    await house.use("a")
    assert house.began == ["a", "b", "c"]
    await one.end()
    await newcomer.end()
    await house.aclose()


async def test_generation_keeps_its_model() -> None:
    """Until it is closed, whoever opened it has left the block."""
    house = House("a", "b", max_loaded=1)
    async with house.engines["a"].held():
        generation = house.engines["a"].generate(GenerationRequest("r", (1,), 5))
    newcomer = Use(house, "b")
    await settle()
    assert house.loaded == ["a"]
    async with aclosing(generation):
        assert [type(event).__name__ async for event in generation]
    await newcomer.held.wait()
    await newcomer.end()

    assert house.loaded == ["b"]
    await generation.aclose()
    assert house.engines["a"].uses == 0
    await house.aclose()


async def test_who_leaves_while_waiting_holds_nothing() -> None:
    """What it asked for is loaded all the same."""
    house = House("a")
    house.gate.clear()
    use = Use(house, "a")
    await settle()
    use.task.cancel()
    await asyncio.wait([use.task])
    assert (use.task.cancelled(), house.engines["a"].stats().awaiting) == (True, 0)

    house.gate.set()
    await settle()
    assert (house.loaded, house.engines["a"].uses) == (["a"], 0)
    await house.aclose()


async def test_waiting_is_bounded() -> None:
    """A refusal that may be repeated."""
    house = House("a", wait=0.01)
    house.gate.clear()
    with pytest.raises(EngineUnavailable):
        await house.use("a")
    assert house.engines["a"].stats().awaiting == 0
    await house.aclose()


@pytest.mark.parametrize("error", [EngineUnavailable(), RuntimeError("a bug")])
async def test_model_that_cannot_be_loaded_refuses_its_own_requests(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, for a while; the others are not concerned."""
    for bound in ("_FIRST_RETRY_S", "_MAX_RETRY_S"):
        monkeypatch.setattr(f"antiphon.engine.on_demand.{bound}", 3600.0)
    house = House("a", "b")
    house.broken = error
    house.gate.clear()
    uses = [Use(house, "a"), Use(house, "a")]
    await settle()
    house.gate.set()
    await asyncio.wait([use.task for use in uses])
    assert [type(use.task.exception()) for use in uses] == [ModelNotLoaded] * 2

    with pytest.raises(ModelNotLoaded) as refused:
        await house.use("a")
    assert 0 < refused.value.retry_after_s <= 3600
    assert refused.value.model == "a"
    assert (house.began, house.engines["a"].stats().state) == (["a"], "failed")
    house.broken = None
    await house.use("b")
    assert house.loaded == ["b"]
    await house.aclose()


async def test_model_that_could_not_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the while is over."""
    monkeypatch.setattr("antiphon.engine.on_demand._FIRST_RETRY_S", 0.0)
    house = House("a")
    house.broken = EngineUnavailable()
    with pytest.raises(EngineUnavailable):
        await house.use("a")
    house.broken = None
    await house.use("a")

    assert house.loaded == ["a"]
    await house.aclose()


async def test_unused_models_go_by_time() -> None:
    """Those in use stay."""
    house = House("a", "b", keep_alive=3600)
    use = Use(house, "a")
    await use.held.wait()
    await house.use("b")
    for engine in house.engines.values():
        engine.used_at = time.monotonic() - 3601
    await house.residency.let_go()
    assert house.loaded == ["a"]

    await use.end()
    await house.residency.let_go()
    assert house.loaded == ["a"]
    await house.aclose()


async def test_unused_models_go_where_memory_is_short() -> None:
    """One at a time, the one that was not used for longest first."""
    left = 100
    house = House("a", "b", "c", short_below=50, available=lambda: left)
    for model in ("b", "a", "c"):
        await house.use(model)
    use = Use(house, "b")
    await use.held.wait()
    await house.residency.let_go()
    assert house.loaded == ["a", "b", "c"]
    left = 49
    await house.residency.let_go()
    assert house.loaded == ["b", "c"]
    await house.residency.let_go()
    await house.residency.let_go()
    assert house.loaded == ["b"]
    await use.end()
    await house.aclose()


async def test_watch_lets_go_by_itself() -> None:
    """As long as its block runs."""
    house = House("a", keep_alive=0.001, look_every=0.001)
    async with house.residency.watched(), asyncio.timeout(20):
        await house.use("a")
        while house.loaded:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
    await house.aclose()
    assert house.ended == ["a"]


async def test_end_refuses_who_still_waits() -> None:
    """And lets nothing be loaded afterwards."""
    house = House("a", "b", max_loaded=1)
    house.gate.clear()
    uses = [Use(house, "a"), Use(house, "b")]
    await settle()
    await house.aclose()
    await asyncio.wait([use.task for use in uses])

    assert [type(use.task.exception()) for use in uses] == [EngineUnavailable] * 2
    house.gate.set()
    await settle()
    assert house.loaded == []
