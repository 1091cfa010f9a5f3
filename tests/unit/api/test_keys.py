"""API keys."""

import pytest

from antiphon.api.app import ApiOptions
from antiphon.api.http_errors import KeyRefused, KeyRequired
from antiphon.api.keys import KeyRing, masked
from tests.unit.api.live import running

GOOD = "sk-good-key-0123456789abcdef"


def check(ring: KeyRing, *authorization: str) -> str:
    """The project of a request with these Authorization headers."""
    headers = [(b"authorization", value.encode()) for value in authorization]
    return ring.check({"type": "http", "headers": headers})


@pytest.mark.parametrize("authorization", [(), ("Bearer anything",), ("Basic eA==",), ("Bearer",)])
def test_without_keys_everybody_passes(authorization: tuple[str, ...]) -> None:
    """An open server takes any key, and none."""
    assert check(KeyRing(()), *authorization) == "default"


@pytest.mark.parametrize("authorization", [f"Bearer {GOOD}", f"bearer {GOOD}", f"BEARER  {GOOD} "])
def test_good_key_passes(authorization: str) -> None:
    """The scheme is not case-sensitive, and each configured key counts."""
    assert check(KeyRing(("another", GOOD)), authorization) == check(KeyRing((GOOD,)), f"Bearer {GOOD}")


def test_each_key_is_a_project_of_its_own() -> None:
    """That does not show the key, and stays when other keys come and go."""
    ring = KeyRing(("another", GOOD))
    projects = {check(ring, "Bearer another"), check(ring, f"Bearer {GOOD}"), "default"}

    assert len(projects) == 3
    assert not any(GOOD in project for project in projects)


@pytest.mark.parametrize(
    "authorization",
    [(), ("",), ("Bearer",), ("Bearer ",), (f"Basic {GOOD}",), (GOOD,), (f"Bearer {GOOD}",) * 2],
)
def test_missing_key_is_refused(authorization: tuple[str, ...]) -> None:
    """No bearer token, or more than one header: there is no key."""
    with pytest.raises(KeyRequired):
        check(KeyRing((GOOD,)), *authorization)


@pytest.mark.parametrize("key", ["x", GOOD[:-1], GOOD + "x", GOOD.upper(), f"{GOOD},{GOOD}", "é" * 40, "\0"])
def test_wrong_key_is_refused(key: str) -> None:
    """Almost right is wrong."""
    with pytest.raises(KeyRefused):
        check(KeyRing((GOOD,)), f"Bearer {key}")


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("sk-good-key-0123456789abcdef", "sk-*****cdef"),
        ("sk-short", "*****"),
        ("é" * 40, "*****"),
        ("sk-with\nline-break-0123456789", "*****"),
    ],
)
def test_mask_shows_little(key: str, shown: str) -> None:
    """Enough to recognise a long key by, nothing of a short or strange one."""
    assert masked(key) == shown


PATHS = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("POST", "/v1/chat/completions"),
    ("DELETE", "/v1/chat/completions"),
    ("GET", "/models"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "//v1/models"),
    ("GET", "/health/live/"),
    ("GET", "/health/live/../../v1/models"),
    ("GET", "/health%2Flive%0A"),
    ("GET", "/HEALTH/LIVE"),
    ("OPTIONS", "/v1/models"),
    ("HEAD", "/v1/models"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_every_path_but_two_needs_a_key(method: str, path: str) -> None:
    """Existing or not, with any method: the same refusal."""
    async with running(options=ApiOptions(api_keys=frozenset({GOOD}))) as live:
        url = f"http://127.0.0.1:{live.port}{path}"
        keyless = await live.client.request(method, url)
        wrong = await live.client.request(method, url, headers={"authorization": "Bearer nonsense"})
    assert (keyless.status_code, wrong.status_code) == (401, 401)
    assert keyless.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        assert keyless.json()["error"]["code"] is None
        assert wrong.json() == {
            "error": {
                "message": "Incorrect API key provided: *****.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_api_key",
            }
        }


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_two_health_paths_need_no_key(path: str) -> None:
    """Supervisors have no keys."""
    async with running(options=ApiOptions(api_keys=frozenset({GOOD}))) as live:
        response = await live.client.get(path)
    assert response.status_code == 200


async def test_key_is_checked_before_the_body_is_read() -> None:
    """A keyless caller cannot make the server parse anything."""
    async with running(options=ApiOptions(api_keys=frozenset({GOOD}))) as live:
        response = await live.client.post("/v1/chat/completions", content=b"not json")
    assert response.status_code == 401


def test_options_do_not_show_keys() -> None:
    """Printing the settings prints no secret."""
    assert GOOD not in repr(ApiOptions(api_keys=frozenset({GOOD})))
