"""The pages in a real browser, and the bundle against its sources; the tests are in playground/tests."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from antiphon.telemetry.metrics import METRICS
from tests.live.server_process import ServerProcess, running
from tests.tiny_models import TinyModel, write_tiny_model

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
    run_node(*files, CHROMIUM=str(CHROMIUM), **environment)


def run_node(*files: str, **environment: str) -> None:
    """Run test files; every test in them must pass."""
    assert missing(browser=False) is None
    run = subprocess.run(
        [
            "node",
            "--test",
            "--test-concurrency=1",
            "--test-reporter=tap",
            *(f"tests/{name}" for name in files),
        ],
        cwd=FOLDER,
        env=os.environ | environment,
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
@pytest.mark.parametrize("file", ["chat.test.mjs", "settings.test.mjs", "accessibility.test.mjs"])
def test_pages_work_in_a_browser(file: str, fake_server: ServerProcess) -> None:
    """Every test of the file passes."""
    run_tests(file, ORIGIN=fake_server.origin, PYTHON=sys.executable)


@needs_browser
@pytest.mark.parametrize("file", ["key.test.mjs", "dashboard.test.mjs"])
def test_pages_ask_for_the_key(file: str, fake_server: ServerProcess, keyed_server: ServerProcess) -> None:
    """The pages are public; what they show is not."""
    run_tests(file, ORIGIN=fake_server.origin, KEYED_ORIGIN=keyed_server.origin, KEY=KEY)


@needs_browser
def test_pages_tell_of_several_models(tmp_path: Path) -> None:
    """Defaults of each, and which is in memory."""
    config = tmp_path / "antiphon.toml"
    config.write_text(
        """
        max_loaded_models = 1
        [models.plain]
        [models.tuned]
        system_prompt = "Be brief."
        temperature = 0.6
        top_k = 40
        max_tokens = 30
        """
    )
    with running(tmp_path, "--engine", "fake", "--config", str(config)) as process:
        run_tests("several.test.mjs", ORIGIN=process.origin)


@needs_browser
def test_pages_tell_of_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Its weights are cut off; the other model goes on."""
    gguf = tmp_path / "sound.gguf"
    write_tiny_model(gguf, TinyModel("llama"))
    broken = tmp_path / "broken"
    shutil.copytree(prepare(str(gguf), tmp_path / "antiphon", Silent()).folder, broken)
    os.truncate(broken / "openvino_model.bin", 0)

    with running(
        tmp_path, str(gguf), str(broken), "--kv-cache-mib", "16", XDG_CACHE_HOME=str(tmp_path)
    ) as process:
        run_tests("broken.test.mjs", ORIGIN=process.origin)


@needs_browser
@pytest.mark.model
def test_playground_works_with_a_real_model(server: ServerProcess) -> None:
    """Streaming, stopping, probabilities, the prefix cache."""
    run_tests("model.test.mjs", ORIGIN=server.origin)


@_skip_without(browser=False)
def test_arithmetic_of_the_charts() -> None:
    """Rates and percentiles."""
    run_node("figures.test.mjs")


def test_dashboard_asks_for_series_that_exist() -> None:
    """A metric that was renamed would leave a chart empty without a word."""
    source = (FOLDER / "src" / "dashboard.tsx").read_text(encoding="utf-8")
    used = set(re.findall(r'"(antiphon_\w+)"', source))

    assert used
    assert used <= {metric.name for metric in METRICS}


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
