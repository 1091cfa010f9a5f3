"""`GET /health/live` and `GET /health/ready`, for supervisors and load balancers.

Live: the process answers. Ready: a request sent now would be answered.
"""

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse
from antiphon.api.lifecycle import Lifecycle
from antiphon.service.health import Health


class HealthRoutes:
    """The server's health over HTTP."""

    def __init__(self, health: Health, lifecycle: Lifecycle) -> None:
        """Tell of this engine and this server."""
        self._health = health
        self._lifecycle = lifecycle

    async def live(self, request: Request) -> Response:
        """200 for as long as the process answers at all."""
        return JsonResponse({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """200 while requests are taken and the engine makes progress, else 503."""
        if self._lifecycle.draining:
            return JsonResponse({"status": "draining"}, 503)
        if not self._health.ready():
            return JsonResponse({"status": "unavailable"}, 503)
        return JsonResponse({"status": "ready"})
