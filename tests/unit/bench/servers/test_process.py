"""Servers as child processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.servers.peer import launch_command
from bench.servers.process import ServerFailed, running, tree_cpu_seconds

SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Models(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "model"}]}).encode())

HTTPServer(("127.0.0.1", int(sys.argv[1])), Models).serve_forever()
"""


def test_server_runs_until_the_block_ends() -> None:
    """It is found by the model it names, and is gone afterwards."""
    with running(launch_command([sys.executable, "-c", SERVER, "{port}"])) as server:
        assert server.target.model == "model"
        assert server.cpu_seconds() >= 0.0
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_server_that_ends_is_told_with_its_last_words() -> None:
    """Nobody waits for a server that is dead."""
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(ServerFailed, match="no such model"), running(launch_command(command)):
        pass


def test_cpu_time_covers_children() -> None:
    """What a child burns counts for its parent, while it lives and afterwards."""
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    run = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    parent = f"{run}\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert tree_cpu_seconds(child.pid) >= 0.3
        child.communicate(b"\n")


def test_cpu_time_of_nobody_is_none() -> None:
    """A process that is gone uses nothing."""
    assert not Path("/proc/4194305").exists()
    assert tree_cpu_seconds(4194305) == 0.0
