"""vLLM's CPU build, from an environment of its own: it needs torch, which this project does not.

It reads safetensors, not GGUF, so it serves a dequantised copy of the same model; give both with
--vllm (the `vllm` command) and --vllm-model (a folder). It is left out where they are not given.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.servers.peer import Load, launch_command
from bench.servers.process import Launch

_START_TIMEOUT_S = 600.0
"""It compiles the model first."""


@dataclass(frozen=True, slots=True)
class Vllm:
    """`vllm serve`."""

    command: Path
    model: Path
    name: str = "vllm"

    def launch(self, load: Load) -> Launch:
        """Start it with room for the load's sequences."""
        options = ["--port", "{port}", "--max-num-seqs", str(load.sequences)]
        options += ["--max-model-len", str(load.sequence_tokens), "--enable-prefix-caching"]
        environment = {"VLLM_CPU_KVCACHE_SPACE": "2", "OMP_NUM_THREADS": str(load.threads)}
        command = [str(self.command), "serve", str(self.model), *options]
        return launch_command(command, environment, _START_TIMEOUT_S)

    def describe(self) -> dict[str, str]:
        """Its version."""
        told = subprocess.run([self.command, "--version"], capture_output=True, text=True, check=False)
        return {"version": told.stdout.strip()}
