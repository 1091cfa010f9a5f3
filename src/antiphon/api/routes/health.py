"""`GET /health/live` and `GET /health/ready`, for supervisors and load balancers; `GET /health` for people.

Live: the process answers. Ready: a request sent now would be answered. How each model is, is told to
those who may use the server.
"""

from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse
from antiphon.api.lifecycle import Lifecycle
from antiphon.service.health import Health

_CODES = MappingProxyType({"ready": 200, "draining": 503, "unavailable": 503})


class HealthRoutes:
    """The server's health over HTTP."""

    def __init__(self, health: Health, lifecycle: Lifecycle) -> None:
        """Tell of these engines and this server."""
        self._health = health
        self._lifecycle = lifecycle

    async def live(self, request: Request) -> Response:
        """200 for as long as the process answers at all."""
        return JsonResponse({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """200 while requests are taken and an engine makes progress, else 503."""
        status = self._status()
        return JsonResponse({"status": status}, _CODES[status])

    async def report(self, request: Request) -> Response:
        """The same, and how each model is."""
        status = self._status()
        return JsonResponse({"status": status, "models": self._health.models()}, _CODES[status])

    def _status(self) -> str:
        if self._lifecycle.draining:
            return "draining"
        return "ready" if self._health.ready() else "unavailable"
