"""A folder an engine can run: weights in the form it reads beside Hugging Face's description files.

One reader serves folders prepared here from a GGUF and folders from a hub. Everything there is to
know of a model is in its folder; only its name and the digest of its weights are given from outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from antiphon.models.errors import ModelError
from antiphon.models.json_files import read_json, read_json_if_there

DESCRIPTION_FILES: Final = ("tokenizer.json", "config.json")
IR_FILES: Final = ("openvino_model.xml", "openvino_model.bin")
REQUIRED_FILES: Final = (*IR_FILES, *DESCRIPTION_FILES)


@dataclass(frozen=True, slots=True)
class Form:
    """What an engine needs of a model beside its description, and how those files are named."""

    name: str
    files: tuple[str, ...]
    """Patterns; a folder has at least one file for each."""
    suffix: str
    """Tells apart what is kept of the same model in several forms."""

    @property
    def required(self) -> tuple[str, ...]:
        """Everything that a folder must have."""
        return (*self.files, *DESCRIPTION_FILES)

    def identifying(self, folder: Path) -> list[Path]:
        """The files that make the folder's model this one and no other: its weights, if it has any."""
        paths = [path for pattern in self.files for path in sorted(folder.glob(pattern))]
        return paths or [folder / "tokenizer.json"]


OPENVINO: Final = Form("an OpenVINO model", IR_FILES, "")
SAFETENSORS: Final = Form("a safetensors model", ("*.safetensors",), "+safetensors")
DESCRIBED: Final = Form("a model's description", (), "+description")
"""For engines that have the weights elsewhere."""


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that is ready to load."""

    folder: Path
    id: str
    """The name the API serves it under."""
    digest: str
    """SHA-256 in hex, of the weights."""
    architecture: str
    context_length: int
    """Tokens, prompt and answer together."""
    eos_token_ids: tuple[int, ...]
    vocab_size: int
    """The width of the model's logits; its tokenizer may know fewer ids."""


def check_folder(folder: Path, form: Form = OPENVINO) -> None:
    """Refuse a folder that lacks a file.

    Raises:
        ModelError: naming what is missing.
    """
    missing = [pattern for pattern in form.required if not any(map(Path.is_file, folder.glob(pattern)))]
    if missing:
        raise ModelError(
            f"{folder}: not a folder with {form.name}: {', '.join(missing)} missing "
            f"(needed: {', '.join(form.required)})"
        )


def describe_folder(folder: Path, model_id: str, digest: str, form: Form = OPENVINO) -> PreparedModel:
    """Read what the description files say.

    Raises:
        ModelError: a file or a needed field is missing or unusable.
    """
    check_folder(folder, form)
    config = read_json(folder / "config.json")
    generation = read_json_if_there(folder / "generation_config.json")
    eos = generation.get("eos_token_id", config.get("eos_token_id"))
    return PreparedModel(
        folder=folder,
        id=model_id,
        digest=digest,
        architecture=str(config.get("model_type", "unknown")),
        context_length=_positive(config, "max_position_embeddings", folder),
        eos_token_ids=_token_ids(eos, folder),
        vocab_size=_positive(config, "vocab_size", folder),
    )


def _positive(config: Mapping[str, Any], key: str, folder: Path) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ModelError(f"{folder / 'config.json'}: {key} is not a positive number")
    return value


def _token_ids(stated: object, folder: Path) -> tuple[int, ...]:
    ids = stated if isinstance(stated, list) else [stated]
    if not ids or any(type(token) is not int or token < 0 for token in ids):
        raise ModelError(f"{folder}: generation_config.json and config.json give no usable eos_token_id")
    return tuple(dict.fromkeys(ids))
