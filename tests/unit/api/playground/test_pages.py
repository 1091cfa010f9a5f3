"""The built pages as they are served."""

import re

import pytest

from antiphon.api.app import ApiOptions
from antiphon.api.playground.pages import read_pages
from tests.unit.api.live import running

PAGES = {page.path: page for page in read_pages()}


@pytest.mark.parametrize("path", sorted(PAGES))
async def test_page_is_sent_as_it_was_built(path: str) -> None:
    """With its type, without a key even where keys are set, and with a policy that lets nothing in."""
    page = PAGES[path]
    async with running(options=ApiOptions(api_keys=frozenset({"key"}))) as live:
        response = await live.client.get(path)

    assert (response.status_code, response.content) == (200, page.body)
    assert response.headers["content-type"] == page.media_type
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert not re.search(r"unsafe|https?:|\*", policy)


@pytest.mark.parametrize("path", ["/", "/dashboard", "/playground/parameters.json"])
async def test_unchanged_page_is_not_sent_again(path: str) -> None:
    """What keeps its name is asked for each time, and answered by its tag."""
    async with running() as live:
        first = await live.client.get(path)
        again = await live.client.get(path, headers={"if-none-match": first.headers["etag"]})
        other = await live.client.get(path, headers={"if-none-match": '"other"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, other.content) == (200, first.content)


async def test_named_by_content_is_kept_for_good() -> None:
    """Scripts and styles have a hash in their names."""
    lasting = [page.path for page in PAGES.values() if page.lasting]

    assert lasting
    assert all(re.fullmatch(r"/playground/[a-z]+-[\w-]{8}\.(css|js|svg)", path) for path in lasting)
    async with running() as live:
        response = await live.client.get(lasting[0])
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_pages_name_only_what_is_served() -> None:
    """Every address in the pages has a route."""
    named = {
        path.decode()
        for page in PAGES.values()
        if page.media_type.startswith("text/html")
        for path in re.findall(rb'(?:src|href)="([^"]+)"', page.body)
    }

    assert named
    assert named <= PAGES.keys()


@pytest.mark.parametrize(
    "path", ["/playground", "/playground/", "/index.html", "/playground/..%2findex.html", "/playground/x.js"]
)
async def test_nothing_else_is_found(path: str) -> None:
    """No part of a path is looked up among files."""
    async with running() as live:
        response = await live.client.get(f"http://127.0.0.1:{live.port}{path}")

    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


async def test_pages_can_be_switched_off() -> None:
    """Then their paths lead nowhere."""
    async with running(options=ApiOptions(playground=False)) as live:
        statuses = [(await live.client.get(path)).status_code for path in PAGES]

    assert set(statuses) == {404}
