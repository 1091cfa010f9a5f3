"""JSON files of a model folder, with errors that name the file."""

import json
from pathlib import Path
from typing import Any

from antiphon.models.errors import ModelError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelError: it cannot be read or is not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: is not a JSON object")
    return value


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty when there is no such file."""
    return read_json(path) if path.is_file() else {}
