"""Server-sent events as OpenAI frames them: chunks to bytes.

Every event is one `data:` line of JSON, behind an `event:` line in the one API that has them; comments
keep a silent connection alive. No `id:` or `retry:` lines, and no state.
"""

import msgspec

DONE = b"data: [DONE]\n\n"
"""The last event of every stream that was completed."""

PING = b": ping\n\n"
"""A comment, which clients skip."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Asks nginx not to hold events back.
    (b"x-accel-buffering", b"no"),
)


def headers() -> dict[str, str]:
    """The same, for a stream that is sent at once."""
    return {name.decode("ascii"): value.decode("ascii") for name, value in HEADERS}


def named_event(name: str, data: object) -> bytes:
    """One event with a name, for APIs whose clients listen for it; the name is the server's own."""
    return b"event: " + name.encode("ascii") + b"\n" + event(data)


def event(data: object) -> bytes:
    """One event; JSON text holds no line break, so the frame cannot be broken from inside."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"
