"""The settings of the HTTP surface, with their defaults."""

from dataclasses import dataclass, field

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """What the HTTP surface accepts, and from whom. Sizes are in bytes, times in seconds."""

    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    """Any one of these opens every route; with none, no key is asked for."""
    allowed_hosts: frozenset[str] = LOOPBACK_HOSTS
    """Names a request's Host may have, lower case, without port; "*" allows every one. The address
    that the connection was made to is always allowed."""
    allowed_origins: frozenset[str] = frozenset()
    """Origins whose web pages may call the server, as browsers write them."""
    strict_fields: bool = False
    """Refuse unknown top-level fields, as OpenAI does, instead of naming them in a header."""
    playground: bool = True
    """Serve the pages for people."""
    reasoning_field: str = "reasoning_content"
    """The key of what a model thought, in messages and deltas."""
    max_choices: int = 128
    """The largest `n`."""
    max_body: int = 4 * 1024 * 1024
    body_timeout: float = 30.0
    """From the end of the headers to the end of the body."""
    max_headers: int = 64
    max_header_bytes: int = 16 * 1024
    max_target_bytes: int = 8 * 1024
    """Path and query."""
    head_timeout: float = 10.0
    """For a connection's first byte, and from a request's first byte to the end of its headers."""
    write_timeout: float = 60.0
    """How long a client may read nothing while an answer waits to be sent."""
    keep_alive: int = 15
    """How long an idle connection stays open after an answer."""
    ping_interval: float = 4.0
    """A stream that is silent for so long sends a comment."""
