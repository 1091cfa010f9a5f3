"""Server-sent events, as far as streamed completions use them: bytes in, payloads out.

Field names other than `data` and comments are skipped. It does no I/O and decodes no JSON.

Invariant: the payloads are the same for any division of the bytes into pieces.
"""


class EventParser:
    """Collects the data of each event; push pieces of a body in order."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._rest = b""
        self._data: list[bytes] = []

    def push(self, piece: bytes) -> list[bytes]:
        """The payloads of the events that this piece completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        payloads = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                payloads.append(b"\n".join(self._data))
                self._data = []
        return payloads
