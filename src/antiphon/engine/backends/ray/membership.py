"""Membership of this process in a Ray cluster: enters it, holds the handle of the replicas, leaves it.

`cluster` knows how each of these is done; here is in which order, and what is given back where one fails.
Ray itself never comes back to a cluster that was gone: it is left and entered anew.

Invariant: there is a handle only where a replica has answered, and is what the options ask for.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig

from antiphon.core.errors import EngineUnavailable
from antiphon.core.generation import ModelInfo
from antiphon.engine.backends.ray import cluster
from antiphon.engine.backends.ray.replica import EngineReplica, MakeEngine, facts_from, info_from
from antiphon.engine.backends.ray.router import Policy, PrefixRouter, Route

logger = logging.getLogger(__name__)

_LEAVE_S = 10.0
_WAIT_S = 5.0
_AGAIN_S = 2.0


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


class Membership:
    """Entered and left by its owner, any number of times."""

    def __init__(self, make_engine: MakeEngine, options: RayOptions) -> None:
        """`make_engine` makes a replica's engine on its node; it is sent there by its name and arguments."""
        self._make_engine = make_engine
        self._options = options
        self._handle: Any = None
        self._is_member = False
        self._joined = False
        """Ray was not there in this process before; it may be in tests."""

    @property
    def handle(self) -> Any:
        """Ray Serve's handle of the replicas.

        Raises:
            EngineUnavailable: not entered, or left.
        """
        if not self._is_member:
            raise EngineUnavailable
        return self._handle

    async def enter(self) -> ModelInfo:
        """Join the cluster, deploy replicas if there are none, and wait until one has loaded the model.

        Raises:
            EngineUnavailable: the reason says what is wrong; nothing is left behind.
        """
        try:
            try:
                self._handle = await asyncio.to_thread(self._deploy)
            finally:
                cluster.restore_stop_signal()
            info = await _first_info(self._handle, self._options)
        except EngineUnavailable:
            await self.leave()
            raise
        except Exception as error:  # Ray, and what it starts, raise whatever they like.
            await self.leave()
            raise EngineUnavailable(reason="ray: the replicas cannot be had (the log says why)") from error
        self._is_member = True
        return info

    async def enter_anew(self) -> ModelInfo:
        """Leave, and try to enter until there is a cluster with a replica, however long that takes."""
        await self.leave()
        told = ""
        while True:
            try:
                info = await self.enter()
            except EngineUnavailable as error:
                if error.reason != told:
                    logger.warning("%s: tried again every %.0f s", error.reason, _AGAIN_S)
                told = error.reason
                await asyncio.sleep(_AGAIN_S)
            else:
                logger.info("ray: joined anew")
                return info

    async def is_whole(self) -> bool:
        """Whether the cluster's head answers."""
        return await asyncio.to_thread(cluster.answers)

    async def leave(self) -> None:
        """Others may go on with the replicas; a cluster that is this process's own ends.

        Another's that is gone already cannot be left in order: it is not waited for.
        """
        handle, joined = self._handle, self._joined
        self._handle, self._joined, self._is_member = None, False, False
        own = self._options.address is None
        application = self._options.name if own and not joined else None
        thread = threading.Thread(target=_part, args=(handle, application, joined), daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, None if own else _LEAVE_S)
        if thread.is_alive():
            logger.warning("ray: the cluster does not answer: left without a word")

    def _deploy(self) -> Any:
        """The handle of the replicas, deployed if they are not. Blocks."""
        if not ray.is_initialized():
            cluster.join(self._options.address)
            self._joined = True
        return cluster.replicas(self._options.name, self._deployment)

    def _deployment(self) -> Any:
        options = self._options
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
