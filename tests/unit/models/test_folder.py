"""One reader for prepared GGUFs and hub folders."""

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.models.errors import ModelError
from antiphon.models.folder import REQUIRED_FILES, describe_folder

_CONFIG = {"model_type": "qwen2", "max_position_embeddings": 1024, "vocab_size": 99, "eos_token_id": 7}


def _folder(tmp_path: Path, config: object, generation: object = None) -> Path:
    for name in REQUIRED_FILES:
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    return tmp_path


def test_description_comes_from_the_config_files(tmp_path: Path) -> None:
    """The generation config's end tokens win: they are what the makers generate with."""
    model = describe_folder(_folder(tmp_path, _CONFIG, {"eos_token_id": [5, 7, 5]}), "name", "digest")

    assert (model.architecture, model.context_length, model.vocab_size) == ("qwen2", 1024, 99)
    assert (model.id, model.digest, model.eos_token_ids) == ("name", "digest", (5, 7))


def test_end_token_may_stand_in_the_model_config(tmp_path: Path) -> None:
    """A folder without a generation config is complete."""
    assert describe_folder(_folder(tmp_path, _CONFIG), "name", "digest").eos_token_ids == (7,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_position_embeddings": None}, "max_position_embeddings is not a positive number"),
        ({"vocab_size": True}, "vocab_size is not a positive number"),
        ({"eos_token_id": None}, "no usable eos_token_id"),
        ({"eos_token_id": []}, "no usable eos_token_id"),
        ({"eos_token_id": [1, "2"]}, "no usable eos_token_id"),
        ({"eos_token_id": -1}, "no usable eos_token_id"),
    ],
)
def test_unusable_field_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """No default stands in for what the model must know of itself."""
    with pytest.raises(ModelError, match=message):
        describe_folder(_folder(tmp_path, _CONFIG | change), "name", "digest")


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_unreadable_config_is_named(tmp_path: Path, content: str) -> None:
    """Damage is told with the file's path."""
    folder = _folder(tmp_path, _CONFIG)
    (folder / "config.json").write_bytes(content.encode("latin-1"))

    with pytest.raises(ModelError, match=r"config\.json: (cannot be read as JSON|is not a JSON object)"):
        describe_folder(folder, "name", "digest")
