"""What a benchmark needs to know of a server: how to start it for a load, and what it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from bench.servers.process import Launch, free_port

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Model:
    """The one file that all servers serve."""

    spec: str
    """As `antiphon serve` takes it."""
    gguf: Path
    digest: str
    """SHA-256 of the file, in hex."""
    folder: Path
    """Antiphon's prepared form of it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the server will have to hold at once."""

    model: Model
    threads: int
    sequences: int
    sequence_tokens: int
    """Of the longest one, answer included."""


class Peer(Protocol):
    """A server under test."""

    @property
    def name(self) -> str:
        """As in tables and on the command line."""
        ...

    def launch(self, load: Load) -> Launch:
        """How to start it for this load."""
        ...

    def describe(self) -> dict[str, str]:
        """Versions and build, for the record."""
        ...


def launch_command(
    command: list[str], environment: Mapping[str, str] = _NOTHING, timeout_s: float = 120.0
) -> Launch:
    """A launch on a free port; `{port}` in the command stands for it."""
    port = free_port()
    return Launch([part.replace("{port}", str(port)) for part in command], port, environment, timeout_s)
