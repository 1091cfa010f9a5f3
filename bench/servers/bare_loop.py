"""Not a server: the engine loop alone, measured in the same rounds, to see what serving costs."""

import subprocess
import sys

import msgspec

from bench.figures import Figures
from bench.plan import Cell
from bench.servers.peer import Load
from bench.servers.process import ServerFailed


class BareLoop:
    """The chat workload on `EngineLoop`, in a process of its own."""

    name = "bare-loop"
    workloads = ("chat",)

    def measure(self, load: Load, cell: Cell, seed: int, requests_per_client: int) -> Figures:
        """The figures of one cell.

        Raises:
            ServerFailed: it ended with an error, which is on stderr.
        """
        asked = {
            "model": load.model,
            "threads": load.threads,
            "concurrency": cell.concurrency,
            "seed": seed,
            "requests_per_client": requests_per_client,
        }
        text = msgspec.json.encode(asked, enc_hook=str).decode()
        command = [sys.executable, "-m", "bench.micro.closed_loop", text]
        finished = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if finished.returncode:
            raise ServerFailed(f"bare loop: exit code {finished.returncode}")
        return msgspec.json.decode(finished.stdout, type=Figures)

    def describe(self) -> dict[str, str]:
        """Nothing of its own."""
        return {"what": "this tree's engine loop without a server"}
