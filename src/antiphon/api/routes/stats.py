"""`GET /v1/antiphon/stats`: the server's figures at this moment, for the dashboard.

They are of the whole server, whoever asks, and hold counts and times only.
"""

import time

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.bodies import JsonResponse
from antiphon.telemetry.metrics import CONTENT_TYPE, Metrics


class StatsRoutes:
    """The server's figures over HTTP."""

    def __init__(self, metrics: Metrics) -> None:
        """Show these."""
        self._metrics = metrics

    async def stats(self, request: Request) -> Response:
        """Every series by name: a list of pairs of labels and value."""
        figures = {"object": "antiphon.stats", "time": time.time(), "series": self._metrics.samples()}
        return JsonResponse(figures, headers={"cache-control": "no-store"})

    async def exposition(self, request: Request) -> Response:
        """The same, in Prometheus' text format; served by a listener of its own."""
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)
