"""The Python in the guides is run as it stands; the site is built from the pages without a warning."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "guides" / "python.md").read_text(), re.M | re.S
)


@pytest.mark.live
@pytest.mark.parametrize("block", [pytest.param(block, id=str(place)) for place, block in enumerate(BLOCKS)])
def test_python_blocks_of_the_guide_run(block: str, tmp_path: Path) -> None:
    """As programs, or as tests where they are written as tests."""
    program = tmp_path / "test_block.py"
    program.write_text(block)
    is_test = "\ndef test_" in block
    command = ["-m", "pytest", "-q", "-p", "no:randomly"] if is_test else []
    run = subprocess.run(
        [sys.executable, *command, str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None, reason="`make site` installs the site's tools"
)
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Broken links and pages that nothing leads to are warnings."""
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", str(ROOT / "docs"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert run.returncode == 0, run.stderr
    assert (tmp_path / "guides" / "python.html").is_file()
