"""Every setting of the server, declared once: name, type, bounds, default and help text.

Flags, documentation and error texts are derived from `Settings`. Limits belong to the part that keeps
them; only their defaults are gathered here. Where values come from, and which of them do not go together,
is in `config`.

Invariant: a setting that is not declared here does not exist.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from antiphon.model_settings import ModelSettings, WantedModel
from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL
from antiphon.service.admission import AdmissionOptions

DEFAULT_ALIASES = ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
ENVIRONMENT_PREFIX = "ANTIPHON_"
OTHER_VARIABLES = (ENVIRONMENT_PREFIX + "CONFIG", ENVIRONMENT_PREFIX + "URL")
"""Variables that are no settings of the server."""
SECRETS = frozenset({"api_key", "engine_key"})
"""Settings without a flag: the command line of a process is visible to everyone on the machine."""
_OTHER_NAMES: Mapping[str, str] = MappingProxyType({"url": "ENGINE_URL"})
"""Settings whose variable would be one that tells clients of this server where it is."""

FILE_ONLY = frozenset({"models"})
"""Settings that are tables, which neither a flag nor a variable can hold."""

POSTGRES_SCHEMES = ("postgresql://", "postgres://")
"""How the URL of a database begins."""

_ADMISSION = AdmissionOptions()
_PASSWORD = re.compile(r"(?<=:)(?<!://)[^:@/]*(?=@)|(?<=password=)[^&]*")


def _about(text: str, ge: int | None = None, le: int | None = None) -> Meta:
    """A setting's help text and, for numbers, its bounds."""
    return Meta(description=text, ge=ge, le=le)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve. See `config.load` for where the values come from."""

    model: Annotated[
        tuple[str, ...],
        _about(
            "A model's name, hf:org/name[:file.gguf], a .gguf file, a folder with an OpenVINO model, or the "
            "name of a [models.NAME] table; repeatable, the first is loaded at the start"
        ),
    ] = (DEFAULT_MODEL,)
    models: Annotated[
        Mapping[str, ModelSettings],
        _about("Models with settings of their own; all of them are served unless `model` chooses"),
    ] = {}
    max_loaded_models: Annotated[
        int, _about("Models in memory at once; 0: as many as there is memory for", ge=0)
    ] = 0
    memory_mib: Annotated[
        int,
        _about("Memory for models and their KV caches, in MiB; 0: three quarters of the machine's", ge=0),
    ] = 0
    keep_alive_s: Annotated[
        float, _about("Unload a model that nobody asked for so many seconds; 0: never", ge=0)
    ] = 0.0
    host: Annotated[str, _about("Address to listen on; beyond loopback a key is required")] = "127.0.0.1"
    port: Annotated[int, _about("TCP port to listen on; 0 takes any free one", ge=0, le=65535)] = 8000
    alias: Annotated[tuple[str, ...], _about("Another name the first model answers to; repeatable")] = ()
    default_aliases: Annotated[bool, _about(f"Also answer to {' and '.join(DEFAULT_ALIASES)}")] = True
    chat_template: Annotated[
        str, _about("File with a Jinja chat template to use instead of the model's own")
    ] = ""
    api_key: Annotated[
        tuple[str, ...], _about("Keys that clients may use; without any, none is asked for")
    ] = ()
    api_key_file: Annotated[str, _about("File with one such key per line")] = ""
    insecure_no_auth: Annotated[bool, _about("Listen beyond loopback without a key, open to everyone")] = (
        False
    )
    allow_host: Annotated[
        tuple[str, ...], _about("Another name clients reach this server by; repeatable")
    ] = ()
    allow_origin: Annotated[
        tuple[str, ...],
        _about("Origin whose web pages may call this server: https://app.example; repeatable"),
    ] = ()
    strict_fields: Annotated[bool, _about("Refuse unknown request fields instead of naming them")] = False
    playground: Annotated[bool, _about("Serve the playground at / and the dashboard at /dashboard")] = True
    metrics_port: Annotated[
        int, _about("Serve Prometheus metrics on this port; 0 serves none", ge=0, le=65535)
    ] = 0
    metrics_host: Annotated[
        str, _about("Address to serve them on, without a key: beyond loopback, to whoever can reach it")
    ] = "127.0.0.1"
    otlp_endpoint: Annotated[
        str,
        _about(
            "Send OpenTelemetry traces there, as OTLP over HTTP: http://HOST:4318; "
            "needs the extra otel. OTEL_EXPORTER_OTLP_ENDPOINT does the same"
        ),
    ] = ""
    reasoning_field: Annotated[
        Literal["reasoning_content", "reasoning"], _about("The key of what a thinking model thought")
    ] = "reasoning_content"
    openai_strict_schemas: Annotated[
        bool, _about("Refuse strict schemas that OpenAI refuses, though they could be held")
    ] = False
    threads: Annotated[int, _about("CPU threads of the engine; 0: all cores", ge=0)] = 0
    kv_cache_mib: Annotated[int, _about("Memory for the KV cache, in MiB", ge=16)] = 1024
    kv_cache_type: Annotated[
        Literal["auto", "u8"], _about("auto: keys and values as computed; u8: twice as many tokens, slower")
    ] = "auto"
    jump_forward: Annotated[
        bool, _about("Take what a schema forces at once; off is slower and answers the same")
    ] = True
    draft_tokens: Annotated[
        int,
        _about(
            "Tokens guessed at once from what was said before, at most; 0: none; answers are the same",
            ge=0,
            le=31,
        ),
    ] = 7
    max_choices: Annotated[int, _about("Choices running or queued at once; beyond it, 503", ge=1)] = (
        _ADMISSION.max_choices
    )
    max_prompt_tokens: Annotated[int, _about("Prompt tokens in hand at once; beyond it, 503", ge=1)] = (
        _ADMISSION.max_prompt_tokens
    )
    store: Annotated[
        str,
        _about(
            "File of stored completions, a postgresql:// URL, memory, or off to store none; "
            "the default is a file in the data folder"
        ),
    ] = ""
    store_days: Annotated[
        int, _about("Days that stored completions are kept; 0: until they are deleted", ge=0, le=36_500)
    ] = 0
    drain_s: Annotated[float, _about("Seconds running answers get to finish after a stop signal", ge=0)] = (
        30.0
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _about("The least severe messages to log")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], _about("Log lines for people, or one JSON object each")
    ] = "text"
    engine: Annotated[
        Literal["openvino", "ray", "vllm", "fake"],
        _about("OpenVINO here, OpenVINO on a Ray cluster, vLLM, or a scripted stand-in without a model"),
    ] = "openvino"
    ray_address: Annotated[
        str, _about("Ray cluster to join, as HOST:PORT or auto; without it one is started on this machine")
    ] = ""
    replicas: Annotated[
        int, _about("Engines on the Ray cluster, each with the model and its own cores", ge=1)
    ] = 1
    autoscale: Annotated[
        str, _about("As many of them as the load asks for, as LEAST:MOST (1:8), instead of a fixed number")
    ] = ""
    url: Annotated[
        str, _about("vLLM server to generate with, as http://HOST:PORT; without it vLLM runs here")
    ] = ""
    engine_key: Annotated[str, _about("Key of that vLLM server, if it asks for one")] = ""
    vllm_arg: Annotated[
        tuple[str, ...],
        _about("Argument for the vLLM here, as tensor_parallel_size=2; repeatable"),
    ] = ()

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in SECRETS)
        return f"Settings({', '.join(f'{name}={self.shown(name)!r}' for name in shown)})"

    def shown(self, name: str) -> object:
        """A setting's value as it may be shown: without the password of a database."""
        return shown_value(name, getattr(self, name))

    @property
    def replica_bounds(self) -> tuple[int, int]:
        """The least and the most engines on the Ray cluster."""
        least, _, most = (self.autoscale or f"{self.replicas}:{self.replicas}").partition(":")
        return int(least), int(most)

    @property
    def wanted_models(self) -> tuple[WantedModel, ...]:
        """Each model to serve, the first one with what is set for it beside the tables."""
        first, *others = (self._wanted(name) for name in self.model)
        taken = {alias for model in others for alias in model.settings.alias}
        default = [alias for alias in DEFAULT_ALIASES if self.default_aliases and alias not in taken]
        aliases = dict.fromkeys((*default, *self.alias, *first.settings.alias))
        template = self.chat_template or first.settings.chat_template
        settings = msgspec.structs.replace(first.settings, alias=tuple(aliases), chat_template=template)
        return (WantedModel(first.name, settings), *others)

    def _wanted(self, name: str) -> WantedModel:
        """A model of a table has its name; one of the catalogue also answers to the name it has there."""
        own = self.models.get(name)
        if own is None:
            return WantedModel("", ModelSettings(model=name, alias=(name,) if name in CATALOGUE else ()))
        return WantedModel(name, msgspec.structs.replace(own, model=own.model or name))


def shown_value(name: str, value: object) -> object:
    """A setting's value as it may be shown: plain, and without the password of a database."""
    shown = msgspec.to_builtins(value)
    return _PASSWORD.sub("***", shown) if name == "store" and isinstance(shown, str) else shown


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of `Settings`, as flags and documentation need it."""

    name: str
    type: Any
    help: str
    default: Any
    allowed: str
    """The type and its bounds in words: "an integer from 0 to 65535"."""
    choices: tuple[str, ...]
    """The only texts allowed, if there are few."""

    @property
    def flag(self) -> str | None:
        """Its flag, unless it is a secret or a table."""
        return None if self.name in SECRETS | FILE_ONLY else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str | None:
        """Its environment variable, unless it is a table."""
        if self.name in FILE_ONLY:
            return None
        return ENVIRONMENT_PREFIX + _OTHER_NAMES.get(self.name, self.name.upper())


def describe_settings() -> tuple[Setting, ...]:
    """Every setting in the order of declaration."""
    return tuple(_describe(field) for field in msgspec.structs.fields(Settings))


def describe_model_settings() -> tuple[Setting, ...]:
    """Every key of a table `[models.NAME]`, which has neither flag nor variable."""
    return tuple(_describe(field) for field in msgspec.structs.fields(ModelSettings))


def _describe(field: msgspec.structs.FieldInfo) -> Setting:
    kind, about = get_args(_given(field.type))
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    default = {} if field.default is msgspec.NODEFAULT else field.default
    allowed = _allowed(kind, choices, about)
    return Setting(field.name, field.type, about.description, default, allowed, choices)


def _given(kind: Any) -> Any:
    """The type of a value that is given, where it may also be left out."""
    kinds = get_args(kind)
    return kinds[0] if NoneType in kinds else kind


def _allowed(kind: type, choices: tuple[str, ...], bounds: Meta) -> str:
    """A type in words; the cases are the types that `Settings` uses."""
    if choices:
        return "one of " + ", ".join(choices)
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        noun = "an integer" if kind is int else "a number"
        return (
            f"{noun} of at least {bounds.ge}"
            if bounds.le is None
            else f"{noun} from {bounds.ge} to {bounds.le}"
        )
    if kind is str:
        return "a text"
    return "a list of texts" if get_origin(kind) is tuple else "tables [models.NAME]"
