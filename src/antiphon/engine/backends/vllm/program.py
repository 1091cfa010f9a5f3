"""vLLM as the program of the engine process; see `engine.process.EngineProgram`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.engine import frames


@dataclass(frozen=True, slots=True)
class VllmProgram:
    """What vLLM loads or where it runs. `folder` has the tokenizer in either case."""

    folder: Path
    model_id: str
    digest: str
    context_length: int
    vocab_size: int
    eos_token_ids: tuple[int, ...]
    kv_cache_bytes: int = 1 << 30
    """On a CPU; on accelerators vLLM's own arguments decide."""
    threads: int = 0
    """On a CPU; 0: as many as vLLM likes."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Of vLLM's own, by name."""
    url: str = ""
    """Of a vLLM server; without one vLLM runs in the engine process."""
    key: str = field(default="", repr=False)
    """For that server."""

    @property
    def module(self) -> str:
        """See `EngineProgram`."""
        return "antiphon.engine.backends.vllm.host"

    @property
    def has_children(self) -> bool:
        """See `EngineProgram`."""
        return True

    @property
    def tries_constraints(self) -> bool:
        """A server has a grammar library and limits of its own."""
        return bool(self.url)

    def load(self) -> frames.Message:
        """See `EngineProgram`."""
        return frames.LoadVllm(
            folder=str(self.folder),
            model_id=self.model_id,
            digest=self.digest,
            context_length=self.context_length,
            vocab_size=self.vocab_size,
            eos_token_ids=self.eos_token_ids,
            kv_cache_bytes=self.kv_cache_bytes,
            threads=self.threads,
            arguments=dict(self.arguments),
            url=self.url,
            key=self.key,
        )
