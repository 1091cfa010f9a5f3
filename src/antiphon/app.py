"""The composition root: settings in, a running server out. The one place where all parts meet.

Order of the start: the address can be had, the model is prepared, the store is open, the engine has
loaded the model, the port opens, the banner appears. What goes wrong before the port opens is a
`StartError`. Order of the end: no new work, running answers finish within the drain time, the engine
process ends.

Invariant: a stop signal at any moment ends the process without a traceback and leaves no child.
"""

import asyncio
import errno
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from antiphon.api.app import ApiApp, ApiOptions, Services, create_app, create_metrics_app
from antiphon.api.options import LOOPBACK_HOSTS
from antiphon.api.server import new_event_loop, serve, served
from antiphon.assembly import AssembledModel, OpenProgress, StartError, assembled
from antiphon.config import is_loopback, servers_folder
from antiphon.core.errors import EngineUnavailable
from antiphon.core.ports import CompletionStore
from antiphon.engine.backends.fake import ScriptSource, improvise
from antiphon.servers import announced, running_servers
from antiphon.service.admission import Admission, AdmissionOptions
from antiphon.service.completions import Completions, CompletionsOptions
from antiphon.service.health import Health
from antiphon.service.models import ModelEntry, ModelRegistry, PerModel
from antiphon.service.stored import StoredCompletions
from antiphon.service.text_completions import TextCompletions
from antiphon.service.tokenization import Tokenization
from antiphon.settings import Settings
from antiphon.store.errors import StoreError
from antiphon.stores import opened_store
from antiphon.telemetry.lag import lag_measured
from antiphon.telemetry.logs import configure_logging
from antiphon.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_SAME_SIGNAL_S = 1.0
"""A signal to a process group may come twice, from the sender and passed on by make or a shell."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that accepts connections, in the words of its banner."""

    base_url: str
    model: str
    aliases: tuple[str, ...]
    host: str
    loopback: bool
    """Only this machine can connect."""
    keys: int
    """How many keys open it; with none, no key is asked for."""
    playground: bool = False
    """There is a page for people at the root."""
    others: tuple[str, ...] = ()
    """Further models, which are loaded when they are asked for."""


def run(
    settings: Settings,
    open_progress: OpenProgress,
    on_ready: Callable[[Serving], None],
    script: ScriptSource = improvise,
) -> None:
    """Serve until a stop signal; blocks the main thread. `script` is what the fake engine says.

    Raises:
        StartError: the server cannot start; nothing is left running.
        KeyboardInterrupt: a stop signal came before the model was prepared.
    """
    configure_logging(settings.log_level, settings.log_format)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _check_address(settings.host, settings.port)
    models = assembled(settings, open_progress, script)
    runner = asyncio.Runner(loop_factory=new_event_loop)
    with ExitStack() as announcement, runner, suppress(asyncio.CancelledError):

        def tell(serving: Serving) -> None:
            announcement.enter_context(
                announced(servers_folder(), serving.base_url, serving.model, serving.others)
            )
            on_ready(serving)

        runner.run(_serve(settings, models, tell))


def _check_address(host: str, port: int) -> None:
    """Bind without listening: a taken port is told before a model is fetched, and nobody can connect yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise _cannot_listen(host, port, error) from error


def _cannot_listen(host: str, port: int, error: OSError) -> StartError:
    running = running_servers(servers_folder()) if error.errno == errno.EADDRINUSE else []
    ours = [server.pid for server in running if urlsplit(server.url).port == port]
    there = f"; your server {ours[0]} is there, `antiphon stop {port}` ends it" if ours else ""
    return StartError(
        f"cannot listen on {host} port {port}: {error.strerror} (choose with --host and --port{there})"
    )


async def _serve(
    settings: Settings,
    models: Sequence[AssembledModel],
    on_ready: Callable[[Serving], None],
) -> None:
    """Open the store, start the first model's engine, listen, and end all in order.

    Raises:
        StartError: the store cannot be opened, the engine cannot load the model, or the port is
            taken after all.
        asyncio.CancelledError: a stop signal came before the port opened, or a second one.
    """
    stop = StopSignals()
    try:
        async with opened_store(settings) as store:
            await models[0].parts.engine.start()
            metrics = Metrics()
            app, registry = build_app(settings, models, store, metrics)

            def announce(port: int) -> None:
                stop.gentle = True
                on_ready(_describe(settings, registry, port))

            async with lag_measured(metrics), _metrics_served(settings, metrics), models[0].watched():
                await serve(
                    app,
                    settings.host,
                    settings.port,
                    announce,
                    shutdown=stop.requested,
                    grace_s=settings.drain_s,
                )
    except StoreError as error:
        raise StartError(f"store: {error}") from error
    except EngineUnavailable as error:
        unknown = f"{settings.model[0]}: the engine cannot load this model (the log says why)"
        raise StartError(error.reason or unknown) from None
    except OSError as error:
        raise _cannot_listen(settings.host, settings.port, error) from error
    finally:
        await asyncio.gather(*(model.parts.engine.aclose() for model in models))
        await asyncio.to_thread(models[0].parts.traces.close)


@asynccontextmanager
async def _metrics_served(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    """Let operators read the metrics until the block ends, where a port is set for it.

    Raises:
        StartError: the port cannot be listened on.
    """
    host, port = settings.metrics_host, settings.metrics_port
    async with AsyncExitStack() as stack:
        if port:
            try:
                await stack.enter_async_context(served(create_metrics_app(metrics), host, port))
            except OSError as error:
                raise StartError(
                    f"metrics_port: cannot listen on {host} port {port}: {error.strerror}"
                ) from error
            logger.info("metrics: http://%s:%d/metrics", host, port)
        yield


def build_app(
    settings: Settings,
    models: Sequence[AssembledModel],
    store: CompletionStore | None = None,
    metrics: Metrics | None = None,
) -> tuple[ApiApp, ModelRegistry]:
    """The ASGI application over models whose facts are known, and the names it answers to."""
    metrics = metrics or Metrics()
    entries = [_entry(model) for model in models]
    registry = ModelRegistry(entries, int(time.time()))
    services = {model.id: _services(settings, model, metrics) for model in models}
    app_services = Services(
        completions=PerModel(registry, {id: each.completions for id, each in services.items()}),
        models=registry,
        health=Health({model.id: model.parts.engine for model in models}),
        stored=None if store is None else StoredCompletions(store),
        metrics=metrics,
        texts=PerModel(registry, {id: each.texts for id, each in services.items()}),
        tokenization=PerModel(registry, {id: each.tokenization for id, each in services.items()}),
        traces=models[0].parts.traces,
    )
    return create_app(app_services, _api_options(settings)), registry


def _entry(model: AssembledModel) -> ModelEntry:
    engine = model.parts.engine
    return ModelEntry(
        lambda: engine.info, model.aliases, model.defaults, has_system_prompt=bool(model.parts.system_prompt)
    )


@dataclass(frozen=True, slots=True)
class _ModelServices:
    completions: Completions
    texts: TextCompletions
    tokenization: Tokenization


def _services(settings: Settings, model: AssembledModel, metrics: Metrics) -> _ModelServices:
    """The use cases of one model. Each has limits of its own, so that none is full for the others."""
    parts, figures = model.parts, metrics.of_model(model.id)
    admission = Admission(AdmissionOptions(settings.max_choices, settings.max_prompt_tokens))
    strict = settings.openai_strict_schemas
    metrics.watch_engine(model.id, parts.engine.stats)
    metrics.watch_choices(model.id, lambda: admission.choices)
    return _ModelServices(
        Completions(parts, admission, CompletionsOptions(openai_strict_schemas=strict), figures),
        TextCompletions(parts, admission, figures, openai_strict_schemas=strict),
        Tokenization(parts),
    )


def _api_options(settings: Settings) -> ApiOptions:
    return ApiOptions(
        api_keys=frozenset(settings.api_key),
        allowed_hosts=LOOPBACK_HOSTS | {name.lower() for name in settings.allow_host},
        allowed_origins=frozenset(settings.allow_origin),
        strict_fields=settings.strict_fields,
        playground=settings.playground,
        reasoning_field=settings.reasoning_field,
    )


def _describe(settings: Settings, registry: ModelRegistry, port: int) -> Serving:
    names = registry.list()
    model, *others = (name.id for name in names if name.alias_of is None)
    # A wildcard address is for listening; one connects to a real one.
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return Serving(
        base_url=f"http://{f'[{address}]' if ':' in address else address}:{port}/v1",
        model=model,
        others=tuple(others),
        aliases=tuple(name.id for name in names if name.alias_of == model),
        host=settings.host,
        loopback=is_loopback(settings.host),
        keys=len(settings.api_key),
        playground=settings.playground,
    )


class StopSignals:
    """SIGINT and SIGTERM: the first asks for a gentle stop, a later second one for an abrupt stop.

    Until `gentle` is set there is nothing to drain and the first is abrupt too. Abrupt means that
    the task which made this object is cancelled.
    """

    def __init__(self) -> None:
        """Take over both signals on the running loop."""
        self.requested = asyncio.Event()
        self.gentle = False
        self._first_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self.receive)

    def receive(self) -> None:
        """A signal has come."""
        now = self._loop.time()
        if self._first_at is None:
            self._first_at = now
            self.requested.set()
            abrupt = not self.gentle
        else:
            abrupt = now - self._first_at > _SAME_SIGNAL_S
        if abrupt and self._task is not None:
            self._task.cancel()
