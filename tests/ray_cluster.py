"""A Ray cluster of the tests' own: several nodes on this machine, which can be killed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import Any

from antiphon.core.generation import GenerationRequest
from antiphon.engine.backends.fake import FakeEngine, Script
from antiphon.engine.pages import prefix_names
from antiphon.telemetry.optout import silence_ray

PAGE_TOKENS = 32
_LEAVE_S = 15.0
"""Replicas end when their node is gone; others' on this machine do not."""
SLOWLY_S = 0.02
"""Between two tokens of `slow_engine`."""


def slow_engine() -> FakeEngine:
    """An engine whose answers, of as many tokens as are asked for, take a while."""
    return FakeEngine(_slow_script)


def _slow_script(request: GenerationRequest, choice: int) -> Script:
    return Script([(65 + choice,)] * request.max_tokens, "length", delay_s=SLOWLY_S)


def remembering_engine() -> FakeEngine:
    """An engine that knows, as a prefix cache does, which beginnings of prompts it has seen."""
    return FakeEngine(_Remembering())


class _Remembering:
    """Says one token, and how much of the prompt was known."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def __call__(self, request: GenerationRequest, choice: int) -> Script:
        names = prefix_names(request.prompt, PAGE_TOKENS, request.cache_salt)
        run = sum(1 for _ in takewhile(self._known.__contains__, names))
        self._known.update(names)
        return Script([(65,)] * request.max_tokens, "length", cached_tokens=run * PAGE_TOKENS)


def replica_processes() -> list[int]:
    """The processes that run replicas on this machine."""
    listing = subprocess.run(["ps", "-e", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 1) for line in listing.stdout.splitlines())
    return [int(pid) for pid, command in rows if command.startswith("ray::ServeReplica")]


def kill(pids: Sequence[int]) -> None:
    """As by the kernel when memory runs out."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@contextmanager
def running(nodes: int, head_cpus: int = 0, port: int | None = None) -> Iterator[Any]:
    """A cluster whose head runs so many replicas of one core, with this many nodes that run one each.

    With a port, that is where the head is joined.
    """
    from ray.cluster_utils import Cluster

    silence_ray()
    cluster = Cluster()
    try:
        _patiently(cluster.add_node, num_cpus=head_cpus, include_dashboard=False, gcs_server_port=port)
        for _ in range(nodes):
            _patiently(cluster.add_node, num_cpus=1)
        yield cluster
    finally:
        replicas = set(replica_processes())
        for node in cluster.list_all_nodes():  # In order each would drain first, for up to half a minute.
            cluster.remove_node(node, allow_graceful=False)
        cluster.shutdown()
        deadline = time.monotonic() + _LEAVE_S
        while replicas & set(replica_processes()) and time.monotonic() < deadline:
            time.sleep(0.1)


def _patiently(add_node: Callable[..., Any], **options: Any) -> None:
    """On a busy machine Ray's processes may miss deadlines of its own."""
    for _ in range(2):
        with suppress(Exception):
            add_node(**options)
            return
    add_node(**options)
