"""Numbers of a GGUF's metadata, each checked before anything is computed with it."""

import math

from antiphon.models.errors import ModelError
from antiphon.models.gguf import Gguf, Value


def integer(gguf: Gguf, key: str, default: int | None = None) -> int:
    """A positive whole number from the metadata; `default` where the file does not say.

    Raises:
        ModelError: it is absent without a default, or something else.
    """
    value = gguf.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ModelError(f"{gguf.path}: damaged GGUF file ({key} is {shown(value)})")
    return value


def number(gguf: Gguf, key: str, default: float) -> float:
    """A positive finite number from the metadata; `default` where the file does not say.

    Raises:
        ModelError: it is something else.
    """
    value = gguf.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ModelError(f"{gguf.path}: damaged GGUF file ({key} is {shown(value)})")
    return float(value)


def head_width(gguf: Gguf, architecture: str) -> int:
    """Of queries and keys.

    Raises:
        ModelError: the file states something that is no width.
    """
    heads = integer(gguf, f"{architecture}.attention.head_count")
    width = integer(gguf, f"{architecture}.embedding_length")
    return integer(gguf, f"{architecture}.attention.key_length", width // heads)


def shown(value: Value | None) -> str:
    """A foreign value, short enough for one line."""
    return "missing" if value is None else repr(value)[:80]
