"""For people who test clients: pytest fixtures with a server that needs no model.

    def test_my_client(antiphon_server, antiphon_script):
        antiphon_script.say("Paris.")
        assert my_client(base_url=antiphon_server.url).ask("Capital of France?") == "Paris."

pytest finds them wherever Antiphon is installed; a run that asks for neither pays nothing.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from antiphon.hosted.script import Script
    from antiphon.hosted.server import Server


@pytest.fixture(scope="session")
def antiphon_server() -> "Iterator[Server]":
    """A server with the fake engine on a free port, one for the whole session."""
    from antiphon.hosted.server import serve

    with serve(engine="fake") as server:
        yield server


@pytest.fixture
def antiphon_script(antiphon_server: "Server") -> "Iterator[Script]":
    """What that server is to answer in this test; what was not said is forgotten at its end."""
    antiphon_server.script.clear()
    yield antiphon_server.script
    antiphon_server.script.clear()
