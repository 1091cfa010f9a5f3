"""vLLM's own server, from the environment that runs these tests, with a model folder of ours."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.free_port import free_port

_START_TIMEOUT_S = 500.0
CONTEXT_LENGTH = 2048


@contextlib.contextmanager
def running(model: Path, log: Path, *, port: int = 0, key: str = "") -> Iterator[str]:
    """Its URL, once it answers; it is gone behind the block. With a `key` every request needs it."""
    port = port or free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", str(CONTEXT_LENGTH)]
    options += ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", str(512 << 20)]
    options += ["--structured-outputs-config", '{"backend": "guidance"}', "--scheduling-policy", "priority"]
    options += ["--enable-prompt-tokens-details", "--served-model-name", "served"]
    options += ["--api-key", key] if key else []
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(Path(sys.executable).with_name("vllm")), "serve", str(model), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"VLLM_NO_USAGE_STATS": "1"},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(port):
            assert child.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    return False
