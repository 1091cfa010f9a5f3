"""llama-server in three configurations, from the xllamacpp wheel or from a binary of one's own.

`llama-default` is what one gets without reading on: four slots over one cache. `llama-tuned` is the
same file with what its documentation advises for a known load: a slot per client, flash attention.
`llama-q4_0` is that with the weights requantised to Q4_0, the format its CPU kernels repack.

The wheel is built for any CPU with AVX2, a native build uses AVX-512 too; `describe` tells which
instructions the build has, and a binary given with --llama-server replaces the wheel.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.servers.peer import Load, launch_command
from bench.servers.process import Launch
from bench.servers.requantise import requantised

_DEFAULT_SLOTS = 4
"""llama-server's own choice when no number is given; the wheel's would be a single one."""


@dataclass(frozen=True, slots=True)
class Llama:
    """One configuration."""

    name: str
    tuned: bool = True
    requantise: bool = False
    binary: Path | None = None
    """A llama-server to run instead of the wheel's."""

    def launch(self, load: Load) -> Launch:
        """Start it with a slot and room for each sequence, or with what it would choose itself."""
        gguf = requantised(load.model) if self.requantise else load.model.gguf
        if self.binary is not None:
            return launch_command(self._command_of_binary(self.binary, gguf, load))
        settings = self._settings(gguf, load)
        return launch_command([sys.executable, "-m", "bench.servers.llama_child", "{port}", settings])

    def _settings(self, gguf: Path, load: Load) -> str:
        settings: dict[str, object] = {"model.path": str(gguf), "cpuparams.n_threads": load.threads}
        settings["cpuparams_batch.n_threads"] = load.threads
        if self.tuned:
            settings |= {"n_parallel": load.sequences, "n_ctx": load.sequences * load.sequence_tokens}
            settings |= {"flash_attn_type": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}
        else:
            settings |= {"n_parallel": _DEFAULT_SLOTS, "kv_unified": True}
        return json.dumps(settings)

    def _command_of_binary(self, binary: Path, gguf: Path, load: Load) -> list[str]:
        command = [str(binary), "--model", str(gguf), "--port", "{port}", "--threads", str(load.threads)]
        if self.tuned:
            context = load.sequences * load.sequence_tokens
            command += ["--parallel", str(load.sequences), "--ctx-size", str(context), "--flash-attn", "on"]
        return command

    def describe(self) -> dict[str, str]:
        """Version and instructions of the build."""
        if self.binary is not None:
            told = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=False)
            return {"build": "own binary", "version": " ".join((told.stdout + told.stderr).split())[:200]}
        import xllamacpp

        return {
            "build": "xllamacpp wheel",
            "version": str(xllamacpp.__version__),
            "system": str(xllamacpp.get_system_info()).strip(" |\n"),
        }
