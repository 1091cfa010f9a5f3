"""The official npm client against the real model; its tests are in tests/js."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]

FOLDER = Path(__file__).parents[1] / "js"


def missing() -> str | None:
    """What keeps these tests from running here; never accepted where CI says that all must run."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "openai").is_dir():
        return "tests/js/node_modules is not installed: `make test` does that where npm is"
    return None


@pytest.mark.skipif(missing() is not None and not os.environ.get("CI"), reason=missing() or "")
def test_npm_client_agrees_with_the_server(server: ServerProcess) -> None:
    """Every test of tests/js passes."""
    assert missing() is None

    run = subprocess.run(
        ["node", "--test", "--test-reporter=tap"],
        cwd=FOLDER,
        env=os.environ | {"OPENAI_BASE_URL": server.base_url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout
