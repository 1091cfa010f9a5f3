"""Pages: reference counts, names, eviction."""

import pytest

from antiphon.engine.pages import PageCounts, PagePool, generated_names, prefix_names


def test_prefix_names_cover_full_pages_only() -> None:
    """A partly filled last page has no name."""
    assert len(prefix_names(range(11), 4, "")) == 2


def test_prefix_names_end_at_a_limit() -> None:
    """They are the first of all of them."""
    assert prefix_names(range(40), 4, "s", 3) == prefix_names(range(40), 4, "s")[:3]


def test_prefix_names_depend_on_everything_before() -> None:
    """The same page after another beginning has another name."""
    first = prefix_names([1, 2, 3, 4, 5, 6, 7, 8], 4, "")
    second = prefix_names([9, 2, 3, 4, 5, 6, 7, 8], 4, "")

    assert not set(first) & set(second)


def test_prefix_names_are_salted() -> None:
    """Nobody finds pages of another salt."""
    assert prefix_names(range(8), 4, "a") != prefix_names(range(8), 4, "b")


def test_released_page_without_a_name_is_free() -> None:
    """Unnamed pages serve anybody again."""
    pool = PagePool(2)
    pool.release(pool.take())

    assert pool.counts() == PageCounts(free=2, idle=0, held=0)


def test_named_page_stays_findable_after_release() -> None:
    """An idle page is found again under its name, with its number."""
    pool = PagePool(2)
    page = pool.take()
    pool.publish(page, b"name")
    pool.release(page)

    assert pool.counts() == PageCounts(free=1, idle=1, held=0)
    assert pool.find([b"name", b"other"]) == [page]
    assert pool.counts() == PageCounts(free=1, idle=0, held=1)


def test_shared_page_needs_every_holder_to_let_go() -> None:
    """One of two holders leaving frees nothing."""
    pool = PagePool(1)
    page = pool.take()
    pool.share(page)
    pool.release(page)

    assert pool.counts().held == 1


def test_least_recently_used_idle_page_is_evicted_first() -> None:
    """Taking a page when none is free costs the name that was longest unused."""
    pool = PagePool(2)
    for name in (b"old", b"new"):
        pool.publish(pool.take(), name)
    for page in pool.find([b"new"]) + pool.find([b"old"]):
        pool.release(page)
        pool.release(page)
    # Released in the order new, old: "new" is now the one unused for longer.
    pool.take()

    assert not pool.knows(b"new")
    assert pool.knows(b"old")


def test_taking_from_an_exhausted_pool_is_an_error() -> None:
    """Pages held by others are never given away."""
    pool = PagePool(1)
    pool.take()

    with pytest.raises(IndexError):
        pool.take()


def test_publishing_a_known_name_keeps_the_first_page() -> None:
    """Two prompts that computed the same prefix at once: one page is findable, the other is freed."""
    pool = PagePool(2)
    first, second = pool.take(), pool.take()
    pool.publish(first, b"name")
    pool.publish(second, b"name")
    pool.release(second)

    assert pool.counts() == PageCounts(free=1, idle=0, held=1)
    assert pool.find([b"name"]) == [first]


def test_generated_pages_have_names_that_no_prompt_has() -> None:
    """The same tokens as a prompt, or generated from another place on, are other pages."""
    tokens = list(range(20))
    prompt = prefix_names(tokens, 4, "")
    one, other = (generated_names(prefix_names(tokens[:n], 4, ""), tokens, n, 4, "") for n in (9, 10))

    assert (len(one), len(other)) == (3, 3)
    assert len({*prompt, *one, *other}) == 5 + 3 + 3
    assert generated_names([], tokens, 3, 4, "a") != generated_names([], tokens, 3, 4, "b")


def test_generated_names_of_a_longer_text_begin_alike() -> None:
    """So pages kept at one preemption are found after the next."""
    names = prefix_names([1, 2, 3, 4, 5], 4, "")
    short = generated_names(names, [1, 2, 3, 4, 5, *range(9)], 5, 4, "")

    assert generated_names(names, [1, 2, 3, 4, 5, *range(30)], 5, 4, "")[: len(short)] == short
