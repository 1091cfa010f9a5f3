"""The ASGI application: routes over services, inside the middleware.

Everything it needs is handed in; nothing here starts, loads or listens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api.answering import Answering
from antiphon.api.keys import KeyRing
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.middleware.access_log import AccessLog
from antiphon.api.middleware.boundary import ErrorBoundary
from antiphon.api.middleware.guards import Guards
from antiphon.api.middleware.identity import Identity
from antiphon.api.middleware.origins import Origins
from antiphon.api.middleware.traced import Traced
from antiphon.api.options import ApiOptions
from antiphon.api.playground.pages import read_pages
from antiphon.api.routes.chat import ChatRoutes
from antiphon.api.routes.health import HealthRoutes
from antiphon.api.routes.legacy import LegacyRoutes
from antiphon.api.routes.models import ModelRoutes
from antiphon.api.routes.responses import ResponseRoutes
from antiphon.api.routes.stats import StatsRoutes
from antiphon.api.routes.stored import StoredRoutes
from antiphon.api.routes.tokens import TokenRoutes
from antiphon.api.routing import Dispatcher, Endpoint
from antiphon.service.completions import Completions
from antiphon.service.health import Health
from antiphon.service.models import ModelRegistry, PerModel
from antiphon.service.stored import StoredCompletions
from antiphon.service.text_completions import TextCompletions
from antiphon.service.tokenization import Tokenization
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.traces import NO_TRACES, Traces

__all__ = ["ApiApp", "ApiOptions", "Services", "create_app"]


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases that the routes offer."""

    completions: PerModel[Completions]
    models: ModelRegistry
    health: Health
    stored: StoredCompletions | None = None
    """None: completions are not stored, and the routes to stored ones are not there."""
    metrics: Metrics = field(default_factory=Metrics)
    texts: PerModel[TextCompletions] | None = None
    """None: there is no route to text completions."""
    tokenization: PerModel[Tokenization] | None = None
    """None: there are no routes to tokens."""
    traces: Traces = NO_TRACES


class ApiApp:
    """The application, and the handle by which its server ends it."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, options: ApiOptions) -> None:
        """Made by `create_app`."""
        self._app = app
        self.lifecycle = lifecycle
        self.options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)


def create_app(services: Services, options: ApiOptions) -> ApiApp:
    """Put the application together."""
    lifecycle = Lifecycle()
    dispatcher = Dispatcher(tuple(_endpoints(services, lifecycle, options)), KeyRing(options.api_keys))
    app: ASGIApp = ErrorBoundary(Guards(dispatcher, options))
    if options.allowed_origins:
        app = Origins(app, options.allowed_origins)
    app = AccessLog(app, services.metrics)
    if services.traces.on:
        app = Traced(app, services.traces)
    return ApiApp(Identity(app), lifecycle, options)


def create_metrics_app(metrics: Metrics) -> ApiApp:
    """The application of the listener for operators: `/metrics` and nothing else, without a key."""
    lifecycle, options = Lifecycle(), ApiOptions(playground=False)
    endpoint = Endpoint("GET", "/metrics", StatsRoutes(metrics).exposition, public=True)
    app = Identity(ErrorBoundary(Guards(Dispatcher((endpoint,), KeyRing(())), options)))
    return ApiApp(app, lifecycle, options)


def _endpoints(services: Services, lifecycle: Lifecycle, options: ApiOptions) -> Iterator[Endpoint]:
    answering = Answering(services.completions, services.stored, services.models, lifecycle, options)
    apart = None if services.stored is None else services.stored.apart("responses")
    chat = ChatRoutes(answering)
    responses = ResponseRoutes(replace(answering, stored=apart), services.tokenization)
    models = ModelRoutes(services.models)
    health = HealthRoutes(services.health, lifecycle)
    # Many users forget the /v1 in the base URL.
    for prefix in ("/v1", ""):
        yield Endpoint("POST", f"{prefix}/chat/completions", chat.create, public=False)
        if services.stored is not None:
            yield from _stored_endpoints(f"{prefix}/chat/completions", StoredRoutes(services.stored, options))
        yield from _response_endpoints(f"{prefix}/responses", responses)
        yield from _text_endpoints(prefix, services, lifecycle, options)
        yield Endpoint("GET", f"{prefix}/models", models.list, public=False)
        yield Endpoint("GET", f"{prefix}/models/{{model_id:path}}", models.retrieve, public=False)
    yield Endpoint("GET", "/v1/antiphon/stats", StatsRoutes(services.metrics).stats, public=False)
    yield Endpoint("GET", "/health/live", health.live, public=True)
    yield Endpoint("GET", "/health/ready", health.ready, public=True)
    yield Endpoint("GET", "/health", health.report, public=False)
    if options.playground:
        yield from (page.endpoint() for page in read_pages())


def _text_endpoints(
    prefix: str, services: Services, lifecycle: Lifecycle, options: ApiOptions
) -> Iterator[Endpoint]:
    if services.texts is not None:
        legacy = LegacyRoutes(services.texts, services.models, lifecycle, options)
        yield Endpoint("POST", f"{prefix}/completions", legacy.create, public=False)
    if services.tokenization is not None:
        tokens = TokenRoutes(services.tokenization, services.models, options)
        yield Endpoint("POST", f"{prefix}/tokenize", tokens.tokenize, public=False)
        yield Endpoint("POST", f"{prefix}/detokenize", tokens.detokenize, public=False)


def _response_endpoints(path: str, responses: ResponseRoutes) -> Iterator[Endpoint]:
    one = f"{path}/{{response_id}}"
    yield Endpoint("POST", path, responses.create, public=False)
    yield Endpoint("POST", f"{path}/input_tokens", responses.count_input, public=False)
    yield Endpoint("GET", one, responses.retrieve, public=False)
    yield Endpoint("DELETE", one, responses.delete, public=False)
    yield Endpoint("POST", f"{one}/cancel", responses.cancel, public=False)
    yield Endpoint("GET", f"{one}/input_items", responses.input_items, public=False)


def _stored_endpoints(path: str, stored: StoredRoutes) -> Iterator[Endpoint]:
    one = f"{path}/{{completion_id}}"
    yield Endpoint("GET", path, stored.list, public=False)
    yield Endpoint("GET", one, stored.retrieve, public=False)
    yield Endpoint("POST", one, stored.update, public=False)
    yield Endpoint("DELETE", one, stored.delete, public=False)
    yield Endpoint("GET", f"{one}/messages", stored.messages, public=False)
