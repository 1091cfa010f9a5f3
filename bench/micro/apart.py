"""Runs the micro-benchmarks in a child process: neither model nor library threads stay behind."""

import subprocess
import sys

import msgspec

from bench.micro.found import Asked, Micro


def measure_apart(asked: Asked) -> Micro:
    """About a minute.

    Raises:
        subprocess.CalledProcessError: it failed; its error is on stderr.
    """
    text = msgspec.json.encode(asked, enc_hook=str).decode()
    command = [sys.executable, "-m", "bench.micro.measure", text]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(output, type=Micro)
