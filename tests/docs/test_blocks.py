"""Every block of code in every document is run as it stands, or checked in the way that is open to it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from antiphon.config import load
from tests.docs.blocks import ROOT, Block, blocks, pages, pictures
from tests.docs.sandbox import Sandbox, missing
from tests.live.scripted_model import scripted_server
from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

FAKE = {"ANTIPHON_ENGINE": "fake"}
REAL_MODEL = ("README.md", "docs/guides/models.md")
"""Pages whose servers have the real model; the others would say nothing else with it."""
ENVIRONMENTS = {"docs/guides/langchain.md": "clients", "docs/guides/agents.md": "clients"}
ENVIRONMENTS |= {"docs/guides/instructor.md": "instructor"}
"""Where the Python of a page is run, if not beside Antiphon."""
BY_HEART = frozenset({"docs/guides/agents.md"})
"""Pages whose model knows its answers by heart: chance might call tools until an agent gives up."""
ELSEWHERE = {
    "docs/concepts/planning.md": "tests/unit/bench/planning/test_simulate.py",
    "docs/guides/cluster.md": "tests/live/test_ray_server.py",
    "docs/guides/kubernetes.md": "tests/docs/test_kubernetes.py",
    "docs/guides/vllm.md": "tests/contract/test_engine_vllm.py",
    "CONTRIBUTING.md": "tests/docs/test_blocks.py",
}
"""Pages whose shell blocks are not run here, and what does the same: with other addresses, or bit by bit."""

RUNNABLE = ("sh", "python", "js")
SETTINGS = ("json", "yaml", "toml")


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, tmp_path: Path, fake_server: ServerProcess) -> Iterator[Sandbox]:
    """A home for the page that the test is about."""
    page = request.node.callspec.params["page"]
    with ExitStack() as stack:
        url = stack.enter_context(scripted_server()) if page in BY_HEART else fake_server.base_url
        yield stack.enter_context(closing(Sandbox(tmp_path, url, {} if page in REAL_MODEL else FAKE)))


def runnable(page: str) -> list[Block]:
    """What of a page is run."""
    return [
        block
        for block in blocks(page)
        if block.language in RUNNABLE and not (block.language == "sh" and page in ELSEWHERE)
    ]


@pytest.mark.model
@pytest.mark.parametrize("page", [page for page in pages() if runnable(page)])
def test_code_of_the_page_runs(page: str, sandbox: Sandbox) -> None:
    """One block after the other, as somebody does who follows the page."""
    lack = missing()
    if lack is not None and not os.environ.get("CI"):
        pytest.skip(lack)
    for place, block in enumerate(runnable(page)):
        if block.language == "sh":
            sandbox.shell(block.text)
        elif block.language == "js":
            sandbox.link("node_modules", ROOT / "tests/js/node_modules")
            sandbox.program(block.text, f"block{place}.mjs", str(ROOT / ".venv/clients/bin/node"))
        else:
            sandbox.program(block.text, f"test_block{place}.py", *python(block))


def python(block: Block) -> list[str]:
    """What runs a block of Python: as a test where it is written as one."""
    home = ENVIRONMENTS.get(block.page)
    program = str(ROOT / ".venv" / home / "bin/python") if home else sys.executable
    is_test = re.search(r"^def test_", block.text, re.MULTILINE)
    return [program, *(["-m", "pytest", "-q", "-p", "no:randomly"] if is_test else [])]


def test_no_block_is_left_out() -> None:
    """Each is run, or is settings, which the tests of its program send; what is done elsewhere exists."""
    languages = {block.language for page in pages() for block in blocks(page)}

    assert languages <= {*RUNNABLE, *SETTINGS}
    assert [page for page, test in ELSEWHERE.items() if not (ROOT / test).is_file()] == []
    assert set(ELSEWHERE) <= set(pages())


def test_settings_file_of_the_guide_is_valid(tmp_path: Path) -> None:
    """As it stands, with every model it names."""
    (block,) = (block for block in blocks("docs/guides/models.md") if block.language == "toml")
    file = tmp_path / "antiphon.toml"
    file.write_text(block.text)
    settings = load({"config": str(file)}, {})

    assert [model.name for model in settings.wanted_models] == ["small", "thinker"]
    assert settings.wanted_models[1].settings.max_tokens == 2000


@pytest.mark.parametrize(
    "target", re.findall(r"^make (\w+)", "".join(b.text for b in blocks("CONTRIBUTING.md")), re.M)
)
def test_targets_that_contributors_are_told_of_exist(target: str) -> None:
    """Their commands are shown, not run: some of them run this very test."""
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_layout_in_the_readme_is_the_repository_s() -> None:
    """Every file and folder that the tree there names."""
    (tree,) = pictures("README.md")
    above, lost = "", []
    for line in tree.splitlines():
        names = re.findall(r"\S+\.md(?=\s|$)", line) or [line.split()[0]]
        parent = above if line.startswith("  ") else ""
        lost += [parent + name for name in names if not (ROOT / parent / name).exists()]
        if not line.startswith("  "):
            above = names[0] if names[0].endswith("/") else ""

    assert lost == []
