"""No library reports home, and none leaves an identifier behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.telemetry.optout import block_vendor_telemetry

_IMPORT_OPENVINO = """
import sys
from antiphon.telemetry.optout import block_vendor_telemetry
block_vendor_telemetry()
block_vendor_telemetry()
import openvino
openvino.Core()
assert sys.modules["openvino_telemetry"] is None
print(openvino.tools.ovc.telemetry_utils.tm.__name__)
"""


def test_blocked_telemetry_is_never_loaded_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openvino falls back to its silent stub, and a fresh home folder stays empty."""
    monkeypatch.setenv("HOME", str(tmp_path))

    child = subprocess.run(
        [sys.executable, "-c", _IMPORT_OPENVINO], capture_output=True, text=True, check=True, timeout=60
    )

    assert child.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
    assert list(tmp_path.rglob("*")) == []


def test_blocking_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the package is loaded it cannot be kept from running, and that must not pass in silence."""
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys)

    with pytest.raises(RuntimeError):
        block_vendor_telemetry()


def test_ray_reports_nothing() -> None:
    """Its processes are told so by the environment they inherit."""
    script = (
        "import os; from antiphon.telemetry.optout import silence_ray; "
        "silence_ray(); print(os.environ['RAY_USAGE_STATS_ENABLED'])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "0\n"
