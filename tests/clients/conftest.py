"""Where the servers are that the clients talk to.

These tests run in environments of their own (`requirements/*.in`), started by
`tests/live/client_runs.py`; nothing of Antiphon can be imported here, and nothing is missed.
"""

import os

import pytest

MODEL = "gpt-4o-mini"


@pytest.fixture(scope="session")
def base_url() -> str:
    """The server with the real default model."""
    return os.environ["OPENAI_BASE_URL"]


@pytest.fixture(scope="session")
def thinking_url() -> str:
    """A server like the next, whose model thinks where it is asked to think aloud."""
    return os.environ["THINKING_BASE_URL"]


@pytest.fixture(scope="session")
def scripted_url() -> str:
    """The server whose model says what is written in `tests/live/scripted_model.py`."""
    return os.environ["SCRIPTED_BASE_URL"]
