"""The text of one choice: tokens → reasoning → opening of a call → stop strings → characters → `TextDelta`.

Tokens are taken one by one, so what is delivered and what is counted never depends on how the
engine grouped them. Where neither stop strings nor logprobs are asked for, a whole group is
decoded at once: nothing could come out differently.

A token's score goes out with the first of its bytes that is delivered. So a token that a stop
string cuts in two keeps its score, and one of which nothing is delivered loses it. A token
without bytes counts as delivered once everything before it is.

Where calls are possible the text ends at what opens the first one. That and all that comes behind
it is kept for whoever reads calls: stop strings and scores are of the text alone. So it is with what
is thought before the text, which is kept and counted apart. Tokens of which it is not known yet
whether they are thought or said wait.

Invariant: for any grouping of the same tokens the concatenated text, the concatenated scores, the
count and the end are the same.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from antiphon.core.events import AlternativeToken, ScoredToken, TextDelta
from antiphon.core.generation import TokenDelta, TokenLogprob
from antiphon.core.ports import Tokenizer
from antiphon.text.detokenize import Detokenizer
from antiphon.text.reasoning import ReasoningSplitter
from antiphon.text.stop import StopMatcher, StopStrings


class TokenScorer:
    """Spells out the token ids of logprobs: text and exact bytes. Shared by all requests."""

    def __init__(self, tokenizer: Tokenizer, *, controls_are_text: bool = False) -> None:
        """Control tokens are spelled as templates write them; only `controls_are_text` gives them bytes."""
        spelled = SpelledTokenizer(tokenizer, tokenizer.special_tokens)
        self._bytes = spelled.token_bytes if controls_are_text else tokenizer.token_bytes
        self._names: Mapping[int, str] = {token: text for text, token in tokenizer.special_tokens.items()}

    def score(self, entry: TokenLogprob) -> ScoredToken:
        """One token with its alternatives."""
        text, raw = self._spell(entry.token_id)
        top = tuple(AlternativeToken(*self._spell(token), logprob) for token, logprob in entry.top)
        return ScoredToken(text, raw, entry.logprob, top)

    def text(self, token_ids: Iterable[int]) -> str:
        """A whole text: what the tokens spell together, control tokens as templates write them."""
        raw = (self._bytes(token) or self._names.get(token, "").encode() for token in token_ids)
        return b"".join(raw).decode("utf-8", "replace")

    def spelled(self, token_id: int) -> str:
        """A token on its own, where part of a character shows as U+FFFD."""
        return self._spell(token_id)[0]

    def _spell(self, token: int) -> tuple[str, bytes]:
        raw = self._bytes(token)
        return (raw.decode("utf-8", "replace") if raw else self._names.get(token, "")), raw


class SpelledTokenizer:
    """A tokenizer's bytes, with some control tokens as the texts that templates write for them."""

    def __init__(self, tokenizer: Tokenizer, controls: Mapping[str, int]) -> None:
        """`controls` are those texts, with their ids."""
        self._bytes = tokenizer.token_bytes
        self._spelled = {token: text.encode() for text, token in controls.items()}

    def token_bytes(self, token_id: int) -> bytes:
        """The exact bytes a token stands for."""
        return self._bytes(token_id) or self._spelled.get(token_id, b"")


class ChoiceText:
    """Turns the tokens of one choice into its text, up to a stop string."""

    def __init__(
        self,
        tokenizer: Tokenizer | SpelledTokenizer,
        scorer: TokenScorer,
        stops: StopStrings,
        min_tokens: int,
        opening: StopStrings | None = None,
        *,
        reasoning: ReasoningSplitter | None = None,
    ) -> None:
        """A stop string is not looked for in the first `min_tokens` tokens.

        `opening` finds the tag at which the text ends and calls begin, where there may be any.
        `reasoning` takes what is thought apart, where anything may be.
        """
        self._bytes = tokenizer.token_bytes
        self._scorer = scorer
        self._matcher = StopMatcher(stops) if stops else None
        self._min_tokens = min_tokens
        self._opening = StopMatcher(opening) if opening else None
        self._call = bytearray()
        self._reasoning = reasoning
        self._thoughts = Detokenizer()
        self._thought: list[str] = []
        self._undecided: list[tuple[bytes, Sequence[TokenLogprob]]] = []
        self._detokenizer = Detokenizer()
        self._scores: deque[tuple[int, ScoredToken]] = deque()
        self._arrived = 0
        """Bytes of all tokens so far."""
        self._decoded = 0
        """Of these, the ones that went into the detokenizer."""
        self.tokens = 0
        """Tokens generated, up to and including the one that completed a stop string."""
        self.reasoning_tokens = 0
        """Of these, the ones of the block of reasoning, its tags included."""
        self.stopped = False
        """A stop string is complete: take no more tokens."""
        self.calling = False
        """The text is over: what comes now belongs to calls."""

    def take_call(self) -> bytes:
        """What came of calls, from the first one's opening on, since this was last asked."""
        data = bytes(self._call)
        self._call.clear()
        return data

    def take_reasoning(self) -> str:
        """What was thought since this was last asked."""
        text = "".join(self._thought)
        self._thought.clear()
        return text

    def push(self, delta: TokenDelta, choice: int) -> TextDelta | None:
        """The text that may be delivered after these tokens, or None where there is none yet."""
        if not (self._matcher or self._opening or self._reasoning or delta.logprobs):
            self.tokens += len(delta.token_ids)
            text = self._detokenizer.push(b"".join(map(self._bytes, delta.token_ids)))
            return TextDelta(choice, text) if text else None
        pieces: list[str] = []
        for position, token in enumerate(delta.token_ids):
            pieces.append(self._take(token, delta.logprobs[position : position + 1]))
            if self.stopped:
                pieces.append(self._detokenizer.flush())
                break
        return self._delta(choice, pieces)

    def flush(self, choice: int) -> TextDelta | None:
        """The text that was held back, now that the choice has ended without a stop string."""
        pieces = [self._end_reasoning()]
        return self._delta(choice, pieces if self.stopped else [*pieces, *self._rest()])

    def _take(self, token: int, logprob: Sequence[TokenLogprob]) -> str:
        data = self._bytes(token)
        if self._reasoning is None:
            return self._say(data, logprob)
        return self._think(self._reasoning, data, logprob)

    def _think(self, reasoning: ReasoningSplitter, data: bytes, logprob: Sequence[TokenLogprob]) -> str:
        """Take a token that may be thought; what of it, and of those that waited, is said."""
        before = reasoning.state
        thought, said = reasoning.push(data)
        self._undecided.append((data, logprob))
        if reasoning.state == "before":
            return ""
        if not reasoning.found:
            return self._say_undecided()
        tokens = len(self._undecided)
        self._undecided.clear()
        self._thought.append(self._thoughts.push(thought))
        self.reasoning_tokens += 0 if before == "behind" else tokens
        if reasoning.state != "over":
            self.tokens += tokens
            return ""
        self._reasoning = None
        self.tokens += tokens - 1
        return self._say(said, logprob)

    def _say_undecided(self) -> str:
        """Nothing is thought any more: what waited is said."""
        self._reasoning = None
        waiting, self._undecided = self._undecided, []
        pieces: list[str] = []
        for data, logprob in waiting:
            pieces.append(self._say(data, logprob))
            if self.stopped:
                break
        return "".join(pieces)

    def _end_reasoning(self) -> str:
        if self._reasoning is None:
            return ""
        thought, _ = self._reasoning.flush()
        self._thought += (self._thoughts.push(thought), self._thoughts.flush())
        return self._say_undecided()

    def _say(self, data: bytes, logprob: Sequence[TokenLogprob]) -> str:
        self.tokens += 1
        if self.calling:
            self._call += data
            return ""
        if logprob:
            self._scores.append((self._arrived, self._scorer.score(logprob[0])))
        self._arrived += len(data)
        return self._text(data) if self._opening is None else self._text_or_call(self._opening, data)

    def _text_or_call(self, opening: StopMatcher, data: bytes) -> str:
        text = self._text(self._before_call(opening, data))
        if self.stopped:
            self._call.clear()
            return text
        return text + "".join(self._rest()) if self.calling else text

    def _before_call(self, opening: StopMatcher, data: bytes) -> bytes:
        """The bytes that certainly belong to the text; from the opening on they are kept."""
        text = bytearray()
        for end in range(1, len(data) + 1):
            piece, self.calling = opening.push(data[end - 1 : end])
            text += piece
            if self.calling:
                self._call += opening.match + data[end:]
                break
        return bytes(text)

    def _rest(self) -> Iterator[str]:
        """What was held back of a text that is over."""
        if self._opening and not self.calling:
            yield self._text(self._opening.flush())
        if self._matcher and not self.stopped:
            yield self._decode(self._matcher.flush())
        yield self._detokenizer.flush()

    def _text(self, data: bytes) -> str:
        if self._matcher and self.tokens > self._min_tokens:
            data, self.stopped = self._matcher.push(data)
        return self._decode(data)

    def _decode(self, data: bytes) -> str:
        self._decoded += len(data)
        return self._detokenizer.push(data)

    def _delta(self, choice: int, pieces: list[str]) -> TextDelta | None:
        text, scores = "".join(pieces), self._delivered_scores()
        return TextDelta(choice, text, scores) if text or scores else None

    def _delivered_scores(self) -> tuple[ScoredToken, ...]:
        delivered = self._decoded - self._detokenizer.held
        scores: list[ScoredToken] = []
        while self._scores:
            start, score = self._scores[0]
            if start > delivered or (start == delivered and score.raw):
                break
            scores.append(score)
            self._scores.popleft()
        return tuple(scores)
