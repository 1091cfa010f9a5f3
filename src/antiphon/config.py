"""Every setting of the server, declared once: name, type, bounds, default and help text.

A value comes from a flag (`--port`), else the environment (`ANTIPHON_PORT`), else a TOML file
(`port = 8000`), else the default below; models with settings of their own come from tables of the file
(`[models.NAME]`, see `model_settings`). Flags, documentation and error texts are derived from
`Settings`. Nothing else in Antiphon reads the environment. Limits belong to the part that keeps
them; only their defaults are gathered here.

Invariant: a `Settings` that exists is valid, and is safe to listen with.
"""

import ipaddress
import os
import re
import tomllib
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
import platformdirs
from msgspec import Meta

from antiphon.model_settings import MODEL_KEYS, ModelSettings, WantedModel, check_tables
from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL
from antiphon.models.hub_repository import DEFAULT_ENDPOINT, HubOptions
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


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@*\sA-Z]+")
_PASSWORD = re.compile(r"(?<=:)(?<!://)[^:@/]*(?=@)|(?<=password=)[^&]*")


class ConfigError(Exception):
    """A setting is wrong; the text is one line that names where it was given."""


def _about(text: str, ge: int | None = None, le: int | None = None) -> Meta:
    """A setting's help text and, for numbers, its bounds."""
    return Meta(description=text, ge=ge, le=le)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve. See `load` for where the values come from."""

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


@dataclass(frozen=True, slots=True)
class Given:
    """A setting's value and where it was given."""

    value: Any
    source: str
    """A flag, a variable, a file; "default" where nothing was given."""


def gather(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> dict[str, Given]:
    """Every setting's value with its source, each checked by itself. See `load` for `flags`.

    Raises:
        ConfigError: a value or name is wrong.
    """
    file = str(flags.get("config") or environ.get(ENVIRONMENT_PREFIX + "CONFIG") or "")
    in_file = _read_file(file) if file else {}
    given = {}
    for setting in describe_settings():
        name = setting.name
        if name in flags:
            source = setting.flag or name
            given[name] = Given(_convert(flags[name], setting, source), source)
        elif setting.variable and (text := environ.get(setting.variable)):
            value = _convert(_split(text, setting), setting, setting.variable)
            given[name] = Given(value, setting.variable)
        elif name in in_file:
            given[name] = Given(in_file[name], file)
        else:
            given[name] = Given(setting.default, "default")
    tables = given["models"]
    if tables.value and given["model"].source == "default":
        given["model"] = Given(tuple(tables.value), tables.source)
    return given


def load(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Settings:
    """Gather the settings. `flags` holds only what was given on the command line, `config` included.

    Raises:
        ConfigError: a value or name is wrong, or the whole would be unsafe to listen with.
    """
    settings = Settings(**{name: given.value for name, given in gather(flags, environ).items()})
    keys = (*settings.api_key, *_read_keys(settings.api_key_file))
    settings = msgspec.structs.replace(settings, api_key=keys)
    _check_keys(settings)
    _check_origins(settings)
    _check_models(settings)
    _check_replicas(settings)
    _check_exposure(settings)
    _check_vllm(settings)
    return settings


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the one that was perhaps meant."""
    variables = (setting.variable for setting in describe_settings())
    known = {*(variable for variable in variables if variable), *OTHER_VARIABLES}
    unknown = sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX) and name not in known)
    return {name: _nearest_variable(name, known) for name in unknown}


def _nearest_variable(name: str, known: Collection[str]) -> str | None:
    """Compared without the prefix, which would make all alike."""
    ends = [variable.removeprefix(ENVIRONMENT_PREFIX) for variable in known]
    near = get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), ends, n=1)
    return ENVIRONMENT_PREFIX + near[0] if near else None


def client_key(environ: Mapping[str, str] = os.environ) -> str:
    """The key that the commands which talk to a server send: ours, else that of OpenAI's clients."""
    own = environ.get(ENVIRONMENT_PREFIX + "API_KEY", "").split(",")[0].strip()
    return own or environ.get("OPENAI_API_KEY", "") or "any"


def hub_options(environ: Mapping[str, str] = os.environ) -> HubOptions:
    """Which hub models named `hf:…` come from, by the variables that its own tools use."""
    return HubOptions(
        endpoint=environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT,
        token=environ.get("HF_TOKEN", ""),
        offline=environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"),
    )


def traces_wanted(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are to be sent: by the setting, or by the variables that OpenTelemetry's SDK reads."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if settings.otlp_endpoint:
        return True
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return False
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(environ.get(name) for name in names)


def servers_folder() -> Path:
    """Where running servers are announced, by the platform's convention (`XDG_RUNTIME_DIR`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where that variable is not set, and then takes /tmp
        return platformdirs.user_runtime_path("antiphon")


def cache_folder() -> Path:
    """Where prepared models live, by the platform's convention (`XDG_CACHE_HOME`)."""
    return platformdirs.user_cache_path("antiphon")


def data_folder() -> Path:
    """Where stored completions live, by the platform's convention (`XDG_DATA_HOME`)."""
    return platformdirs.user_data_path("antiphon")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a socket bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_file(path: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read as a settings file: {reason}") from error
    settings = {setting.name: setting for setting in describe_settings()}
    for key in table:
        if key not in settings:
            raise ConfigError(f"{path}: there is no setting named {key!r}{_meant(key, settings)}")
    try:
        check_tables(table.get("models"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return {key: _convert(value, settings[key], f"{path}: {key}", typed=True) for key, value in table.items()}


def _meant(key: str, settings: Iterable[str]) -> str:
    """What somebody who wrote this may have had in mind."""
    if near := get_close_matches(key, settings, n=1):
        return f"; did you mean {near[0]}?"
    if near := get_close_matches(key, MODEL_KEYS, n=1):
        return f"; {near[0]} is a key of the tables [models.NAME]"
    return "; `antiphon config show` lists them"


def _convert(value: object, setting: Setting, source: str, *, typed: bool = False) -> Any:
    """The value as the setting's type. Unless the source is `typed`, text may spell a number or truth."""
    if setting.name == "model" and isinstance(value, str):
        value = (value,)
    try:
        return msgspec.convert(value, setting.type, strict=typed)
    except msgspec.ValidationError as error:
        detail = f" ({error})" if setting.name in FILE_ONLY else ""
        raise ConfigError(f"{source}: expected {setting.allowed}{detail}") from error


def _split(text: str, setting: Setting) -> object:
    """A variable's text, in which commas separate the items of a list."""
    if isinstance(setting.default, tuple):
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _read_keys(path: str) -> Sequence[str]:
    if not path:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"api_key_file: {path} cannot be read: {error}") from error
    keys = [line.strip() for line in lines if line.strip()]
    if not keys:
        raise ConfigError(f"api_key_file: {path} holds no key")
    return keys


def _check_keys(settings: Settings) -> None:
    """A key must survive an HTTP header; a bad one would lock everybody out without a word."""
    for key in settings.api_key:
        if not (key.isascii() and key.isprintable() and " " not in key and key):
            raise ConfigError("api_key: a key is printable ASCII without spaces")


def _check_origins(settings: Settings) -> None:
    """Exactly as browsers write them: another spelling would never match, and a star opens to everybody."""
    for origin in settings.allow_origin:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"allow_origin: {origin!r} is no origin such as https://app.example")


def _check_replicas(settings: Settings) -> None:
    if not settings.autoscale:
        return
    bounds = re.fullmatch(r"([1-9][0-9]{0,5}):([1-9][0-9]{0,5})", settings.autoscale, re.ASCII)
    if bounds is None or int(bounds[1]) > int(bounds[2]):
        raise ConfigError("autoscale: expected LEAST:MOST, such as 1:8")
    if settings.replicas != 1:
        raise ConfigError("autoscale: give it or replicas, not both")


def _check_models(settings: Settings) -> None:
    """Whatever is wrong with several models at once is told before any of them is fetched."""
    if not settings.model:
        raise ConfigError("model: none is named")
    if len(settings.model) > 1 and settings.chat_template:
        raise ConfigError("chat_template: with several models it belongs into a [models.NAME] table")
    if len(settings.model) > 1 and settings.engine not in ("openvino", "fake"):
        raise ConfigError(f"model: the engine {settings.engine} serves one model")
    if len(set(settings.model)) < len(settings.model):
        raise ConfigError("model: one is named twice")
    owners: dict[str, str] = {}
    for name, model in zip(settings.model, settings.wanted_models, strict=True):
        for alias in model.settings.alias:
            if owners.setdefault(alias, name) != name:
                raise ConfigError(f"alias: {alias!r} is given to {owners[alias]} and to {name}")


def _check_exposure(settings: Settings) -> None:
    if is_loopback(settings.host) or settings.api_key or settings.insecure_no_auth:
        return
    raise ConfigError(
        f"host: {settings.host} can be reached from other machines, so clients need a key: set "
        f"{ENVIRONMENT_PREFIX}API_KEY or --api-key-file, or say --insecure-no-auth"
    )


def _check_vllm(settings: Settings) -> None:
    """What is said of vLLM must be said to vLLM, and to the one that runs where it can be obeyed."""
    given = [name for name in ("url", "engine_key", "vllm_arg") if getattr(settings, name)]
    if given and settings.engine != "vllm":
        raise ConfigError(f"{given[0]}: only for the engine vllm (--engine vllm)")
    if settings.url and settings.vllm_arg:
        raise ConfigError("vllm_arg: the vLLM server at the URL has its own arguments")
    if settings.url and urlsplit(settings.url).scheme not in ("http", "https"):
        raise ConfigError("url: a URL begins with http:// or https://")
    for argument in settings.vllm_arg:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*=.*", argument, re.DOTALL):
            raise ConfigError(f"vllm_arg: {argument} is not of the form NAME=VALUE")
