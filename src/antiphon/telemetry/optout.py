"""No library of ours reports to its maker.

`openvino` imports `openvino_telemetry`, which writes an identifier into the home folder and talks
to an analytics service. When that package is absent, openvino uses its own silent stub: so it is
made absent, for this process, before openvino is first imported. Ray and vLLM count their uses unless
their environment says otherwise.
"""

import os
import sys


def block_vendor_telemetry() -> None:
    """Make `openvino_telemetry` unimportable in this process. Call before the first openvino import.

    Raises:
        RuntimeError: it was imported already, so it is too late.
    """
    if sys.modules.get("openvino_telemetry") is not None:
        raise RuntimeError("openvino_telemetry was imported before it could be blocked")
    # None in sys.modules makes every later `import openvino_telemetry` an ImportError.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def silence_ray() -> None:
    """Make Ray's processes, which inherit this one's environment, report nothing. Call before Ray starts."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0")


def silence_vllm() -> None:
    """Make vLLM, in this process and its children, report nothing. Call before vLLM is imported."""
    os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
