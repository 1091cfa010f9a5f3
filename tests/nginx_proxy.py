"""A real nginx with the documented configuration, before servers of the tests' own."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.free_port import free_port
from tests.live.server_process import ServerProcess

CONFIG = Path(__file__).parents[1] / "deploy" / "nginx.conf"


@contextmanager
def nginx(folder: Path, ports: list[int]) -> Iterator[str]:
    """The documented configuration with other ports; its origin."""
    program = shutil.which(
        "nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"
    )
    if program is None:
        pytest.skip("nginx is not installed")
    front = free_port()
    text = CONFIG.read_text()
    for documented, port in zip((8001, 8002, 8080), (*ports, front), strict=True):
        text = text.replace(f":{documented}", f":{port}")
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = re.sub(r"http \{", f"http {{ {places} access_log off;", text)
    (folder / "nginx.conf").write_text(f"pid {folder}/pid; error_log {folder}/error.log; daemon off;\n{text}")
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        yield f"http://127.0.0.1:{front}"
    finally:
        process.terminate()
        process.wait(20)


def port_of(server: ServerProcess) -> int:
    """Where it listens."""
    port = httpx.URL(server.base_url).port
    assert port is not None
    return port


def wait_for(origin: str) -> None:
    """Until the proxy answers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{origin}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("nginx did not start")
