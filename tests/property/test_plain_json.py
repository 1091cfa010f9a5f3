"""The watch over names against the plain reading of the whole text, for any text and any division."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.plain_json import PlainJson

HEAD = '{"name": "f", "arguments": '
NAMES = st.text('ab"\\{,:é🦜\n\x01', max_size=3)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-20, 20), st.text('a"\\{}[],:é', max_size=6))
VALUES = st.recursive(
    LEAVES.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=4).map(
            lambda pairs: f"{{{','.join(f'{_spelled(name)}:{value}' for name, value in pairs)}}}"
        )
    ),
    max_leaves=12,
)
CUTS = st.lists(st.integers(0, 300), max_size=12)


def _spelled(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def has_doubles(text: str) -> bool:
    """Whether some object of a JSON text has a name twice."""
    found: list[bool] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        found.append(len({name for name, _ in pairs}) < len(pairs))

    json.loads(text, object_pairs_hook=look)
    return any(found)


def is_let_through(text: str, cuts: list[int], behind: tuple[str, ...] = ("",)) -> bool:
    """What the machine says of a text that comes in these pieces."""
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    names: PlainJson | None = PlainJson(behind)
    for start, end in pairwise(places):
        if names is not None:
            names = names.after(data[start:end])
    return names is not None


@given(VALUES, CUTS)
def test_text_is_let_through_exactly_if_no_name_comes_twice(text: str, cuts: list[int]) -> None:
    """At any depth, in any spelling that JSON needs, however the text is divided."""
    assert is_let_through(text, cuts) is not has_doubles(text)


@given(VALUES, VALUES, CUTS, st.text('{"a:,<é', max_size=8))
def test_json_behind_a_head_is_watched_and_nothing_else(
    first: str, second: str, cuts: list[int], prose: str
) -> None:
    """Two calls with text around them: only objects and arrays behind the head count."""
    text = f'{prose}{{"b":1,"b":2}}{HEAD}{first}}}\n{prose}{HEAD}{second}}}'
    watched = [value for value in (first, second) if value[0] in '{["']

    assert is_let_through(text, cuts, (HEAD,)) is not any(map(has_doubles, watched))


@given(VALUES, CUTS)
def test_copies_go_their_own_ways(text: str, cuts: list[int]) -> None:
    """A text that goes on in two ways is judged in each as if there were no other."""
    names = PlainJson(("",)).after(b'{"a":')
    assert names is not None
    twice = names.after(text.encode() + b',"a":1}')
    once = names.after(text.encode() + b',"c":1}')

    assert twice is None
    assert (once is not None) is not has_doubles(text)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (r'{"\u0061', False),
        (r'{"\u00', True),
        (r'{"\u006', False),
        (r'{"\u007f":1}', True),
        (r'{"\u001f":1,"\u001F":2}', False),
        (r'{"\u000a":1,"\n":2}', False),
        (r'{"\\u0061":1}', True),
        (r'{"\\\u0061":1}', False),
        (r'{"\/', False),
        (r'{"a":"\u0061\/"}', True),
    ],
)
def test_names_are_spelled_without_needless_escapes(text: str, verdict: bool) -> None:
    r"""Under a schema `"\u0061"` would not be taken for the property `a` that is described."""
    assert is_let_through(text, []) is verdict
    assert is_let_through(text, list(range(len(text)))) is verdict


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        ('{"', False),
        ('{"ab":1,', True),
        ('{"ab":1,"', True),
        ('{"ab":1,"a', True),
        ('{"ab":1,"ab', True),
        ('{"ab":1,"abc', False),
        ('{"ab":1,"b', False),
        ('{"ab":"', False),
        ('{"ab":{', False),
        ('{"ab":[', False),
        ('{"é":1,"é'[:-1], True),
        (r'{"a\n":1,"a' + "\\", True),
    ],
)
def test_names_are_at_risk_while_they_may_become_one_that_is_there(text: str, risk: bool) -> None:
    """Half an escape, or nothing yet, may become anything."""
    names = PlainJson(("",)).after(text.encode())
    assert names is not None

    assert names.at_risk is risk


def test_half_a_character_may_become_any() -> None:
    """Tokens need not end where characters do."""
    names = PlainJson(("",)).after('{"aé":1,"a'.encode() + b"\xc3")
    assert names is not None

    assert names.at_risk


@given(
    st.from_regex(rb"-?(0|[1-9][0-9]{0,320})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["%s", "[0,%s]", '{"a":%s}', '{"a":[%s,1]}']),
    CUTS,
)
def test_numbers_are_let_through_exactly_if_they_are_doubles(
    number: bytes, place: str, cuts: list[int]
) -> None:
    """However the text is divided, and as the whole of it."""
    text = place % number.decode()
    assert is_let_through(text, cuts) is math.isfinite(float(number))
