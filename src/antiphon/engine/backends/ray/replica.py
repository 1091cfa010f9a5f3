"""One engine on a node of the cluster, as Ray Serve runs it: token ids in, groups of token events out.

The engine is the same that serves a single machine; it supervises its own process. Ray replaces the
replica when its engine stays down, and hands requests to others while it drains.

Invariant: a call that is cancelled or whose caller is gone cancels its generation.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import msgspec
from ray import serve

from antiphon.core.errors import AntiphonError, SchemaRefused
from antiphon.core.generation import Constraint, GenerationRequest, ModelInfo
from antiphon.core.ports import Engine, Generation
from antiphon.engine.backends.ray.messages import (
    Group,
    Report,
    encode,
    failure_of,
    group_pause_s,
    grouped,
    produced,
)
from antiphon.engine.backends.ray.router import Route

MakeEngine = Callable[[], Engine]

_DOWN_TOO_LONG_S = 120.0

_decode_request = msgspec.msgpack.Decoder(GenerationRequest).decode
_decode_constraint = msgspec.msgpack.Decoder(Constraint).decode
_encode_info = msgspec.msgpack.Encoder().encode


class EngineReplica:
    """The body of the deployment. The keyword `route` of its calls is for the router alone."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it.
        self, make_engine: MakeEngine, cpus: int, facts: Mapping[str, str]
    ) -> None:
        """Load the model; the engine has so many cores, `facts` are what servers ask it for.

        Raises:
            EngineUnavailable: it could not be loaded; Ray tries again, and gives up after a few times.
        """
        self._engine, self._cpus, self._facts = make_engine(), cpus, facts
        await self._engine.start()
        self._name = serve.get_replica_context().replica_id.unique_id
        self._running: dict[str, Generation] = {}

    async def info(self, *, route: Route) -> bytes:
        """The model's facts."""
        return _encode_info(self._engine.info)

    async def facts(self, *, route: Route) -> bytes:
        """What the replicas were deployed with, by setting."""
        return encode(self._facts)

    async def generate(self, request: bytes, *, route: Route) -> AsyncGenerator[bytes, None]:
        """Groups of events until the last choice has ended."""
        wanted = _decode_request(request)
        try:
            generation = self._running[wanted.id] = self._engine.generate(wanted)
            grouping = grouped(aiter(generation), self._pause_s)
            async with aclosing(generation), aclosing(grouping) as groups:
                async for events in groups:
                    yield encode(Group(self._name, list(map(produced, events)), self._engine.stats()))
        except AntiphonError as error:
            yield encode(Group(self._name, [], self._engine.stats(), failure_of(error)))
        finally:
            self._running.pop(wanted.id, None)

    def _pause_s(self) -> float:
        return group_pause_s(len(self._running), self._cpus)

    async def stop(self, key: str, choice: int, *, route: Route) -> None:
        """Generate no more for one choice."""
        generation = self._running.get(key)
        if generation is not None:
            generation.stop(choice)

    async def check(self, constraint: bytes, *, route: Route) -> tuple[str, tuple[str, ...]] | None:
        """Why a constraint cannot be held; None where it can."""
        try:
            await self._engine.check(_decode_constraint(constraint))
        except SchemaRefused as refused:
            return refused.reason, refused.context or ()
        return None

    async def report(self, *, route: Route) -> bytes:
        """How the engine is doing."""
        return encode(Report(self._name, self._engine.stats()))

    async def check_health(self) -> None:
        """For Ray: a replica whose engine stays down is replaced.

        Raises:
            RuntimeError: it does.
        """
        stats = self._engine.stats()
        if not stats.ready and stats.step_age_s > _DOWN_TOO_LONG_S:
            raise RuntimeError("the engine is down")


def info_from(data: bytes) -> ModelInfo:
    """What `info` returned."""
    return msgspec.msgpack.decode(data, type=ModelInfo)


def facts_from(data: bytes) -> dict[str, str]:
    """What `facts` returned."""
    return msgspec.msgpack.decode(data, type=dict[str, str])
