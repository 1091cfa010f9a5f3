"""What is kept of a streamed answer."""

import pytest

from bench.loadgen.record import Record


def chunk(index: int, text: str, finish: str = "null") -> bytes:
    """A chunk with one choice."""
    choice = f'{{"index":{index},"delta":{{"content":"{text}"}},"finish_reason":{finish}}}'
    return f'{{"choices":[{choice}]}}'.encode()


def test_record_times_content_only() -> None:
    """A chunk that only tells the role, or has an empty text, is no first token."""
    record = Record(sent=10.0)
    record.add(b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}', 11.0)
    record.add(chunk(0, "Hi"), 12.0)
    record.add(chunk(0, "!", '"length"'), 12.5)
    assert record.first_token_s == 2.0
    assert record.gaps == [0.5]
    assert record.texts == {0: "Hi!"}
    assert record.finish_reasons == {0: "length"}


def test_record_without_content_has_no_first_token() -> None:
    """No content is not a first token at time zero."""
    assert Record(sent=1.0).first_token_s is None


def test_record_measures_gaps_within_a_choice() -> None:
    """Two choices that take turns have their own gaps."""
    record = Record(sent=0.0)
    for index, now in ((0, 1.0), (1, 1.1), (0, 2.0), (1, 2.1)):
        record.add(chunk(index, "x"), now)
    assert record.gaps == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("counted", "expected"), [(9, 9), (1, 2)])
def test_output_tokens_are_never_fewer_than_the_pieces(counted: int, expected: int) -> None:
    """A usage that covers one choice of several does not hide the others."""
    record = Record(sent=0.0)
    record.add(chunk(0, "a"), 1.0)
    record.add(chunk(1, "b"), 1.0)
    record.add(f'{{"choices":[],"usage":{{"prompt_tokens":5,"completion_tokens":{counted}}}}}'.encode(), 1.0)
    assert record.output_tokens == expected
    assert record.prompt_tokens == 5


def test_record_keeps_cached_tokens_and_the_end() -> None:
    """Usage details and `[DONE]` are noted; null details are none."""
    record = Record(sent=0.0)
    record.add(b'{"usage":{"prompt_tokens":64,"prompt_tokens_details":{"cached_tokens":32}}}', 1.0)
    record.add(b"[DONE]", 1.0)
    assert (record.cached_tokens, record.finished) == (32, True)


def test_record_keeps_an_error_event() -> None:
    """An error inside the stream makes the request a failed one."""
    record = Record(sent=0.0)
    record.add(b'{"error":{"message":"gone"}}', 1.0)
    assert record.error == '{"message":"gone"}'


@pytest.mark.parametrize(
    ("text", "reason", "held"),
    [
        ('{\\"age\\":3}', '"stop"', True),
        ('{\\"age\\":\\"3\\"}', '"stop"', False),
        ('{\\"age\\":3,\\"more\\":1}', '"stop"', False),
        ("no json", '"stop"', False),
        ('{\\"age', '"length"', True),
    ],
)
def test_holds_judges_answers_that_ended_by_themselves(text: str, reason: str, held: bool) -> None:
    """A cut answer promised nothing; any other is exactly the promised fields."""
    record = Record(sent=0.0)
    record.add(chunk(0, text, reason), 1.0)
    assert record.holds({"age": int}) is held
