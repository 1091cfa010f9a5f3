"""The site is built from the pages without a warning."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None and not os.environ.get("CI"),
    reason="`make site` installs the site's tools",
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
