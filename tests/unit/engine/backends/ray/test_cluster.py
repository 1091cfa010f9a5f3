"""Why a cluster is not joined, or replicas are not shared: told by the setting that is wrong."""

import socket

import pytest

pytest.importorskip("ray")

from ray._private.utils import check_version_info

from antiphon.core.errors import EngineUnavailable
from antiphon.engine.backends.ray.cluster import check_alike, join, reason_of

pytestmark = pytest.mark.ray

FACTS = {"antiphon": "0.1.0", "model": "0123456789ab", "threads": "2", "replicas": "2"}


@pytest.mark.parametrize("address", ["rubbish", ":6379", "10.0.0.1:", "10.0.0.1:x"])
def test_address_of_another_form_is_refused(address: str) -> None:
    """Before Ray sees it."""
    with pytest.raises(EngineUnavailable) as refused:
        join(address)

    assert refused.value.reason == f"ray_address: {address} is neither HOST:PORT nor auto"


def test_address_where_nothing_listens_is_told_at_once() -> None:
    """Ray itself would try for minutes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EngineUnavailable) as refused:
            join(address)

    assert refused.value.reason == f"ray_address: nothing answers at {address}"


def test_other_versions_are_named() -> None:
    """As Ray's own check words them."""
    with pytest.raises(RuntimeError) as mismatch:
        check_version_info({"ray_version": "2.59.0", "python_version": "3.12.1"}, "here")
    reason = reason_of("10.0.0.1:6379", mismatch.value) or ""

    assert reason.startswith(
        "ray_address: the cluster runs Ray 2.59.0 and Python 3.12.1, this server Ray 2.60"
    )


def test_what_is_not_known_is_left_to_the_log() -> None:
    """Ray's own words may say anything."""
    assert reason_of("10.0.0.1:6379", RuntimeError("a secret")) is None
    assert "not a Ray cluster" in (reason_of("10.0.0.1:6379", SystemExit(15)) or "")
    assert "no Ray cluster runs" in (reason_of("auto", ConnectionError()) or "")


def test_replicas_that_are_alike_are_shared() -> None:
    """In whatever order it is told."""
    check_alike("antiphon-m", FACTS, dict(reversed(FACTS.items())))


def test_each_setting_that_differs_is_named() -> None:
    """With what it is there and here."""
    with pytest.raises(EngineUnavailable) as refused:
        check_alike("antiphon-m", {**FACTS, "threads": "4", "replicas": "1:8"}, FACTS)

    assert "run with threads=2, replicas=2; this server was given threads=4, replicas=1:8." in (
        refused.value.reason
    )
