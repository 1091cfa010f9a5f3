"""Notes on the machine and the state of the tree, kept with every result."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent


def machine_notes() -> dict[str, Any]:
    """What figures depend on besides the programs. Linux only, as is the benchmark."""
    return {
        "cpu": _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo")),
        "cpu_features": _features(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(_first(r"MemTotal:\s*(\d+)", Path("/proc/meminfo"))) / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def git_commit() -> str:
    """The tree's commit, marked when more than results was added since; empty outside a repository."""
    return _git("rev-parse", "--short=12", "HEAD") + (
        " with changes" if _git("status", "--porcelain", "--", ".", ":!bench/results") else ""
    )


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _features() -> list[str]:
    flags = _first(r"flags\s*:\s*(.+)", Path("/proc/cpuinfo")).split()
    return [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile") if flag in flags]


def _first(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text())
    return match[1] if match else "0"


def _git(*arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return result.stdout.strip()
