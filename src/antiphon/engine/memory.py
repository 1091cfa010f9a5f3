"""How much memory there is: of the machine, or of the container if that has less.

It reads what the system tells and decides nothing. Where nobody tells (not on Linux), it says so.
"""

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def total_memory(cgroup: Path = _CGROUP) -> int:
    """Bytes that programs here may use together."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _number(cgroup / "memory.max")
    return machine if limit is None else min(machine, limit)


def available_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that a program could have now without another losing any; None where nobody tells."""
    machine = _meminfo_bytes(meminfo, "MemAvailable:")
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if machine is None or limit is None or used is None:
        return machine
    # What was read from files counts as used, but is given back at once.
    cached = _stat_bytes(cgroup / "memory.stat", "inactive_file")
    return min(machine, max(0, limit - used + cached))


def _meminfo_bytes(meminfo: Path, name: str) -> int | None:
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
        (kib,) = (line.split()[1] for line in lines if line.startswith(name))
        return int(kib) << 10
    except (OSError, ValueError):
        return None


def _number(file: Path) -> int | None:
    """A file with one number; None where it is not there or sets no bound ("max")."""
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _stat_bytes(file: Path, name: str) -> int:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))
    except (OSError, ValueError, StopIteration):
        return 0
