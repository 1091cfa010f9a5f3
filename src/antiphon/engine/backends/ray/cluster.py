"""Joins a Ray cluster, and finds the replicas there or deploys them. Everything here blocks.

Servers that give the same name share the replicas: the first deploys them, the others join, also where
several start at the same moment. What they are made of is told by `facts`, by setting; a server whose own
facts are others is refused, for it would get other answers than it was asked to give.

Invariant: no server redeploys or deletes replicas that another one may use, unless they failed to start.
"""

import logging
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import ray
from ray import serve
from ray.exceptions import ActorAlreadyExistsError, AuthenticationError
from ray.serve.schema import ApplicationStatus

from antiphon.core.errors import EngineUnavailable
from antiphon.telemetry.optout import silence_ray

logger = logging.getLogger(__name__)

_CONNECT_S: Final = 5.0
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.5
_GOING: Final = (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.DELETING)


def join(address: str | None) -> None:
    """Join a cluster; without an address, start one on this machine.

    On a busy machine Ray's processes may miss deadlines of its own, so that is tried again.

    Raises:
        EngineUnavailable: it cannot be joined; the reason names the setting.
    """
    silence_ray()
    if address is not None:
        _check_reachable(address)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _init(address)
        except (Exception, SystemExit) as error:  # Ray raises bare ones, and ends where it times out.
            ray.shutdown()
            reason = reason_of(address, error)
            if reason is not None:
                raise EngineUnavailable(reason=reason) from None
            if attempt == _ATTEMPTS:
                raise EngineUnavailable(
                    reason="ray: the cluster cannot be joined (the log says why)"
                ) from error
        else:
            return


def _init(address: str | None) -> None:
    ray.init(
        address=address or "local",  # Without one Ray would join any cluster it finds on the machine.
        namespace="antiphon",
        include_dashboard=False if address is None else None,
        log_to_driver=False,
        configure_logging=False,
    )


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal():
        raise EngineUnavailable(reason=f"ray_address: {address} is neither HOST:PORT nor auto")
    if not _answers_at(host, int(port)):
        raise EngineUnavailable(reason=f"ray_address: nothing answers at {address}")


def _answers_at(host: str, port: int) -> bool:
    try:
        socket.create_connection((host.strip("[]"), port), _CONNECT_S).close()
    except (OSError, OverflowError):
        return False
    return True


def reason_of(address: str | None, error: BaseException) -> str | None:
    """What is wrong with the address, in words for whoever starts the server; None where that is not it."""
    text = str(error)
    if "Version mismatch" in text:
        versions = re.findall(r"(Ray|Python): (\d[\w.]*)", text)
        theirs, ours = (
            " and ".join(f"{name} {number}" for name, number in part)
            for part in (versions[:2], versions[2:4])
        )
        return f"ray_address: the cluster runs {theirs}, this server {ours}; they must be the same"
    if isinstance(error, AuthenticationError):
        return "ray_address: the cluster asks for another token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)"
    if address == "auto" and isinstance(error, ConnectionError):
        return "ray_address: no Ray cluster runs on this machine (ray start)"
    if address is not None and isinstance(error, SystemExit | ConnectionError):
        return f"ray_address: what answers at {address} is not a Ray cluster of this version"
    return None


def answers() -> bool:
    """Whether the head of the joined cluster does. Replicas go on without it, but Ray ends all soon."""
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return _answers_at(host, int(port))


def restore_stop_signal() -> None:
    """Give SIGTERM back to Python. Ray's own handler aborts the process three seconds after the signal.

    For the main thread; nothing elsewhere, where Python cannot.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def replicas(name: str, deployment: Callable[[], Any]) -> Any:
    """The handle of the replicas of this name, deployed if there are none; they may not run yet."""
    _start_serve()
    while not _deployed(name):
        with _turn(name) as mine:
            if mine and not _deployed(name):
                target = serve.RunTarget(target=deployment(), name=name, route_prefix=None)
                return serve.run_many([target], wait_for_applications_running=False)[0]
        time.sleep(_PAUSE_S)
    return serve.get_app_handle(name)


def state(name: str) -> str:
    """Why there is no replica yet, in Ray's words.

    Raises:
        EngineUnavailable: there will be none.
    """
    found = serve.status().applications.get(name)
    if found is None or found.status in _GOING:
        logger.error("ray: %s", found.message if found else "the replicas were deleted")
        raise EngineUnavailable(reason="ray: the replicas could not be started (the log says why)")
    told = [deployment.message for deployment in found.deployments.values()]
    return " ".join(part for part in told if part).partition("\n")[0]


def check_alike(name: str, own: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    """See that replicas are what this server was asked for.

    Raises:
        EngineUnavailable: they are not; the reason names each setting.
    """
    differing = [key for key in {**theirs, **own} if theirs.get(key, "") != own.get(key, "")]
    if differing:
        there, here = (
            ", ".join(f"{key}={facts.get(key) or 'none'}" for key in differing) for facts in (theirs, own)
        )
        raise EngineUnavailable(
            reason=f"ray: the replicas of {name} on this cluster run with {there}; this server was given "
            f"{here}. Give it the same, or end them first (docs/guides/cluster.md)"
        )


def _start_serve() -> None:
    """Ray's own start of two servers at once would fail for one of them."""
    for _ in range(_ATTEMPTS):
        with suppress(ActorAlreadyExistsError):
            serve.start(proxy_location="Disabled")
            return
        time.sleep(_PAUSE_S)
    serve.start(proxy_location="Disabled")


def _deployed(name: str) -> bool:
    """Whether the replicas run or will; what failed to start is deployed anew."""
    found = serve.status().applications.get(name)
    return found is not None and found.status not in _GOING


@ray.remote(num_cpus=0)
class _Turn:
    """Its name is held by one server of the cluster, and free again when that is gone."""


@contextmanager
def _turn(name: str) -> Iterator[bool]:
    """Whether this is the one server that may deploy now."""
    try:
        holder = _Turn.options(name=f"{name}-turn").remote()  # type: ignore[attr-defined]  # Ray adds it.
    except ActorAlreadyExistsError:
        yield False
        return
    try:
        yield True
    finally:
        ray.kill(holder)
