"""Replicas on several nodes: what is lost when one dies, and where prompts are sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Literal
from uuid import uuid4

import pytest
import pytest_asyncio

from antiphon.core.errors import EngineFailed
from antiphon.core.generation import ChoiceEnd, EngineEvent, GenerationRequest
from tests.contract.engine_contract import ends_of, first_event, tokens_of
from tests.ray_cluster import (
    PAGE_TOKENS,
    kill,
    remembering_engine,
    replica_processes,
    running,
    slow_engine,
)

pytest.importorskip("ray")

from ray import serve

from antiphon.engine.backends.ray.client import RayEngine
from antiphon.engine.backends.ray.membership import RayOptions

pytestmark = [
    pytest.mark.ray,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

PATIENCE_S = 90.0
TURN_PAGES = 8
"""Worth more than one request of which the router has not heard yet that it has ended."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head, and three nodes that replicas can run on."""
    with running(3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def options(cluster: Any) -> RayOptions:
    """Two replicas, which are whose engine has these."""
    return RayOptions(uuid4().hex, cluster.address, replicas=2, drain_s=5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(options: RayOptions) -> AsyncIterator[RayEngine]:
    """Two slow replicas, each on a node of its own."""
    engine = RayEngine(slow_engine, options)
    await engine.start()
    yield engine
    await engine.aclose()


def request(prompt: int, max_tokens: int = 50) -> GenerationRequest:
    """A request with a prompt of several pages of its own."""
    return GenerationRequest(uuid4().hex, tuple([prompt] * 100), max_tokens)


async def answer(engine: RayEngine, asked: GenerationRequest) -> list[EngineEvent] | EngineFailed:
    """All events, or the error that ended them."""
    async with asyncio.timeout(PATIENCE_S), aclosing(engine.generate(asked)) as generation:
        try:
            return [event async for event in generation]
        except EngineFailed as error:
            return error


async def until_whole(engine: RayEngine, replicas: int = 2) -> None:
    """Wait until so many replicas run and have been heard of from now on."""
    async with asyncio.timeout(PATIENCE_S):
        while len(replica_processes()) != replicas:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.2)
        engine._reports.clear()
        while len(engine.replicas()) < replicas:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_requests_spread_over_the_replicas(engine: RayEngine) -> None:
    """And all are answered."""
    await until_whole(engine)
    answers = await asyncio.gather(*(answer(engine, request(prompt)) for prompt in range(16)))

    assert [ends_of(events) for events in answers if not isinstance(events, EngineFailed)] == [
        {0: "length"}
    ] * 16
    assert len(engine.replicas()) == 2


async def test_killed_replica_ends_its_requests_once_and_is_replaced(engine: RayEngine) -> None:
    """What had begun there fails; nothing hangs, and what others generate goes on to its end."""
    await until_whole(engine)
    generations = [engine.generate(request(prompt, 150)) for prompt in range(12)]
    for generation in generations:
        await first_event(generation)
    kill(replica_processes()[:1])

    async def rest(generation: Any) -> str:
        try:
            async with aclosing(generation):
                return ends_of([event async for event in generation])[0]
        except EngineFailed:
            return "failed"

    async with asyncio.timeout(PATIENCE_S):
        outcomes = await asyncio.gather(*map(rest, generations))
    assert set(outcomes) == {"length", "failed"}
    await until_whole(engine)


async def test_request_that_had_not_begun_is_sent_once_more(engine: RayEngine) -> None:
    """Nobody notices that the replica it was sent to died."""
    await until_whole(engine)
    answers = [asyncio.create_task(answer(engine, request(prompt))) for prompt in range(12)]
    await asyncio.sleep(0)
    kill(replica_processes()[:1])
    outcomes = await asyncio.gather(*answers)

    for events in outcomes:
        assert isinstance(events, EngineFailed) or len(tokens_of(events)) == 50
    assert sum(not isinstance(events, EngineFailed) for events in outcomes) >= 6
    await until_whole(engine)


async def test_killed_node_is_survived(engine: RayEngine, cluster: Any) -> None:
    """Its replica comes back on another node."""
    await until_whole(engine)
    answers = [asyncio.create_task(answer(engine, request(prompt, 100))) for prompt in range(12)]
    await asyncio.sleep(0.5)
    victims = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
    cluster.remove_node(victims[0], allow_graceful=False)
    outcomes = await asyncio.gather(*answers)

    for events in outcomes:
        assert isinstance(events, EngineFailed) or ends_of(events) == {0: "length"}
    cluster.add_node(num_cpus=1)
    await until_whole(engine)
    assert not isinstance(await answer(engine, request(1)), EngineFailed)


async def test_second_server_joins_the_replicas_that_run(engine: RayEngine, options: RayOptions) -> None:
    """It neither deploys them again nor takes them along when it leaves."""
    await until_whole(engine)
    before = set(replica_processes())
    second = RayEngine(slow_engine, options)
    await second.start()
    assert not isinstance(await answer(second, request(7)), EngineFailed)
    await second.aclose()

    assert set(replica_processes()) == before
    assert not isinstance(await answer(engine, request(7)), EngineFailed)


async def cached_tokens(cluster: Any, policy: Literal["prefix", "random"]) -> int:
    """Prompt tokens that two replicas knew, of six conversations with four turns each, one at a time."""
    options = RayOptions(uuid4().hex, cluster.address, replicas=2, cpus=0, policy=policy)
    routed, cached = RayEngine(remembering_engine, options), 0
    await routed.start()
    try:
        await until_running(options.name, 2)
        for turn in range(1, 5):
            for talk in range(6):
                asked = GenerationRequest(uuid4().hex, tuple([talk] * turn * TURN_PAGES * PAGE_TOKENS), 1)
                events = await answer(routed, asked)
                assert not isinstance(events, EngineFailed)
                cached += sum(event.cached_tokens for event in events if isinstance(event, ChoiceEnd))
    finally:
        await routed.aclose()
        await asyncio.to_thread(serve.delete, options.name)
    return cached


async def test_prefix_routing_finds_everything_and_random_routing_does_not(
    engine: RayEngine, cluster: Any
) -> None:
    """Each later turn begins with all of the turn before it."""
    everything = 6 * (1 + 2 + 3) * TURN_PAGES * PAGE_TOKENS

    assert await cached_tokens(cluster, "prefix") == everything
    assert await cached_tokens(cluster, "random") < everything


async def test_replicas_come_with_the_load_and_go_after_it(engine: RayEngine, cluster: Any) -> None:
    """And no request is lost by either: those under way on a replica that goes are finished there."""
    options = RayOptions(
        uuid4().hex,
        cluster.address,
        replicas=1,
        max_replicas=3,
        cpus=0,
        target_ongoing=2,
        scaling_window_s=0.3,
    )
    scaled = RayEngine(slow_engine, options)
    await scaled.start()
    sent = 0

    async def keep_asking(busy: asyncio.Event) -> None:
        nonlocal sent
        while busy.is_set():
            sent += 1
            events = await answer(scaled, request(sent, 30))
            assert not isinstance(events, EngineFailed)
            assert ends_of(events) == {0: "length"}

    try:
        assert running_replicas(options.name) == 1
        many, one = asyncio.Event(), asyncio.Event()
        many.set()
        one.set()
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as clients:
            clients.create_task(keep_asking(one))
            for _ in range(11):
                clients.create_task(keep_asking(many))
            await until_running(options.name, 3)
            many.clear()
            await until_running(options.name, 1)
            one.clear()
    finally:
        await scaled.aclose()
        await asyncio.to_thread(serve.delete, options.name)
    assert sent > 12


def running_replicas(application: str) -> int:
    """As Ray Serve tells."""
    deployment = serve.status().applications[application].deployments["engine"]
    return int(deployment.replica_states.get("RUNNING", 0))


async def until_running(application: str, replicas: int) -> None:
    """Wait until so many replicas run."""
    while await asyncio.to_thread(running_replicas, application) != replicas:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
