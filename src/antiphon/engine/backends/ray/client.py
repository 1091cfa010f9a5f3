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
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.exceptions import BackPressureError, RayServeException

from antiphon.core.errors import AntiphonError, EngineFailed, EngineUnavailable, Overloaded, SchemaRefused
from antiphon.core.generation import Constraint, EngineStats, GenerationRequest, ModelInfo
from antiphon.engine import frames
from antiphon.engine.backends.ray.messages import Group, decode_group, decode_report, encode, error_of
from antiphon.engine.backends.ray.replica import EngineReplica, MakeEngine, info_from
from antiphon.engine.backends.ray.router import Policy, PrefixRouter, Route
from antiphon.engine.client import EngineGeneration
from antiphon.engine.pages import prefix_names
from antiphon.telemetry.optout import silence_ray

logger = logging.getLogger(__name__)

PAGE_TOKENS = 32
MAX_ROUTE_PAGES = 256
"""Pages that are told to the router: a longer common prefix tells it nothing more."""
_CHECK_TIMEOUT_S = 15.0
_REPORT_TIMEOUT_S = 5.0
_POLL_S = 1.0
_FORGET_AFTER_S = 15.0
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


class RayEngine:
    """Implements `core.ports.Engine`."""

    def __init__(self, make_engine: MakeEngine, options: RayOptions) -> None:
        """`make_engine` makes a replica's engine on its node; it is sent there by its name and arguments."""
        self._make_engine = make_engine
        self.options = options
        self._handle: Any = None
        self._owns_cluster = False
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
            self._handle = await asyncio.to_thread(self._deploy)
            self._info = info_from(await self._handle.info.remote(route=Route()))
            await self._ask_one()
        except Exception as error:  # Ray, and what it starts, raise whatever they like.
            logger.error("ray: the replicas cannot be had", exc_info=error)
            self._handle = None
            raise EngineUnavailable from None
        self._poll = asyncio.create_task(self._keep_asking(), name="ray reports")

    def generate(self, request: GenerationRequest) -> EngineGeneration:
        """Send a request on its way; see `Engine.generate`."""
        if self._handle is None:
            raise EngineUnavailable
        generation = EngineGeneration(self, request)
        task = asyncio.create_task(self._follow(request, generation), name="ray generation")
        self._tasks[request.id] = task
        return generation

    async def check(self, constraint: Constraint) -> None:
        """Have a replica compile a constraint; see `Engine.check`."""
        if self._handle is None:
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
        with contextlib.suppress(*_CLUSTER_ERRORS):
            await (
                handle.shutdown_async()
            )  # Else it goes on telling of its load, and starts a cluster to tell.
        await asyncio.to_thread(self._leave)

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
        """Hear of every replica in turn, busy or not."""
        while True:
            await asyncio.sleep(_POLL_S)
            with contextlib.suppress(*_CLUSTER_ERRORS):
                await self._ask_one()

    async def _ask_one(self) -> None:
        async with asyncio.timeout(_REPORT_TIMEOUT_S):
            report = decode_report(await self._handle.report.remote(route=Route()))
        self._reports[report.replica] = (report.stats, time.monotonic())

    def _deploy(self) -> Any:
        """The handle of the replicas, deployed if they are not. Blocks."""
        options = self.options
        if not ray.is_initialized():
            self._owns_cluster = True
            _join(options.address)
        serve.start(proxy_location="Disabled")
        if options.name in serve.status().applications:
            return serve.get_app_handle(options.name)
        return serve.run(self._deployment(), name=options.name, route_prefix=None)

    def _leave(self) -> None:
        """Others may go on with the replicas of a cluster that was joined. Blocks."""
        if self._owns_cluster:
            ray.shutdown()
        elif self.options.address is None:
            serve.delete(self.options.name)

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
        ).bind(self._make_engine, max(1, options.cpus))


def _join(address: str | None, attempts: int = 3) -> None:
    """Join a cluster, or start one. On a busy machine Ray's processes may miss deadlines of its own."""
    silence_ray()
    try:
        ray.init(
            address=address or "local",  # Without one Ray would join any cluster it finds on the machine.
            namespace="antiphon",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            configure_logging=False,
        )
    except Exception:  # Ray raises bare ones.
        ray.shutdown()
        if attempts == 1:
            raise
        _join(address, attempts - 1)


def application_name(model_id: str, facts: object) -> str:
    """The name under which servers whose replicas would be alike in these facts find each other's."""
    digest = hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:12]
    return f"antiphon-{model_id}-{digest}"


def _sum_of(reports: list[EngineStats]) -> EngineStats:
    """Every count added up."""
    counts = {
        field.name: sum(getattr(report, field.name) for report in reports)
        for field in dataclasses.fields(EngineStats)
        if field.name not in ("ready", "state", "step_age_s")
    }
    return EngineStats(**counts)
