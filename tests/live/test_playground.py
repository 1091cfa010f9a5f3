"""The pages in a real browser, and the bundle against its sources; the tests are in playground/tests."""

import filecmp
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.server_process import ServerProcess, running

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "playground"
BUNDLE = ROOT / "src" / "antiphon" / "api" / "playground" / "static"
MAX_BUNDLE_BYTES = 1_000_000
KEY = "sk-playground-test-key"

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def missing(*, browser: bool) -> str | None:
    """What keeps these tests from running here; never accepted where CI says that all must run."""
    if shutil.which("npm") is None:
        return "npm is not installed"
    if not (FOLDER / "node_modules" / "vite").is_dir():
        return "playground/node_modules is not installed: `make test` does that where npm is"
    if browser and CHROMIUM is None:
        return "chromium is not installed"
    return None


def _skip_without(*, browser: bool) -> pytest.MarkDecorator:
    reason = missing(browser=browser)
    return pytest.mark.skipif(reason is not None and not os.environ.get("CI"), reason=reason or "")


needs_browser = _skip_without(browser=True)


def run_tests(*files: str, **environment: str) -> None:
    """Run test files of the pages; each has a browser of its own, one after the other."""
    assert missing(browser=True) is None
    run = subprocess.run(
        [
            "node",
            "--test",
            "--test-concurrency=1",
            "--test-reporter=tap",
            *(f"tests/{name}" for name in files),
        ],
        cwd=FOLDER,
        env=os.environ | {"CHROMIUM": str(CHROMIUM)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout


@pytest.fixture
def keyed_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A fake server that asks for a key."""
    with running(tmp_path, "--engine", "fake", ANTIPHON_API_KEY=KEY) as process:
        yield process


@needs_browser
@pytest.mark.parametrize("file", ["chat.test.mjs", "accessibility.test.mjs"])
def test_pages_work_in_a_browser(file: str, fake_server: ServerProcess) -> None:
    """Every test of the file passes."""
    run_tests(file, ORIGIN=fake_server.origin)


@needs_browser
def test_page_asks_for_the_key(keyed_server: ServerProcess) -> None:
    """The pages are public; what they show is not."""
    run_tests("key.test.mjs", KEYED_ORIGIN=keyed_server.origin, KEY=KEY)


@_skip_without(browser=False)
def test_bundle_is_built_from_its_sources(tmp_path: Path) -> None:
    """Building anew gives the committed files, byte for byte."""
    assert missing(browser=False) is None
    run = subprocess.run(
        ["npm", "run", "build"],
        cwd=FOLDER,
        env=os.environ | {"PLAYGROUND_OUT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr

    built = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    committed = {path.relative_to(BUNDLE) for path in BUNDLE.rglob("*") if path.is_file()}
    assert built == committed
    _, different, unreadable = filecmp.cmpfiles(tmp_path, BUNDLE, map(str, built), shallow=False)
    assert (different, unreadable) == ([], [])
    assert sum((BUNDLE / path).stat().st_size for path in committed) < MAX_BUNDLE_BYTES
