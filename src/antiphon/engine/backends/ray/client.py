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
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.exceptions import BackPressureError, RayServeException

from antiphon.core.errors import AntiphonError, EngineFailed, EngineUnavailable, Overloaded, SchemaRefused
from antiphon.core.generation import Constraint, EngineStats, GenerationRequest, ModelInfo
from antiphon.engine import frames
from antiphon.engine.backends.ray import cluster
from antiphon.engine.backends.ray.messages import Group, decode_group, decode_report, encode, error_of
from antiphon.engine.backends.ray.replica import EngineReplica, MakeEngine, facts_from, info_from
from antiphon.engine.backends.ray.router import Policy, PrefixRouter, Route
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
"""When no replica has said anything for so long, nothing of what they generate will come."""
_LEAVE_S = 10.0
_WAIT_S = 5.0
_CLUSTER_ERRORS = (RayError, RayServeException, TimeoutError)


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where replicas run, and how many."""

    name: str
    """Servers that give the same name share the replicas."""
    address: str | None = None
    """Of the cluster to join; None starts one on this machine that ends with this process."""
    replicas: int = 1
    max_replicas: int = 0
    """More than `replicas`: as many as the load asks for, up to this."""
    cpus: int = 1
    """CPU cores that each replica takes of its node."""
    target_ongoing: int = 16
    """Requests in hand per replica, beyond which another is started."""
    scaling_window_s: float = 30.0
    """The load is averaged over so long, and is to be too high for a third of it before a replica is added.
    One is taken away when it has been too low for ten times as long."""
    max_queued: int = 1024
    """Requests that wait for a replica here; more are refused."""
    drain_s: float = 30.0
    policy: Policy = "prefix"
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the replicas are made of, by setting; servers that share them agree in it."""


class RayEngine:
    """Implements `core.ports.Engine`."""

    def __init__(self, make_engine: MakeEngine, options: RayOptions) -> None:
        """`make_engine` makes a replica's engine on its node; it is sent there by its name and arguments."""
        self._make_engine = make_engine
        self.options = options
        self._handle: Any = None
        self._joined = False
        """Ray was not there in this process before; it may be in tests."""
        self._lost = False
        """No replica says anything any more."""
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
            try:
                self._handle = await asyncio.to_thread(self._deploy)
            finally:
                cluster.restore_stop_signal()
            self._info = await _first_info(self._handle, self.options)
            await self._ask_one()
        except EngineUnavailable as error:
            logger.error("%s", error.reason, exc_info=error.__cause__)
            await self._leave(self._handle)
            raise
        except Exception as error:  # Ray, and what it starts, raise whatever they like.
            logger.error("ray: the replicas cannot be had", exc_info=error)
            await self._leave(self._handle)
            raise EngineUnavailable from None
        self._poll = asyncio.create_task(self._keep_asking(), name="ray reports")

    def generate(self, request: GenerationRequest) -> EngineGeneration:
        """Send a request on its way; see `Engine.generate`."""
        if self._handle is None or self._lost:
            raise EngineUnavailable
        generation = EngineGeneration(self, request)
        task = asyncio.create_task(self._follow(request, generation), name="ray generation")
        self._tasks[request.id] = task
        return generation

    async def check(self, constraint: Constraint) -> None:
        """Have a replica compile a constraint; see `Engine.check`."""
        if self._handle is None or self._lost:
            raise EngineUnavailable
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                refusal = await self._handle.check.remote(encode(constraint), route=Route())
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
        if self._handle is None or not heard:
            return EngineStats()
        ready = [stats for stats in heard if stats.ready]
        return dataclasses.replace(
            _sum_of(heard), ready=bool(ready), step_age_s=min(stats.step_age_s for stats in ready or heard)
        )

    async def aclose(self) -> None:
        """Leave the cluster, or end it where it is this process's own; see `Engine.aclose`."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        tasks = [*self._tasks.values(), *self._errands, *([self._poll] if self._poll else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leave(handle)

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
        if place is not None and isinstance(message, frames.StopChoice) and self._handle is not None:
            self._run(self._stop(message, Route(replica=place)))

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _stop(self, message: frames.StopChoice, route: Route) -> None:
        with contextlib.suppress(*_CLUSTER_ERRORS):
            async with asyncio.timeout(_REPORT_TIMEOUT_S):
                await self._handle.stop.remote(message.key, message.choice, route=route)

    async def _follow(self, request: GenerationRequest, generation: EngineGeneration) -> None:
        """Feed a generation until it ends; it fails where the cluster or this engine goes away.

        It is sent once more where its replica was lost before it said anything.
        """
        try:
            error = await self._attempt(request, generation)
            if error is None and request.id not in self._places:
                error = await self._attempt(request, generation)
            generation.fail(error or EngineFailed())
        except asyncio.CancelledError:
            generation.fail(EngineFailed())
            raise
        finally:
            self._tasks.pop(request.id, None)
            self._places.pop(request.id, None)

    async def _attempt(
        self, request: GenerationRequest, generation: EngineGeneration
    ) -> AntiphonError | None:
        """Deliver what a replica says; why nothing more comes, or None where the replica was lost."""
        try:
            async with contextlib.aclosing(self._groups(request)) as groups:
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

    async def _groups(self, request: GenerationRequest) -> AsyncGenerator[Group, None]:
        names = prefix_names(request.prompt, PAGE_TOKENS, request.cache_salt, MAX_ROUTE_PAGES)
        stream = self._handle.options(stream=True).generate.remote(
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
        """Hear of every replica in turn, busy or not; end what nothing will be heard of any more."""
        heard = time.monotonic()
        while True:
            await asyncio.sleep(_POLL_S)
            with contextlib.suppress(Exception):  # As long as it is asked, it is known who answers.
                await self._ask_one()
            heard = max([heard, *(when for _, when in self._reports.values())])
            lost = time.monotonic() - heard > _LOST_AFTER_S
            if lost and not self._lost:
                logger.error("ray: no replica has answered for %.0f s", _LOST_AFTER_S)
                for task in self._tasks.values():
                    task.cancel()
            self._lost = lost

    async def _ask_one(self) -> None:
        async with asyncio.timeout(_REPORT_TIMEOUT_S):
            report = decode_report(await self._handle.report.remote(route=Route()))
        self._reports[report.replica] = (report.stats, time.monotonic())

    def _deploy(self) -> Any:
        """The handle of the replicas, deployed if they are not. Blocks."""
        if not ray.is_initialized():
            cluster.join(self.options.address)
            self._joined = True
        return cluster.replicas(self.options.name, self._deployment)

    async def _leave(self, handle: Any) -> None:
        """Others may go on with the replicas; a cluster that is this process's own ends.

        Another's that is gone already cannot be left in order: it is not waited for.
        """
        self._handle = None
        own = self.options.address is None
        application = self.options.name if own and not self._joined else None
        thread = threading.Thread(target=_part, args=(handle, application, self._joined), daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, None if own else _LEAVE_S)
        if thread.is_alive():
            logger.warning("ray: the cluster does not answer: left without a word")

    def _deployment(self) -> Any:
        options = self.options
        scale: dict[str, Any] = {"num_replicas": options.replicas}
        if options.max_replicas > options.replicas:
            scale = {
                "autoscaling_config": AutoscalingConfig(
                    min_replicas=options.replicas,
                    max_replicas=options.max_replicas,
                    target_ongoing_requests=options.target_ongoing,
                    look_back_period_s=options.scaling_window_s,
                    metrics_interval_s=options.scaling_window_s / 3,
                    upscale_delay_s=options.scaling_window_s / 3,
                    downscale_delay_s=options.scaling_window_s * 10,
                )
            }
        return serve.deployment(
            EngineReplica,
            name="engine",
            max_ongoing_requests=1024,
            max_queued_requests=options.max_queued,
            graceful_shutdown_timeout_s=options.drain_s,
            health_check_period_s=5,
            ray_actor_options={"num_cpus": options.cpus},
            request_router_config=RequestRouterConfig(
                request_router_class=PrefixRouter, request_router_kwargs={"policy": options.policy}
            ),
            **scale,
        ).bind(self._make_engine, max(1, options.cpus), dict(options.facts))


async def _first_info(handle: Any, options: RayOptions) -> ModelInfo:
    """Wait for a replica that has loaded the model, and tell why there is none yet.

    Raises:
        EngineUnavailable: there will be none, or it is not as this server was asked for.
    """
    asked = asyncio.ensure_future(_ask_facts(handle, options))
    told = ""
    try:
        while not (await asyncio.wait([asked], timeout=_WAIT_S))[0]:
            state = await asyncio.to_thread(cluster.state, options.name)
            if state != told:
                logger.warning("ray: waiting for a replica: %s", state or "it loads the model")
            told = state
        return await asked
    finally:
        asked.cancel()


async def _ask_facts(handle: Any, options: RayOptions) -> ModelInfo:
    theirs = facts_from(await handle.facts.remote(route=Route()))
    cluster.check_alike(options.name, options.facts, theirs)
    return info_from(await handle.info.remote(route=Route()))


def _part(handle: Any, application: str | None, joined: bool) -> None:
    """Leave a cluster that this process joined; else delete the application, if it is named."""
    with contextlib.suppress(Exception):  # A cluster that is gone may answer anything.
        if handle is not None:
            handle.shutdown()  # Else it goes on telling of its load, and starts a cluster to tell.
        if joined:
            ray.shutdown()
        elif application is not None and handle is not None:
            serve.delete(application)


def _sum_of(reports: list[EngineStats]) -> EngineStats:
    """Every count added up."""
    counts = {
        field.name: sum(getattr(report, field.name) for report in reports)
        for field in dataclasses.fields(EngineStats)
        if field.name not in ("ready", "state", "step_age_s")
    }
    return EngineStats(**counts)
