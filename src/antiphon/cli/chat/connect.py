"""Which server a chat talks to: the one that was named, one that runs here, or one of its own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from antiphon.cli.client import ApiError, Endpoint
from antiphon.cli.progress import open_progress
from antiphon.config import client_key, gather, servers_folder
from antiphon.servers import running_servers
from antiphon.settings import shown_value

_HANDED_ON = ("engine", "models", "threads", "kv_cache_mib", "kv_cache_type")
"""Settings of this environment that a server of the chat's own follows."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A server that answers, and the model to ask for."""

    endpoint: Endpoint
    model: str


@contextlib.contextmanager
def connected(url: str | None, model: str | None) -> Iterator[Connected]:
    """A server with the model; where neither is named, whatever runs here, or the default model.

    Raises:
        ApiError: the named server cannot be reached, or has no such model.
        ServeError: a server of its own could not start.
        ConfigError: a setting of this environment is wrong.
    """
    if url is not None:
        yield _choose(Endpoint(url.rstrip("/"), client_key()), model)
        return
    found = _running(model)
    if found is not None:
        yield found
        return
    with _own(model) as own:
        yield own


def _running(model: str | None) -> Connected | None:
    """A server of this user that has the model, the newest first."""
    for server in running_servers(servers_folder()):
        with contextlib.suppress(ApiError):
            return _choose(Endpoint(server.url, client_key()), model)
    return None


def _choose(endpoint: Endpoint, model: str | None) -> Connected:
    names = [str(entry.get("id")) for entry in endpoint.models()]
    if not names:
        raise ApiError(f"{endpoint.url}: this server lists no models")
    if model is not None and model not in names:
        raise ApiError(f"{endpoint.url}: has no model {model}; it has {', '.join(names)}")
    return Connected(endpoint, model or names[0])


@contextlib.contextmanager
def _own(model: str | None) -> Iterator[Connected]:
    from antiphon.hosted.server import serve

    given = gather({})
    settings: dict[str, Any] = {name: shown_value(name, given[name].value) for name in _HANDED_ON}
    with open_progress() as progress:
        server = serve(model or given["model"].value[0], progress=progress, **settings)
    with server:
        yield Connected(Endpoint(server.url, server.api_key), server.model)
