"""The engine port over engines on a Ray cluster.

It deploys the replicas, or joins those that another server with the same settings has deployed, and
sends each request to one of them. Ray starts, replaces and drains replicas; a request whose replica
dies before it said anything is sent once more, to another.

Invariant: as `engine.client`: each generation ends in exactly one of: all its choices ended, one
error raised, or closed by its owner.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException

from antiphon.core.errors import AntiphonError, EngineFailed, EngineUnavailable, Overloaded, SchemaRefused
from antiphon.core.generation import Constraint, EngineStats, GenerationRequest, ModelInfo
from antiphon.engine import frames
from antiphon.engine.backends.ray.membership import Membership, RayOptions
from antiphon.engine.backends.ray.messages import Group, decode_group, decode_report, encode, error_of
from antiphon.engine.backends.ray.replica import MakeEngine
from antiphon.engine.backends.ray.router import Route
from antiphon.engine.client import EngineGeneration
from antiphon.engine.pages import prefix_names

logger = logging.getLogger(__name__)

PAGE_TOKENS = 32
MAX_ROUTE_PAGES = 256
"""Pages that are told to the router: a longer common prefix tells it nothing more."""
_CHECK_TIMEOUT_S = 15.0
_REPORT_TIMEOUT_S = 5.0
_POLL_S = 1.0
_FORGET_AFTER_S = 15.0
_LOST_AFTER_S = 30.0
"""When no replica has said anything for so long, nothing of what they generate will come. Where it is the
head that is silent, Ray ends this process after a minute."""
_CLUSTER_ERRORS = (RayError, RayServeException, TimeoutError)


class RayEngine:
    """Implements `core.ports.Engine`."""

    def __init__(self, make_engine: MakeEngine, options: RayOptions) -> None:
        """`make_engine` makes a replica's engine on its node; it is sent there by its name and arguments."""
        self._membership = Membership(make_engine, options)
        self._info: ModelInfo | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._places: dict[str, str] = {}
        """Which replica generates what, by request id; known once it has said something."""
        self._reports: dict[str, tuple[EngineStats, float]] = {}
        """What each replica last said of itself, and when."""
        self._poll: asyncio.Task[None] | None = None

    @property
    def info(self) -> ModelInfo:
        """Facts of the loaded model.

        Raises:
            EngineUnavailable: `start` has not returned yet.
        """
        if self._info is None:
            raise EngineUnavailable
        return self._info

    async def start(self) -> None:
        """Join the cluster and wait until a replica has loaded the model; see `Engine.start`."""
        try:
            self._info = await self._membership.enter()
        except EngineUnavailable as error:
            logger.error("%s", error.reason, exc_info=error.__cause__)
            raise
        with contextlib.suppress(*_CLUSTER_ERRORS):  # Another time, then.
            await self._ask_one()
        self._poll = asyncio.create_task(self._keep_asking(), name="ray reports")

    def generate(self, request: GenerationRequest) -> EngineGeneration:
        """Send a request on its way; see `Engine.generate`."""
        handle = self._membership.handle
        generation = EngineGeneration(self, request)
        task = asyncio.create_task(self._follow(handle, request, generation), name="ray generation")
        self._tasks[request.id] = task
        return generation

    async def check(self, constraint: Constraint) -> None:
        """Have a replica compile a constraint; see `Engine.check`."""
        handle = self._membership.handle
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                refusal = await handle.check.remote(encode(constraint), route=Route())
        except _CLUSTER_ERRORS:
            raise EngineUnavailable from None
        if refusal is not None:
            raise SchemaRefused("", *refusal)

    def replicas(self) -> dict[str, EngineStats]:
        """What the replicas heard of lately said last, by name."""
        oldest = time.monotonic() - _FORGET_AFTER_S
        self._reports = {name: kept for name, kept in self._reports.items() if kept[1] >= oldest}
        return {name: stats for name, (stats, _) in self._reports.items()}

    def stats(self) -> EngineStats:
        """The sum over the replicas heard of lately; not ready when none is."""
        heard = list(self.replicas().values())
        if not heard:
            return EngineStats()
        ready = [stats for stats in heard if stats.ready]
        return dataclasses.replace(
            _sum_of(heard), ready=bool(ready), step_age_s=min(stats.step_age_s for stats in ready or heard)
        )

    async def aclose(self) -> None:
        """Leave the cluster, or end it where it is this process's own; see `Engine.aclose`."""
        tasks = [*self._tasks.values(), *self._errands, *([self._poll] if self._poll else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reports = {}
        await self._membership.leave()

    def forget(self, key: str) -> None:
        """A generation has ended by itself."""
        self._places.pop(key, None)

    def abandon(self, key: str) -> None:
        """A generation's owner wants no more of it."""
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()

    def send(self, message: frames.Message) -> None:
        """Pass a choice's stop on to the replica that generates it, if one has begun."""
        place = self._places.get(message.key) if isinstance(message, frames.StopChoice) else None
        if place is not None and isinstance(message, frames.StopChoice):
            self._run(self._stop(message, Route(replica=place)))

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _stop(self, message: frames.StopChoice, route: Route) -> None:
        with contextlib.suppress(*_CLUSTER_ERRORS, EngineUnavailable):
            async with asyncio.timeout(_REPORT_TIMEOUT_S):
                await self._membership.handle.stop.remote(message.key, message.choice, route=route)

    async def _follow(self, handle: Any, request: GenerationRequest, generation: EngineGeneration) -> None:
        """Feed a generation until it ends; it fails where the cluster or this engine goes away.

        It is sent once more where its replica was lost before it said anything.
        """
        try:
            error = await self._attempt(handle, request, generation)
            if error is None and request.id not in self._places:
                error = await self._attempt(handle, request, generation)
            generation.fail(error or EngineFailed())
        except asyncio.CancelledError:
            generation.fail(EngineFailed())
            raise
        finally:
            self._tasks.pop(request.id, None)
            self._places.pop(request.id, None)

    async def _attempt(
        self, handle: Any, request: GenerationRequest, generation: EngineGeneration
    ) -> AntiphonError | None:
        """Deliver what a replica says; why nothing more comes, or None where the replica was lost."""
        try:
            async with contextlib.aclosing(self._groups(handle, request)) as groups:
                async for group in groups:
                    self._places[request.id] = group.replica
                    for produced in group.produced:
                        generation.deliver(produced)
                    if group.failure is not None:
                        return error_of(group.failure)
        except BackPressureError:
            return Overloaded()
        except _CLUSTER_ERRORS as error:
            logger.warning("ray: a replica was lost: %s", type(error).__name__)
            return None
        return EngineFailed()

    async def _groups(self, handle: Any, request: GenerationRequest) -> AsyncGenerator[Group, None]:
        names = prefix_names(request.prompt, PAGE_TOKENS, request.cache_salt, MAX_ROUTE_PAGES)
        stream = handle.options(stream=True).generate.remote(
            encode(request), route=Route(tuple(names) or (request.cache_salt.encode(),))
        )
        try:
            async for data in stream:
                group = decode_group(data)
                self._reports[group.replica] = (group.stats, time.monotonic())
                yield group
        finally:
            stream.cancel()

    async def _keep_asking(self) -> None:
        """Hear of every replica in turn, busy or not, and of the head; where one is silent, join anew."""
        heard = whole = time.monotonic()
        while True:
            await asyncio.sleep(_POLL_S)
            with contextlib.suppress(Exception):  # As long as it is asked, it is known who answers.
                await self._ask_one()
            if await self._membership.is_whole():
                whole = time.monotonic()
            heard = max([heard, *(when for _, when in self._reports.values())])
            if time.monotonic() - min(heard, whole) > _LOST_AFTER_S:
                logger.error("ray: the cluster has not answered for %.0f s: joining anew", _LOST_AFTER_S)
                for task in self._tasks.values():
                    task.cancel()
                self._info = await self._membership.enter_anew()
                heard = whole = time.monotonic()

    async def _ask_one(self) -> None:
        async with asyncio.timeout(_REPORT_TIMEOUT_S):
            report = decode_report(await self._membership.handle.report.remote(route=Route()))
        self._reports[report.replica] = (report.stats, time.monotonic())


def _sum_of(reports: list[EngineStats]) -> EngineStats:
    """Every count added up."""
    counts = {
        field.name: sum(getattr(report, field.name) for report in reports)
        for field in dataclasses.fields(EngineStats)
        if field.name not in ("ready", "state", "step_age_s")
    }
    return EngineStats(**counts)
