"""What a model thought, encoded for clients that send nothing else of a reasoning item back.

OpenAI encrypts it, so that nobody can read it. Here the item's `content` tells it anyway: this is the same
text in base64, behind a mark. What somebody else encoded or encrypted means nothing here.

Invariant: `decoded(encoded(text)) == text`.
"""

import base64
import binascii
from typing import Final

_MARK: Final = "antiphon:"


def encoded(text: str) -> str:
    """The text as a client is to keep it."""
    return _MARK + base64.urlsafe_b64encode(text.encode()).decode()


def decoded(data: str) -> str:
    """The text that was encoded; empty where it was not encoded here."""
    if not data.startswith(_MARK):
        return ""
    try:
        return base64.b64decode(data.removeprefix(_MARK), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return ""
