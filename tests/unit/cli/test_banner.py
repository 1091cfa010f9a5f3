"""The banner: what it says for each way to serve."""

import json
import shlex
from dataclasses import replace

import pytest

from antiphon.app import Serving
from antiphon.cli.banner import banner, curl_line

LOCAL = Serving("http://127.0.0.1:8000/v1", "a model", ("alias",), "127.0.0.1", loopback=True, keys=0)


def test_banner_tells_where_what_and_how_to_stop() -> None:
    """Everything a person needs to begin."""
    text = banner(LOCAL).plain

    for part in ("http://127.0.0.1:8000/v1", "a model", "alias", "this machine only", "Ctrl+C"):
        assert part in text


def test_banner_tells_of_the_playground_where_there_is_one() -> None:
    """By the address that a browser needs."""
    assert "http://127.0.0.1:8000/\n" in banner(replace(LOCAL, playground=True)).plain
    assert "http://127.0.0.1:8000/\n" not in banner(LOCAL).plain


@pytest.mark.parametrize(
    ("keys", "words"), [(0, "OPEN to everyone who can reach 0.0.0.0"), (2, "with an API key (2 configured)")]
)
def test_banner_tells_who_may_connect(keys: int, words: str) -> None:
    """An open server says so loudly."""
    serving = Serving("http://127.0.0.1:8000/v1", "m", (), "0.0.0.0", loopback=False, keys=keys)

    assert words in banner(serving).plain


def test_curl_line_survives_odd_model_names() -> None:
    """A shell reads back what was meant."""
    serving = Serving("http://127.0.0.1:8000/v1", 'it\'s "odd" $HOME', (), "127.0.0.1", loopback=True, keys=0)
    words = shlex.split(curl_line(serving))

    assert json.loads(words[-1])["model"] == serving.model


def test_curl_line_carries_a_key_where_one_is_needed() -> None:
    """From the variable that clients use; never the key itself."""
    serving = Serving("http://127.0.0.1:8000/v1", "m", (), "127.0.0.1", loopback=True, keys=1)

    assert '-H "Authorization: Bearer $OPENAI_API_KEY"' in curl_line(serving)
