"""The composition root: settings in, a running server out. The one place where all parts meet.

Order of the start: the address can be had, the model is prepared, the store is open, the engine has
loaded the model, the port opens, the banner appears. What goes wrong before the port opens is a
`StartError`. Order of the end: no new work, running answers finish within the drain time, the engine
process ends.

Invariant: a stop signal at any moment ends the process without a traceback and leaves no child.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from antiphon.api.app import ApiApp, ApiOptions, Services, create_app, create_metrics_app
from antiphon.api.options import LOOPBACK_HOSTS
from antiphon.api.server import new_event_loop, serve, served
from antiphon.config import (
    Settings,
    cache_folder,
    hub_options,
    is_loopback,
    servers_folder,
    traces_wanted,
)
from antiphon.core.errors import EngineUnavailable
from antiphon.core.ports import CompletionStore, Engine
from antiphon.engine.backends.fake import ScriptSource, fake_parts, improvise
from antiphon.engine.backends.vllm.program import VllmProgram
from antiphon.engine.client import EngineClient
from antiphon.engine.process import EngineOptions
from antiphon.models.chat_template import load_chat_template
from antiphon.models.errors import ModelError
from antiphon.models.folder import DESCRIBED, OPENVINO, SAFETENSORS, PreparedModel
from antiphon.models.prepare import prepare
from antiphon.models.progress import Progress, Silent
from antiphon.models.tokenizer import load_tokenizer
from antiphon.servers import announced
from antiphon.service.admission import Admission, AdmissionOptions
from antiphon.service.completions import Completions, CompletionsOptions
from antiphon.service.generations import ModelParts
from antiphon.service.health import Health
from antiphon.service.models import ModelRegistry
from antiphon.service.stored import StoredCompletions
from antiphon.service.text_completions import TextCompletions
from antiphon.service.tokenization import Tokenization
from antiphon.store.errors import StoreError
from antiphon.stores import opened_store
from antiphon.telemetry.lag import lag_measured
from antiphon.telemetry.logs import configure_logging
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.traces import NO_TRACES, Traces

logger = logging.getLogger(__name__)

OpenProgress = Callable[[], AbstractContextManager[Progress]]

_SAME_SIGNAL_S = 1.0
"""A signal to a process group may come twice, from the sender and passed on by make or a shell."""


class StartError(Exception):
    """The server cannot start; the text is one line for the operator."""


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
    try:
        parts = _load_parts(settings, open_progress, script)
    except ModelError as error:
        raise StartError(str(error)) from error
    runner = asyncio.Runner(loop_factory=new_event_loop)
    with ExitStack() as announcement, runner, suppress(asyncio.CancelledError):

        def tell(serving: Serving) -> None:
            announcement.enter_context(announced(servers_folder(), serving.base_url, serving.model))
            on_ready(serving)

        runner.run(_serve(settings, parts, tell))


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
    return StartError(
        f"cannot listen on {host} port {port}: {error.strerror} (choose with --host and --port)"
    )


def _load_parts(settings: Settings, open_progress: OpenProgress, script: ScriptSource) -> ModelParts:
    """Everything it takes to talk to the model, the engine not yet started.

    Raises:
        ModelError: the model cannot be served.
    """
    traces = open_traces(settings)
    if settings.engine == "fake":
        return ModelParts(*fake_parts(script), traces)
    template = Path(settings.chat_template).expanduser() if settings.chat_template else None
    form = OPENVINO if settings.engine != "vllm" else DESCRIBED if settings.url else SAFETENSORS
    with open_progress() as progress:
        model = prepare(settings.model, cache_folder(), progress, hub=hub_options(), form=form)
    chat_template = load_chat_template(model.folder, template)
    engine = _model_engine(settings, model, traces)
    return ModelParts(engine, load_tokenizer(model.folder), chat_template, traces)


def _model_engine(settings: Settings, model: PreparedModel, traces: Traces) -> Engine:
    match settings.engine:
        case "ray":
            return _ray_engine(settings, model)
        case "vllm":
            return _vllm_engine(settings, model, traces)
        case _:
            return _engine(settings, model, traces)


def open_traces(settings: Settings) -> Traces:
    """Where traces go, to be closed in the end; nowhere unless that was asked for.

    Raises:
        StartError: the setting asks for them, and what sends them is not installed.
    """
    if not traces_wanted(settings):
        return NO_TRACES
    try:
        from antiphon.telemetry.otel import OtelTraces, exporter_to  # OpenTelemetry is an extra.
    except ModuleNotFoundError:
        if settings.otlp_endpoint:
            raise StartError("traces are an extra: pip install 'antiphon[otel]'") from None
        logger.warning("traces: OTEL_* variables ask for them, which takes: pip install 'antiphon[otel]'")
        return NO_TRACES
    return OtelTraces(exporter_to(settings.otlp_endpoint))


def _engine(settings: Settings, model: PreparedModel, traces: Traces = NO_TRACES) -> EngineClient:
    """An engine for a model that is on this machine, not yet started."""
    return EngineClient(
        EngineOptions(
            folder=model.folder,
            model_id=model.id,
            digest=model.digest,
            context_length=model.context_length,
            eos_token_ids=model.eos_token_ids,
            kv_cache_bytes=settings.kv_cache_mib << 20,
            kv_cache_type=settings.kv_cache_type,
            threads=settings.threads,
            jump_forward=settings.jump_forward,
        ),
        on_phases=traces.engine_phases if traces.on else None,
    )


def replica_engine(settings: Settings) -> Engine:
    """The engine of a replica, made on its node of a cluster: it fetches and prepares the model there.

    Raises:
        ModelError: the model cannot be served.
    """
    return _engine(settings, prepare(settings.model, cache_folder(), Silent(), hub=hub_options()))


def _vllm_engine(settings: Settings, model: PreparedModel, traces: Traces) -> Engine:
    """vLLM in the engine's process, or a server of its own reached from there; not yet started.

    Raises:
        StartError: what it takes is not installed.
    """
    wanted, name = ("httpx", "'antiphon[vllm]'") if settings.url else ("vllm", "vllm")
    if find_spec(wanted) is None:
        raise StartError(f"the engine vllm needs {wanted}: pip install {name} (docs/guides/vllm.md)")
    return EngineClient(
        VllmProgram(
            folder=model.folder,
            model_id=model.id,
            digest=model.digest,
            context_length=model.context_length,
            vocab_size=model.vocab_size,
            eos_token_ids=model.eos_token_ids,
            kv_cache_bytes=settings.kv_cache_mib << 20,
            threads=settings.threads,
            arguments=dict(argument.split("=", 1) for argument in settings.vllm_arg),
            url=settings.url,
            key=settings.engine_key,
        ),
        on_phases=traces.engine_phases if traces.on else None,
    )


def _ray_engine(settings: Settings, model: PreparedModel) -> Engine:
    """Engines on a Ray cluster, not yet started.

    Raises:
        StartError: Ray is not installed.
    """
    try:
        from antiphon.engine.backends.ray.client import (  # Ray is an extra.
            RayEngine,
            RayOptions,
            application_name,
        )
    except ModuleNotFoundError:
        raise StartError("the engine ray is an extra: pip install 'antiphon[ray]'") from None
    least, most = settings.replica_bounds
    cores = settings.threads or max(1, (os.cpu_count() or 1) // most)
    # No more than an engine needs: keys and addresses stay here.
    own = Settings(
        model=settings.model,
        threads=cores,
        kv_cache_mib=settings.kv_cache_mib,
        kv_cache_type=settings.kv_cache_type,
    )
    options = RayOptions(
        name=application_name(model.id, (model.digest, own)),
        address=settings.ray_address or None,
        replicas=least,
        max_replicas=most,
        cpus=cores,
        drain_s=settings.drain_s,
    )
    return RayEngine(partial(replica_engine, own), options)


async def _serve(
    settings: Settings,
    parts: ModelParts,
    on_ready: Callable[[Serving], None],
) -> None:
    """Open the store, start the engine, listen, and end all in order.

    Raises:
        StartError: the store cannot be opened, the engine cannot load the model, or the port is
            taken after all.
        asyncio.CancelledError: a stop signal came before the port opened, or a second one.
    """
    stop = StopSignals()
    try:
        async with opened_store(settings) as store:
            await parts.engine.start()
            metrics = Metrics()
            app, registry = build_app(settings, parts, store, metrics)

            def announce(port: int) -> None:
                stop.gentle = True
                on_ready(_describe(settings, registry, port))

            async with lag_measured(metrics), _metrics_served(settings, metrics):
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
    except EngineUnavailable:
        raise StartError(f"{settings.model}: the engine cannot load this model (the log says why)") from None
    except OSError as error:
        raise _cannot_listen(settings.host, settings.port, error) from error
    finally:
        await parts.engine.aclose()
        await asyncio.to_thread(parts.traces.close)


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
    parts: ModelParts,
    store: CompletionStore | None = None,
    metrics: Metrics | None = None,
) -> tuple[ApiApp, ModelRegistry]:
    """The ASGI application over a started engine, and the names it answers to."""
    metrics = metrics or Metrics()
    info = parts.engine.info
    registry = ModelRegistry(info, int(time.time()), dict.fromkeys(settings.aliases, info.id))
    admission = Admission(AdmissionOptions(settings.max_choices, settings.max_prompt_tokens))
    options = CompletionsOptions(openai_strict_schemas=settings.openai_strict_schemas)
    services = Services(
        completions=Completions(parts, registry, admission, options, metrics),
        models=registry,
        health=Health(parts.engine),
        stored=None if store is None else StoredCompletions(store),
        metrics=metrics,
        texts=TextCompletions(
            parts,
            registry,
            admission,
            metrics,
            openai_strict_schemas=settings.openai_strict_schemas,
        ),
        tokenization=Tokenization(parts, registry),
        traces=parts.traces,
    )
    metrics.watch_engine(info.id, parts.engine.stats)
    metrics.watch_choices(lambda: admission.choices)
    return create_app(services, _api_options(settings)), registry


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
    model, *aliases = registry.list()
    # A wildcard address is for listening; one connects to a real one.
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return Serving(
        base_url=f"http://{f'[{address}]' if ':' in address else address}:{port}/v1",
        model=model.id,
        aliases=tuple(alias.id for alias in aliases),
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
