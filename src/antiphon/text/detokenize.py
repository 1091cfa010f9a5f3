"""Bytes of tokens in, text out: incremental UTF-8.

A token may end in the middle of a character; what has arrived of that character is held back
until the rest of it comes. Bytes that can be no part of any character become U+FFFD, one for each
maximal invalid run, exactly as a decoder that sees the whole at once would do.

Invariant: for any split of the same bytes, the pushes and the flush concatenate to the same text,
and no push returns part of a character.
"""

import codecs


class Detokenizer:
    """Decodes the bytes of one choice."""

    def __init__(self) -> None:
        """Start with nothing held back."""
        self._held = b""

    @property
    def held(self) -> int:
        """How many bytes are held back: 0 to 3."""
        return len(self._held)

    def push(self, data: bytes) -> str:
        """The text that `data` completes; may be empty."""
        data = self._held + data
        text, used = codecs.utf_8_decode(data, "replace", False)
        self._held = data[used:]
        return text

    def flush(self) -> str:
        """What an unfinished character at the very end amounts to: nothing, or U+FFFD."""
        text = self._held.decode("utf-8", "replace")
        self._held = b""
        return text
