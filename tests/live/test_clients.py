"""Every client's own tests pass, against the real model, and the record of them is true."""

import os
from collections.abc import Iterator

import pytest

from tests.live.client_runs import CLIENTS, Client, Servers, recorded, run
from tests.live.scripted_model import scripted_server
from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def servers(server: ServerProcess) -> Iterator[Servers]:
    """The real model's and those of the models that know answers by heart."""
    with scripted_server() as scripted, scripted_server(thinks=True) as thinking:
        yield Servers(server.base_url, scripted, thinking)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client_agrees_with_the_server(client: Client, servers: Servers) -> None:
    """Its tests pass; each came out as docs/reference/compatibility.md has it (`make compatibility`)."""
    missing = client.missing()
    if missing is not None and not os.environ.get("CI"):
        pytest.skip(missing)

    done = run(client, servers)

    assert done.returncode == 0, done.output
    assert done.results == recorded()[client.name]["results"]
