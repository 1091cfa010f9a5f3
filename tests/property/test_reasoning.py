"""Reasoning taken off answers: any split of the same text tells the same story."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.generation import TokenDelta, TokenLogprob
from antiphon.engine.backends.fake import FakeTokenizer
from antiphon.service.choice_text import ChoiceText, TokenScorer
from antiphon.text.reasoning import ReasoningBlock, ReasoningSplitter
from antiphon.text.stop import StopStrings

TOKENIZER = FakeTokenizer()
PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "\n", " ", "a", "é", "<", "</th", "stop"]), max_size=8
)
BLOCKS = st.builds(ReasoningBlock, st.just("<think>"), st.just("</think>"), st.booleans())

Story = tuple[str, str, bytes, int, int, bool]


def told(text: str, block: ReasoningBlock, cuts: list[int]) -> Story:
    """What is thought and said, the scores, both counts, and whether it was stopped."""
    reader = ChoiceText(
        TOKENIZER, TokenScorer(TOKENIZER), StopStrings(["stop"]), 0, reasoning=ReasoningSplitter(block)
    )
    raw = text.encode()
    ends = [*sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    thought, said, scored = "", "", b""
    deltas = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        tokens = tuple(raw[start:end])
        deltas.append(
            reader.push(TokenDelta(0, tokens, tuple(TokenLogprob(token, -1.0) for token in tokens)), 0)
        )
        if reader.stopped:
            break
    else:
        deltas.append(reader.flush(0))
    thought = reader.take_reasoning()
    for delta in deltas:
        said += delta.text if delta else ""
        scored += b"".join(score.raw for score in delta.tokens) if delta else b""
    return thought, said, scored, reader.tokens, reader.reasoning_tokens, reader.stopped


@given(PIECES, BLOCKS, st.lists(st.integers(0, 40), max_size=6))
def test_split_changes_nothing(pieces: list[str], block: ReasoningBlock, cuts: list[int]) -> None:
    """And scores are of what is said alone."""
    text = "".join(pieces)
    story = told(text, block, cuts)
    thought, said, scored, tokens, reasoning, stopped = story

    assert story == told(text, block, list(range(len(text.encode()))))
    assert scored == said.encode() or stopped
    assert 0 <= reasoning <= tokens <= len(text.encode())
    if not stopped:
        assert tokens == len(text.encode())
        is_block = block.begun or text.lstrip(" \n").startswith("<think>")
        inside = text if block.begun else text.lstrip(" \n").removeprefix("<think>")
        expected = inside.partition("</think>") if is_block else ("", "", text)
        rest = expected[2].lstrip(" \n") if is_block else text
        assert (thought, said) == (expected[0].strip(" \n"), rest)
