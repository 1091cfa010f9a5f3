"""A folder the engine can run: OpenVINO IR beside Hugging Face's description files.

One reader serves folders prepared here from a GGUF and folders from the hub's OpenVINO
organisation. Everything there is to know of a model is in its folder; only its name and the digest
of its weights are given from outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from antiphon.models.errors import ModelError
from antiphon.models.json_files import read_json, read_json_if_there

IR_FILES: Final = ("openvino_model.xml", "openvino_model.bin")
REQUIRED_FILES: Final = (*IR_FILES, "tokenizer.json", "config.json")


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


def check_folder(folder: Path) -> None:
    """Refuse a folder that lacks a file.

    Raises:
        ModelError: naming what is missing.
    """
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: not a folder with an OpenVINO model: {', '.join(missing)} missing "
            f"(needed: {', '.join(REQUIRED_FILES)})"
        )


def describe_folder(folder: Path, model_id: str, digest: str) -> PreparedModel:
    """Read what the description files say.

    Raises:
        ModelError: a file or a needed field is missing or unusable.
    """
    check_folder(folder)
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
