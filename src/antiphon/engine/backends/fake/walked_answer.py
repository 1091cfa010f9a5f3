"""An answer found by walking through the real grammar engine, one byte after the other.

For constraints that are more than rules and schemas: regular expressions, grammars of the caller's own.
Chance picks among the bytes that may come next, letters and signs before others, and the answer ends
as soon as it may. A constraint for which that takes too long is refused.

Invariant: the same constraint has the same answer always.
"""

import json
from functools import lru_cache
from random import Random
from typing import Final

from antiphon.core.errors import SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine.constraint import ConstraintBroken, ConstraintCompiler, ConstraintRefused

MAX_BYTES: Final = 4096
_END: Final = 256
_VISIBLE: Final = range(0x20, 0x7F)


def walked_answer(constraint: Constraint) -> str:
    """A text that satisfies the constraint.

    Raises:
        SchemaRefused: it does not compile, or no end was found.
    """
    try:
        return _walk(constraint)
    except ConstraintRefused as refused:
        raise SchemaRefused("", str(refused)) from None
    except (ConstraintBroken, UnicodeDecodeError):
        raise SchemaRefused("", "the fake engine finds no answer under it.") from None


def _walk(constraint: Constraint) -> str:
    """The bytes of one walk, decoded.

    Raises:
        ConstraintRefused, ConstraintBroken, UnicodeDecodeError: as `walked_answer` tells.
    """
    matcher = _compiler().compile(constraint)
    chance, written = Random(constraint.text), bytearray()
    while len(written) < MAX_BYTES and not matcher.finished:
        allowed = [int(token) for token in matcher.allowed()]
        if _END in allowed:
            break
        visible = [token for token in allowed if token in _VISIBLE]
        token = chance.choice(visible or allowed)
        if matcher.may_follow(token):
            written.append(token)
            matcher.consume(token)
    else:
        if not matcher.finished:
            raise ConstraintBroken
    return written.decode()


@lru_cache(maxsize=1)
def _compiler() -> ConstraintCompiler:
    """Compiles for a vocabulary of bytes, each one's id its value, and an end."""
    vocabulary = {_letter(byte): byte for byte in range(256)}
    byte_level = dict.fromkeys(("add_prefix_space", "trim_offsets", "use_regex"), False) | {
        "type": "ByteLevel"
    }
    document = {
        "version": "1.0",
        "added_tokens": [_special("<end>", _END)],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    return ConstraintCompiler(json.dumps(document), _END + 1, (_END,))


def _special(text: str, token: int) -> dict[str, object]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": text, "special": True, **flags}


def _letter(byte: int) -> str:
    """The printable character that stands for a byte in byte-level vocabularies, as GPT-2 has them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in printable:
        return chr(byte)
    return chr(0x100 + [other for other in range(256) if other not in printable].index(byte))
