"""Where the settings of the server come from, and which do not go together.

A value comes from a flag (`--port`), else the environment (`ANTIPHON_PORT`), else a TOML file
(`port = 8000`), else the default in `settings`; models with settings of their own come from tables of the
file (`[models.NAME]`, see `model_settings`). Nothing else in Antiphon reads the environment.

Invariant: settings that were loaded are valid, and are safe to listen with.
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
from typing import Any
from urllib.parse import urlsplit

import msgspec
import platformdirs

from antiphon.model_settings import MODEL_KEYS, check_tables
from antiphon.models.hub_repository import DEFAULT_ENDPOINT, HubOptions
from antiphon.settings import (
    ENVIRONMENT_PREFIX,
    FILE_ONLY,
    OTHER_VARIABLES,
    Setting,
    Settings,
    describe_settings,
)

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@*\sA-Z]+")


class ConfigError(Exception):
    """A setting is wrong; the text is one line that names where it was given."""


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
