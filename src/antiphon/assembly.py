"""The models of the settings, put together: prepared, with tokenizer, template and an engine not yet started.

All are fetched and prepared at the start, so that whatever is wrong with one is told then, and no
request waits for a download. One model has its engine always; of several each has an engine that comes
and goes (`engine/on_demand.py`), and so has a single one that is not to be kept alive.

Invariant: nothing here starts an engine.
"""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from antiphon.config import cache_folder, hub_options, traces_wanted
from antiphon.core.generation import ModelInfo
from antiphon.core.ports import ChatTemplate, Engine, Tokenizer
from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer, ScriptSource
from antiphon.engine.backends.vllm.program import VllmProgram
from antiphon.engine.client import EngineClient
from antiphon.engine.memory import total_memory
from antiphon.engine.on_demand import OnDemandEngine
from antiphon.engine.process import EngineOptions, EngineProgram
from antiphon.engine.residency import Residency, ResidencyOptions
from antiphon.model_settings import ModelSettings, WantedModel
from antiphon.models.chat_template import load_chat_template
from antiphon.models.errors import ModelError
from antiphon.models.folder import DESCRIBED, OPENVINO, SAFETENSORS, PreparedModel
from antiphon.models.prepare import prepare
from antiphon.models.progress import Progress, Silent
from antiphon.models.tokenizer import load_tokenizer
from antiphon.service.generations import ModelParts
from antiphon.service.models import NO_DEFAULTS, ModelDefaults
from antiphon.settings import Settings
from antiphon.telemetry.traces import NO_TRACES, Traces

logger = logging.getLogger(__name__)

OpenProgress = Callable[[], AbstractContextManager[Progress]]

_OVERHEAD_BYTES: Final = 512 << 20
"""What an engine takes beside its weights and its KV cache: interpreter, library, tokenizer, prober."""
_SHARE_OF_MEMORY: Final = 0.75


class StartError(Exception):
    """The server cannot start; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class AssembledModel:
    """A model that can be served."""

    id: str
    parts: ModelParts
    aliases: Sequence[str] = ()
    defaults: ModelDefaults = NO_DEFAULTS
    watched: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Within its block, models that nobody uses are let go."""


@dataclass(frozen=True, slots=True)
class _Readied:
    """A model before it is decided how its engine lives."""

    info: ModelInfo
    """As far as it is known of a model that was never loaded."""
    size: int
    tokenizer: Tokenizer
    template: ChatTemplate
    make: Callable[[], Engine]
    settings: ModelSettings
    traces: Traces


def assembled(
    settings: Settings, open_progress: OpenProgress, script: ScriptSource
) -> tuple[AssembledModel, ...]:
    """Each model of the settings; `script` is what the fake engine says.

    Raises:
        StartError: one of them cannot be served, or two have the same name.
    """
    wanted, traces = settings.wanted_models, open_traces(settings)
    try:
        if settings.engine == "fake":
            ready = [_fake(model, script, traces, alone=len(wanted) == 1) for model in wanted]
        else:
            ready = [_real(settings, model, open_progress, traces) for model in wanted]
    except ModelError as error:
        raise StartError(str(error)) from error
    names = [model.info.id for model in ready]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise StartError(f"two models are called {twice}: name them in [models.NAME] tables")
    if len(ready) == 1 and not settings.keep_alive_s:
        return (_kept(ready[0]),)
    residency = Residency(_residency_options(settings))
    return tuple(_on_demand(model, residency) for model in ready)


def _kept(model: _Readied) -> AssembledModel:
    """With an engine that is always there."""
    return _assembled(model, model.make(), nullcontext, nullcontext)


def _on_demand(model: _Readied, residency: Residency) -> AssembledModel:
    engine = OnDemandEngine(model.info, model.size, model.make, residency)
    return _assembled(model, engine, engine.held, residency.watched)


def _assembled(
    model: _Readied,
    engine: Engine,
    held: Callable[[], AbstractAsyncContextManager[None]],
    watched: Callable[[], AbstractAsyncContextManager[None]],
) -> AssembledModel:
    own = model.settings
    parts = ModelParts(engine, model.tokenizer, model.template, model.traces, held, own.system_prompt)
    return AssembledModel(model.info.id, parts, own.alias, _defaults(own), watched)


def _defaults(settings: ModelSettings) -> ModelDefaults:
    return ModelDefaults(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        frequency_penalty=settings.frequency_penalty,
        presence_penalty=settings.presence_penalty,
        repetition_penalty=settings.repetition_penalty,
        max_tokens=settings.max_tokens,
    )


def _residency_options(settings: Settings) -> ResidencyOptions:
    memory = settings.memory_mib << 20 or int(total_memory() * _SHARE_OF_MEMORY)
    return ResidencyOptions(settings.max_loaded_models, memory, settings.keep_alive_s)


def _fake(model: WantedModel, script: ScriptSource, traces: Traces, *, alone: bool) -> _Readied:
    """A model that is not there; with others it is called as it was named."""
    id = model.name or ("fake" if alone else model.settings.model)
    engine = FakeEngine(script, model=id)
    return _Readied(
        engine.info, 0, FakeTokenizer(), FakeChatTemplate(), lambda: engine, model.settings, traces
    )


def _real(settings: Settings, model: WantedModel, open_progress: OpenProgress, traces: Traces) -> _Readied:
    """A model that is on this machine.

    Raises:
        ModelError: it cannot be served.
        StartError: it was to be served by Ray, which is not installed.
    """
    own = model.settings
    template = Path(own.chat_template).expanduser() if own.chat_template else None
    form = OPENVINO if settings.engine != "vllm" else DESCRIBED if settings.url else SAFETENSORS
    with open_progress() as progress:
        prepared = prepare(own.model, cache_folder(), progress, hub=hub_options(), form=form)
    if model.name:
        prepared = replace(prepared, id=model.name)
    kv_cache = (own.kv_cache_mib or settings.kv_cache_mib) << 20
    return _Readied(
        _known(prepared),
        _size(prepared.folder) + kv_cache + _OVERHEAD_BYTES,
        load_tokenizer(prepared.folder),
        load_chat_template(prepared.folder, template),
        partial(_make_engine, settings, prepared, kv_cache, traces),
        own,
        traces,
    )


def _size(folder: Path) -> int:
    """The bytes of a model's files, nearly all of which are weights."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _known(model: PreparedModel) -> ModelInfo:
    return ModelInfo(model.id, model.context_length, model.vocab_size, model.eos_token_ids, fingerprint="")


def _make_engine(settings: Settings, model: PreparedModel, kv_cache_bytes: int, traces: Traces) -> Engine:
    match settings.engine:
        case "ray":
            return _ray_engine(settings, model, kv_cache_bytes)
        case "vllm":
            return _vllm_engine(settings, model, kv_cache_bytes, traces)
        case _:
            return _engine(settings, model, kv_cache_bytes, traces)


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


def _engine(
    settings: Settings, model: PreparedModel, kv_cache_bytes: int, traces: Traces = NO_TRACES
) -> EngineClient:
    """An engine for a model that is on this machine, not yet started."""
    return _client(
        EngineOptions(
            folder=model.folder,
            model_id=model.id,
            digest=model.digest,
            context_length=model.context_length,
            eos_token_ids=model.eos_token_ids,
            kv_cache_bytes=kv_cache_bytes,
            kv_cache_type=settings.kv_cache_type,
            threads=settings.threads,
            jump_forward=settings.jump_forward,
            draft_tokens=settings.draft_tokens,
        ),
        traces,
    )


def _client(program: EngineProgram, traces: Traces) -> EngineClient:
    return EngineClient(program, on_phases=traces.engine_phases if traces.on else None)


def replica_engine(settings: Settings, model_id: str) -> Engine:
    """The engine of a replica, made on its node of a cluster: it fetches and prepares the model there.

    Raises:
        ModelError: the model cannot be served.
    """
    (model,) = settings.model
    prepared = replace(prepare(model, cache_folder(), Silent(), hub=hub_options()), id=model_id)
    return _engine(settings, prepared, settings.kv_cache_mib << 20)


def _vllm_engine(settings: Settings, model: PreparedModel, kv_cache_bytes: int, traces: Traces) -> Engine:
    """vLLM in the engine's process, or a server of its own reached from there; not yet started.

    Raises:
        StartError: what it takes is not installed.
    """
    wanted, name = ("httpx", "'antiphon[vllm]'") if settings.url else ("vllm", "vllm")
    if find_spec(wanted) is None:
        raise StartError(f"the engine vllm needs {wanted}: pip install {name} (docs/guides/vllm.md)")
    return _client(
        VllmProgram(
            folder=model.folder,
            model_id=model.id,
            digest=model.digest,
            context_length=model.context_length,
            vocab_size=model.vocab_size,
            eos_token_ids=model.eos_token_ids,
            kv_cache_bytes=kv_cache_bytes,
            threads=settings.threads,
            arguments=dict(argument.split("=", 1) for argument in settings.vllm_arg),
            url=settings.url,
            key=settings.engine_key,
        ),
        traces,
    )


def _ray_engine(settings: Settings, model: PreparedModel, kv_cache_bytes: int) -> Engine:
    """Engines on a Ray cluster, not yet started.

    Raises:
        StartError: Ray is not installed.
    """
    try:
        from antiphon.engine.backends.ray.client import RayEngine  # Ray is an extra.
        from antiphon.engine.backends.ray.membership import RayOptions
    except ModuleNotFoundError:
        raise StartError("the engine ray is an extra: pip install 'antiphon[ray]'") from None
    least, most = settings.replica_bounds
    cores = settings.threads or max(1, (os.cpu_count() or 1) // most)
    (wanted,) = settings.wanted_models
    # No more than an engine needs: keys and addresses stay here.
    own = Settings(
        model=(wanted.settings.model,),
        threads=cores,
        kv_cache_mib=kv_cache_bytes >> 20,
        kv_cache_type=settings.kv_cache_type,
    )
    options = RayOptions(
        name=f"antiphon-{model.id}",
        facts={
            "antiphon": version("antiphon"),
            "model": model.digest[:12],
            "threads": str(cores),
            "kv_cache_mib": str(own.kv_cache_mib),
            "kv_cache_type": own.kv_cache_type,
            "replicas": f"{least}:{most}" if most > least else str(least),
        },
        address=settings.ray_address or None,
        replicas=least,
        max_replicas=most,
        cpus=cores,
        drain_s=settings.drain_s,
    )
    return RayEngine(partial(replica_engine, own, model.id), options)
