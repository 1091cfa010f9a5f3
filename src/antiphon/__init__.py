"""Antiphon: OpenAI's Chat Completions API on hardware its user owns.

    with antiphon.serve() as server:
        client = OpenAI(base_url=server.url, api_key=server.api_key)

What stands in `__all__` is the Python interface; everything else may change without notice.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.hosted.script import Script
    from antiphon.hosted.server import ServeError, Server, serve

__version__ = "0.1.0"
__all__ = ["Script", "ServeError", "Server", "__version__", "serve"]


def __getattr__(name: str) -> Any:
    """Import the interface when it is first asked for: the command and the engine do without."""
    if name == "Script":
        from antiphon.hosted import script

        return script.Script
    if name in __all__:
        from antiphon.hosted import server

        return getattr(server, name)
    raise AttributeError(f"module 'antiphon' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The interface, for completion in notebooks."""
    return sorted(__all__)
