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
_CONTEXT_TOKENS = 4096
"""Room for any workload: vLLM keeps what it compiled for one length, and compiles anew for another."""


@dataclass(frozen=True, slots=True)
class Vllm:
    """`vllm serve`."""

    command: Path
    model: Path
    name: str = "vllm"
    dtype: str = "auto"
    """What it computes in. It takes bfloat16 for a model in float32, whatever the CPU can do."""

    def launch(self, load: Load) -> Launch:
        """Start it with room for the load's sequences, on as many threads as the others.

        Left to itself it would leave a core to its own server, and compute on the others.
        """
        options = ["--host", "127.0.0.1", "--port", "{port}", "--dtype", self.dtype]
        options += ["--max-num-seqs", str(load.sequences), "--max-model-len", str(_CONTEXT_TOKENS)]
        options += ["--kv-cache-memory-bytes", str(2 << 30), "--enable-prefix-caching"]
        environment = {
            "OMP_NUM_THREADS": str(load.threads),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_NO_USAGE_STATS": "1",
        }
        command = [str(self.command), "serve", str(self.model), *options]
        return launch_command(command, environment, _START_TIMEOUT_S)

    def describe(self) -> dict[str, str]:
        """Its version, which it takes half a minute to tell, and how it computes."""
        told = subprocess.run([self.command, "--version"], capture_output=True, text=True, check=False)
        (version, *_) = told.stdout.split() or ["unknown"]
        return {"version": version, "dtype": self.dtype, "weights": "dequantised to float32"}
