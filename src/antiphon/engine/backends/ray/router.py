"""Ray Serve's request router that follows `PrefixAffinity`; it lives in the process that sends requests.

What a call wants is told by its keyword `route`: a `Route` of page names, of one replica by name, or
of nothing, which takes replicas in turn.
"""

import itertools
import random
from dataclasses import dataclass
from typing import Any, Literal

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from antiphon.engine.backends.ray.affinity import PrefixAffinity

Policy = Literal["prefix", "random"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call should go."""

    names: tuple[bytes, ...] = ()
    """Names of the prompt's pages."""
    replica: str | None = None
    """This one and no other."""


class PrefixRouter(RequestRouter):  # type: ignore[misc]  # Read as untyped.
    """Ranks replicas for each call."""

    def initialize_state(self, policy: Policy = "prefix") -> None:
        """`random` is what `prefix` is measured against."""
        self._policy = policy
        self._affinity = PrefixAffinity()
        self._turns = itertools.count()
        self._chance = random.Random(0)
        self._sent: dict[str, set[str]] = {}
        """Ids of the requests that this router has in each replica's hands."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Each rank holds one replica, best first."""
        by_name = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        route = _route(pending_request)
        if route.replica is not None:
            return [[by_name[route.replica]]] if route.replica in by_name else []
        if not route.names:
            turn = next(self._turns) % max(1, len(by_name))
            names = sorted(by_name)
            return [[by_name[name]] for name in (*names[turn:], *names[:turn])]
        if self._policy == "random":
            return [self._chance.sample(candidate_replicas, len(candidate_replicas))]
        self._sent = {name: ids for name, ids in self._sent.items() if name in by_name}
        loads = {name: self._load(replica) for name, replica in by_name.items()}
        return [[by_name[name]] for name in self._affinity.rank(route.names, loads)]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Remember where a prompt went."""
        name = replica_id.unique_id
        self._affinity.record(_route(pending_request).names, name)
        self._sent.setdefault(name, set()).add(pending_request.metadata.internal_request_id)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """It is in nobody's hands any more."""
        self._sent.get(replica_id.unique_id, set()).discard(internal_request_id)

    def _load(self, replica: RunningReplica) -> int:
        """Requests in its hands: those of this router at once, those of others as Ray heard of them last."""
        heard = self.replica_queue_len_cache.get(replica.replica_id) or 0
        return max(heard, len(self._sent.get(replica.replica_id.unique_id, ())))


def _route(pending_request: PendingRequest | None) -> Route:
    route = pending_request.kwargs.get("route") if pending_request is not None else None
    return route if isinstance(route, Route) else Route()
