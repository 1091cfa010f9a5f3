"""What every test shares: how hypothesis searches, and the servers that run for a whole session."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from openai import OpenAI

from antiphon.telemetry.optout import block_vendor_telemetry
from tests import postgres_server
from tests.live.server_process import ServerProcess, running
from tests.real_model import prepared_model

# They run in environments of their own: tests/live/client_runs.py.
collect_ignore = ["clients"]

__all__ = ["client", "fake_server", "postgres", "prepared_model", "server"]

# Some tests import openvino themselves.
block_vendor_telemetry()

# No deadline: a slow moment of the machine is not a failure.
settings.register_profile("antiphon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("antiphon")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the real default model."""
    with running(tmp_path_factory.mktemp("server")) as process:
        yield process


@pytest.fixture(scope="session")
def fake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the fake engine."""
    with running(tmp_path_factory.mktemp("fake_server"), "--engine", "fake") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    """The official client, pointed at the real model. It does not retry: a failure must be seen."""
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.PostgresServer]:
    """A PostgreSQL server."""
    programs = postgres_server.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server.running(programs) as server:
        yield server
