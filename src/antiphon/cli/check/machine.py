"""Checks of the machine: processor, memory, disk, clock."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from antiphon.cli.check.finding import Finding, bad, good, warning
from antiphon.cli.output import shown_size
from antiphon.config import cache_folder
from antiphon.engine.memory import available_memory
from antiphon.settings import Settings

_BASE_FEATURE = "avx2"
_FAST_FEATURES = ("avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
_MODEL_BYTES = 600_000_000
"""What the default model takes beside its KV cache, rounded up."""
_DISK_BYTES = 1_000_000_000
_OLDEST_CLOCK = 1_780_000_000
"""Before this program was written: certificates would be refused, and `created` be wrong."""


def check_processor(info: Path = Path("/proc/cpuinfo")) -> Iterator[Finding]:
    """Cores and instruction sets."""
    machine = platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if machine not in ("x86_64", "AMD64", "arm64", "aarch64"):
        yield bad("processor", f"{machine} is not supported", "Use a machine with x86-64 or arm64.")
        return
    flags = _flags(info)
    if flags and machine == "x86_64" and _BASE_FEATURE not in flags:
        fact = f"{cores} cores without {_BASE_FEATURE}"
        yield warning("processor", fact, "Answers will be slow; a processor made after 2015 has AVX2.")
        return
    fast = [feature for feature in _FAST_FEATURES if feature in flags]
    yield good("processor", f"{machine}, {cores} cores" + (f", {', '.join(fast)}" if fast else ""))


def check_memory(
    settings: Settings, memory: Callable[[], int | None] = available_memory
) -> Iterator[Finding]:
    """Memory that can be had now, against the KV cache that is set and the default model."""
    available = memory()
    needed = (settings.kv_cache_mib << 20) + _MODEL_BYTES
    if available is None:
        return
    wanted = f"{shown_size(needed)} needed with a KV cache of {settings.kv_cache_mib} MiB"
    fact = f"{shown_size(available)} free, {wanted}"
    if available < needed:
        yield warning("memory", fact, "Set a smaller kv_cache_mib, or end other programs.")
    else:
        yield good("memory", fact)


def check_disk() -> Iterator[Finding]:
    """Room where models are kept."""
    folder = cache_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    fact = f"{shown_size(free)} free for models in {folder}"
    if not os.access(there, os.W_OK):
        yield bad("disk", f"{there} cannot be written to", "Set XDG_CACHE_HOME to a folder of your own.")
    elif free < _DISK_BYTES:
        yield warning("disk", fact, "Set XDG_CACHE_HOME to a folder on a larger disk.")
    else:
        yield good("disk", fact)


def check_clock() -> Iterator[Finding]:
    """A date that can be right."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    if time.time() < _OLDEST_CLOCK:
        yield warning("clock", f"it says {today}", "Set the clock: downloads may be refused.")
    else:
        yield good("clock", today)


def _flags(info: Path) -> frozenset[str]:
    """The processor's features as Linux names them; none where nobody tells."""
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, ()))
