"""Every client's own tests pass, against the real model, and the record of them is true."""

import os
from collections.abc import Iterator

import pytest

from tests.live.client_runs import CLIENTS, Client, recorded, run
from tests.live.scripted_model import scripted_server
from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def scripted_url() -> Iterator[str]:
    """Where the model is that knows answers by heart."""
    with scripted_server() as url:
        yield url


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client_agrees_with_the_server(client: Client, server: ServerProcess, scripted_url: str) -> None:
    """Its tests pass; each came out as docs/reference/compatibility.md has it (`make compatibility`)."""
    missing = client.missing()
    if missing is not None and not os.environ.get("CI"):
        pytest.skip(missing)

    done = run(client, server.base_url, scripted_url)

    assert done.returncode == 0, done.output
    assert done.results == recorded()[client.name]["results"]
