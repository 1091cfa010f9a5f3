"""Checks of what is installed and configured: Python, libraries, settings, address, models, pip."""

import importlib.metadata
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from antiphon.cli.check.finding import Finding, bad, good, warning
from antiphon.cli.progress import open_progress
from antiphon.config import ConfigError, cache_folder, load, servers_folder, unknown_variables
from antiphon.models.catalogue import CATALOGUE
from antiphon.models.inventory import inventory, verify
from antiphon.servers import running_servers
from antiphon.settings import Settings
from antiphon.store.sqlite import sqlite_version

_OLDEST_SQLITE = (3, 54)
_IMPORT_S: Final = 120
_PIP_S: Final = 30
_REINSTALL = "Install Antiphon again, with the versions of its lock (make serve)."


def check_settings() -> tuple[Settings, list[Finding]]:
    """The settings of this environment, or the defaults where they are wrong."""
    findings = [
        warning("settings", f"{name} is no setting", f"Did you mean {meant}?" if meant else "Remove it.")
        for name, meant in unknown_variables().items()
    ]
    try:
        settings = load({})
    except ConfigError as error:
        remedy = "`antiphon config show` tells where each setting comes from."
        return Settings(), [*findings, bad("settings", str(error), remedy)]
    return settings, findings or [good("settings", "valid")]


def check_libraries() -> Iterator[Finding]:
    """Python, and each pinned library in its very version."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield good("Python", version)
    for requirement in importlib.metadata.requires("antiphon") or ():
        pinned = re.fullmatch(r"([\w-]+)==([\w.]+)", requirement)
        if pinned is None:
            continue
        name, wanted = pinned.groups()
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield bad(name, "not installed", _REINSTALL)
            continue
        if found != wanted:
            yield warning(name, f"{found}; answers were checked with {wanted}", _REINSTALL)
        else:
            yield good(name, found)


def check_openvino() -> Iterator[Finding]:
    """Whether its native code loads and sees the processor; in a process of its own, for it may crash."""
    program = (
        "from antiphon.telemetry.optout import block_vendor_telemetry; block_vendor_telemetry(); "
        "import openvino; print(openvino.Core().get_property('CPU', 'FULL_DEVICE_NAME'))"
    )
    try:
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=_IMPORT_S
        )
    except subprocess.TimeoutExpired:
        yield bad("OpenVINO", f"did not load within {_IMPORT_S} seconds", _REINSTALL)
        return
    if run.returncode != 0:
        words = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield bad("OpenVINO", f"does not load: {words}", _REINSTALL)
    else:
        yield good("OpenVINO", f"runs on {run.stdout.strip()}")


def check_sqlite() -> Iterator[Finding]:
    """The version that stored completions are kept with."""
    found = sqlite_version()
    if tuple(map(int, found.split(".")[:2])) < _OLDEST_SQLITE:
        yield bad("SQLite", f"{found} is too old", _REINSTALL)
    else:
        yield good("SQLite", found)


def check_address(settings: Settings) -> Iterator[Finding]:
    """Whether a server could listen where it is told to."""
    where = f"{settings.host} port {settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        ours = [s for s in running_servers(servers_folder()) if s.url.endswith(f":{settings.port}/v1")]
        if ours:
            yield good("address", f"{where}: your server {ours[0].pid} listens there")
        else:
            yield warning("address", f"{where}: {error.strerror}", "Choose another with --host and --port.")
    else:
        yield good("address", f"{where} is free")


def check_models() -> Iterator[Finding]:
    """Whether the files of each model that is here are whole and right; reads all of them."""
    cache = cache_folder()
    here = [model for model in inventory(cache) if model.state != "absent"]
    if not here:
        yield warning("models", "none is here yet", "`antiphon pull smollm2-135m` fetches the default one.")
    for model in here:
        entry = CATALOGUE.get(model.name)
        if entry is None:
            continue
        with open_progress() as progress:
            problem = verify(entry, cache, progress)
        if problem is None:
            yield good(model.name, model.state)
        else:
            yield bad(model.name, problem, f"`antiphon pull {model.name}` brings it anew.")


def check_pip() -> Iterator[Finding]:
    """Whether models could be fetched: pip's own settings decide from where."""
    name = next(iter(CATALOGUE.values())).requirements.partition("==")[0]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "index", "versions", name]
    remedy = "Set up pip's index, mirror or proxy, or serve a .gguf file by its path."
    try:
        run = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=_PIP_S
        )
    except subprocess.TimeoutExpired:
        yield warning("pip", f"its index did not answer within {_PIP_S} seconds", remedy)
        return
    if run.returncode != 0:
        yield warning("pip", f"finds no {name}", remedy)
    else:
        yield good("pip", "its index answers")
