"""Antiphon as `antiphon serve` starts it, with nothing tuned but the number of threads."""

import sys
from importlib.metadata import version

import antiphon
from bench.servers.peer import Load, launch_command
from bench.servers.process import Launch


class Antiphon:
    """The server of this tree."""

    name = "antiphon"

    def launch(self, load: Load) -> Launch:
        """One configuration for every load: it needs no slots told."""
        options = ["--port", "{port}", "--threads", str(load.threads), "--log-level", "warning"]
        return launch_command([sys.executable, "-m", "antiphon", "serve", *options, load.model.spec])

    def describe(self) -> dict[str, str]:
        """Its version and its inference library's."""
        return {"version": antiphon.__version__, "openvino": version("openvino")}
