"""The notes that belong to one request and its answer, carried in its ASGI scope.

The outermost middleware makes them; routes add to them; the access log reads them. They hold no
content of the request.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

_KEY = "antiphon.exchange"


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    id: str
    """Made here, never taken from the client."""
    route: str = "-"
    """The template of the route, once one matched."""
    project: str = ""
    """Whose stored completions the request may see, once its key was checked."""
    model: str = "-"
    """The id of the model that answers, once it is known."""
    status: int = 0
    """0 until the answer started."""
    error: str = ""
    """The class of the error that was told, if one was."""
    spell_param: Callable[[str], str] = str
    """What the API of the request calls the field that an error of the service names in chat's words."""
    headers: dict[str, str] = field(default_factory=dict)
    """Added to whatever answer is given."""


def begin_exchange(scope: Scope) -> Exchange:
    """Start the notes of a request."""
    exchange = Exchange(id=new_request_id())
    scope[_KEY] = exchange
    return exchange


def exchange_of(scope: Scope) -> Exchange:
    """The notes of the request with this scope."""
    exchange = scope[_KEY]
    assert isinstance(exchange, Exchange)
    return exchange


def new_request_id() -> str:
    """`req_` and 32 hexadecimal digits."""
    return f"req_{uuid.uuid4().hex}"
