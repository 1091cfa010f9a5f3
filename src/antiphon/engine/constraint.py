"""Constraints compiled to token masks, with llguidance; the only module that imports it.

A compiler turns a constraint's text into a prototype once and keeps the newest ones; each choice
gets its own copy, a `Matcher`, which says what tokens may come next. Compilation takes milliseconds
to seconds and releases the interpreter lock, so callers run it off the step loop; `prober` has
tried each constraint before in a process of its own, so here it is known to be bounded.

What a grammar cannot say, that no object has one name twice and no number is infinite, is asked of each
token that is about to be taken: `may_follow`; `too_deep` says that an answer had better be cut.

Invariant: a matcher never takes a token after which the constraint could not be completed, and
allows end-of-sequence exactly where the text so far satisfies it.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import llguidance
import numpy as np
from llguidance.numpy import fill_next_token_bitmask_par
from numpy.typing import NDArray

from antiphon.core.generation import Constraint
from antiphon.text.plain_json import PlainJson

_MAX_CACHED_BYTES: Final = 128 << 20
_MAX_TEXT: Final = 256 * 1024
_BYTES_EACH: Final = 48 * 1024
_BYTES_PER_CHARACTER: Final = 256
"""What a prototype keeps in memory, by the length of its text (measured: 52 KiB for five properties in
260 characters, 33 MiB for 5,000 in 130,000)."""
_MAX_PLACES: Final = 64
"""Places of names that are looked at for one token, at some 0.2 ms."""
_MASK_THREADS: Final = 4
_LETTERS: Final = b'"aeinorst_0123456789'
_LIMITS: Final = llguidance.LLParserLimits(max_lexer_states=50_000, verbose_errors=False)
"""The library's own, which bound a mask to some 20 ms, but fewer lexer states: at up to 2 kB each they
are what grows while tokens are drawn."""


class ConstraintRefused(Exception):
    """The constraint cannot be compiled; the text says why, in the grammar library's short words."""


class ConstraintBroken(Exception):
    """The matcher refused a token it had allowed, or ran into a limit in mid-generation."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that matchers speak of."""

    tokenizer: llguidance.LLTokenizer
    size: int
    byte_tokens: tuple[tuple[int, bytes], ...]
    """Tokens of one byte, as far as there are any: quotes and letters first."""
    eos_token_ids: tuple[int, ...]
    closing_tokens: tuple[int, ...]
    """Tokens that end texts, strings, objects and arrays, and one that ends numbers."""

    def bytes_of(self, token: int) -> bytes:
        """What a token spells; control tokens as templates write them."""
        return bytes(self.tokenizer.decode_bytes([token]))


@dataclass(slots=True)
class Health:
    """Of a prototype and its copies. They share the library's lexer: once it is at a limit it stays there."""

    broken: bool = False


class Matcher:
    """The state of one constraint over one growing choice. Not shared between choices."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        vocabulary: Vocabulary,
        names: PlainJson | None = None,
        health: Health | None = None,
    ) -> None:
        """`names` watches over names and numbers where they are free, and over depth."""
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._names = names
        self._health = health or Health()
        self._allowed: NDArray[np.intp] | None = None
        """What the library said of the present state, without what `may_follow` refused."""

    def copy(self) -> "Matcher":
        """Another one in the same state."""
        return Matcher(self._matcher.deep_copy(), self._vocabulary, self._names, self._health)

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """Allowed where the text may end."""
        return self._vocabulary.eos_token_ids

    @property
    def closing_tokens(self) -> tuple[int, ...]:
        """Tokens that bring an end nearer wherever they are allowed, the best first."""
        return self._vocabulary.closing_tokens

    @property
    def is_watched(self) -> bool:
        """Whether an allowed token may have to be given up after all; see `may_follow`."""
        return self._names is not None

    @property
    def finished(self) -> bool:
        """Whether the text is complete and nothing may follow it."""
        return bool(self._matcher.is_stopped())

    @property
    def is_broken(self) -> bool:
        """Whether this one or another copy of its prototype has met a limit, so that no copy is of use."""
        return self._health.broken

    @property
    def too_deep(self) -> bool:
        """Whether values are nested deeper than clients can be expected to read."""
        return self._names is not None and self._names.too_deep

    def allowed(self) -> NDArray[np.intp]:
        """Ids that may come next, ascending; includes end-of-sequence where the text may end.

        Raises:
            ConstraintBroken: a limit was hit or nothing may follow.
        """
        if self._allowed is None:
            self._take_mask(np.frombuffer(self._matcher.compute_bitmask(), np.uint8))
        assert self._allowed is not None
        if self._matcher.is_error() or not len(self._allowed):
            self._health.broken = True
            raise ConstraintBroken
        return self._allowed

    def begin_like(self, other: "Matcher") -> None:
        """Know what `other` knows to be allowed, which is in the same state."""
        self._allowed = other._allowed

    def _take_mask(self, bits: NDArray[np.uint8]) -> None:
        bools = np.unpackbits(bits, bitorder="little").view(np.bool_)
        self._allowed = np.flatnonzero(bools[: self._vocabulary.size])

    def may_follow(self, token: int) -> bool:
        """Whether an allowed token may really be taken.

        Not if an object would get a name that it has, if only such names were left, or if a number were
        beyond all doubles; a number that is not may always end. From then on
        the token is not allowed any more, so whoever draws, draws again.
        """
        if self._names is None or self._allowed is None:
            return True
        names = self._names.after(self._vocabulary.bytes_of(token))
        if names is not None and (not names.at_risk or self._is_new_name_left(token, names)):
            return True
        self._allowed = self._allowed[self._allowed != token]
        return False

    def _is_new_name_left(self, token: int, names: PlainJson) -> bool:
        """Whether behind this token the constraint has a name that is not there already.

        Looks along the names that are, byte by byte, for a place where another way leads off: that
        is nearly always the next byte. Where the search gets long it says no, which is safe.
        """
        ways = [([token], names, iter(self._vocabulary.byte_tokens))]
        places = 1
        while ways and places <= _MAX_PLACES:
            path, names, steps = ways[-1]
            for step, byte in steps:
                if self._matcher.validate_tokens([*path, step]) <= len(path):
                    continue
                further = names.after(byte)
                if further is not None and not further.at_risk:
                    return True
                if further is not None:
                    ways.append(([*path, step], further, iter(self._vocabulary.byte_tokens)))
                    places += 1
                    break
            else:
                ways.pop()
        return False

    def takes(self, tokens: Sequence[int]) -> bool:
        """Whether all of these may follow, one behind the other. The last may be end-of-sequence, also where
        nothing else may follow.
        """
        if self._matcher.validate_tokens(list(tokens)) < len(tokens):
            return False
        names = self._names
        for token in tokens:
            if names is not None:
                names = names.after(self._vocabulary.bytes_of(token))
        return (names is None) == (self._names is None)

    def forced(self) -> list[int]:
        """The tokens that must come next, as far as there is no choice: each alone in its mask.

        Spelled as the tokenizer would spell them; where what follows may change the spelling of the
        last ones, those are left to be drawn. Empty for a tokenizer that has no one spelling.
        """
        return list(self._matcher.compute_ff_tokens())

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed.

        Raises:
            ConstraintBroken: it is not allowed after all.
        """
        if self._names is not None:
            self._names = self._names.after(self._vocabulary.bytes_of(token))
            if self._names is None:
                raise ConstraintBroken
        self._allowed = None
        if not self._matcher.consume_token(token):
            self._health.broken = True
            raise ConstraintBroken


class MaskBatch:
    """Finds out what several matchers allow, all at once, in threads of the library's own."""

    def __init__(self) -> None:
        """The masks' memory is kept from one batch to the next."""
        self._executor = llguidance.LLExecutor(max(1, min(_MASK_THREADS, (os.cpu_count() or 1) - 1)))
        self._words = np.empty((0, 0), np.int32)

    def fill(self, matchers: Sequence[Matcher]) -> None:
        """Ask them; `allowed` knows the answer then. For one thread at a time.

        The lock of the interpreter is not held meanwhile.
        """
        words = -(-matchers[0]._vocabulary.size // 32)
        if self._words.shape[0] < len(matchers) or self._words.shape[1] != words:
            self._words = np.empty((len(matchers), words), np.int32)
        asked = [(matcher._matcher, place) for place, matcher in enumerate(matchers)]
        fill_next_token_bitmask_par(self._executor, asked, self._words)
        for matcher, row in zip(matchers, self._words, strict=False):
            matcher._take_mask(row.view(np.uint8))


class ConstraintCompiler:
    """Compiles constraints for one tokenizer. Safe to call from several threads."""

    def __init__(self, tokenizer_json: str, vocab_size: int, eos_token_ids: tuple[int, ...]) -> None:
        self._tokenizer = llguidance.LLTokenizer(
            tokenizer_json, n_vocab=vocab_size, eos_token=list(eos_token_ids)
        )
        closing = (*eos_token_ids, *self._single_tokens('"}],'))
        self._vocabulary = Vocabulary(
            self._tokenizer, vocab_size, _byte_tokens(self._tokenizer), eos_token_ids, closing
        )
        self.eos_token_ids = eos_token_ids
        self._prototypes: OrderedDict[Constraint, Matcher] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()

    def compile(self, constraint: Constraint) -> Matcher:
        """A fresh matcher at the start of its constraint.

        Raises:
            ConstraintRefused: it is malformed, unsatisfiable, unsupported or too complex.
        """
        matcher = self.cached(constraint)
        if matcher is None:
            names = PlainJson(constraint.json_behind) if constraint.json_behind else None
            prototype = Matcher(self._build(constraint), self._vocabulary, names)
            self._remember(constraint, prototype)
            matcher = prototype.copy()
        return matcher

    def word(self, token: int) -> str:
        """The text of one token."""
        return self._vocabulary.bytes_of(token).decode(errors="replace")

    def _single_tokens(self, characters: str) -> list[int]:
        tokenized = map(self._tokenizer.tokenize_str, characters)
        return [tokens[0] for tokens in tokenized if len(tokens) == 1]

    def cached(self, constraint: Constraint) -> Matcher | None:
        """A fresh matcher, if that takes no compilation."""
        with self._lock:
            prototype = self._prototypes.get(constraint)
            if prototype is None or prototype.is_broken:
                return None
            self._prototypes.move_to_end(constraint)
        return prototype.copy()

    @property
    def cached_bytes(self) -> int:
        """An estimate of what the prototypes keep in memory."""
        return self._cached_bytes

    def _remember(self, constraint: Constraint, prototype: Matcher) -> None:
        with self._lock:
            if constraint not in self._prototypes:
                self._cached_bytes += _memory(constraint)
            self._prototypes[constraint] = prototype
            while self._cached_bytes > _MAX_CACHED_BYTES:
                oldest, _ = self._prototypes.popitem(last=False)
                self._cached_bytes -= _memory(oldest)

    def _build(self, constraint: Constraint) -> llguidance.LLMatcher:
        if len(constraint.text) > _MAX_TEXT:
            raise ConstraintRefused(f"longer than {_MAX_TEXT} characters.")
        try:
            grammar = _grammar(constraint)
        except ValueError as error:
            raise ConstraintRefused(_first_line(str(error))) from None
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise ConstraintRefused(_first_line(matcher.get_error()))
        return matcher


def _byte_tokens(tokenizer: llguidance.LLTokenizer) -> tuple[tuple[int, bytes], ...]:
    """Those that there are of the bytes that strings are made of."""
    values = dict.fromkeys((*_LETTERS, *range(0x20, 0x100)))
    spelled = ((tokenizer.tokenize_bytes(bytes([value])), bytes([value])) for value in values)
    return tuple((tokens[0], byte) for tokens, byte in spelled if len(tokens) == 1)


def _grammar(constraint: Constraint) -> str:
    match constraint.kind:
        case "json_schema":
            return llguidance.LLMatcher.grammar_from_json_schema(
                constraint.text, overrides={"whitespace_flexible": False}
            )
        case "regex":
            return llguidance.LLMatcher.grammar_from_regex(constraint.text)
        case "lark":
            return llguidance.LLMatcher.grammar_from_lark(constraint.text)


def _memory(constraint: Constraint) -> int:
    return _BYTES_EACH + _BYTES_PER_CHARACTER * len(constraint.text)


def _first_line(text: str) -> str:
    """The library's message without its dumps of grammar and state."""
    line = text.strip().splitlines()[0] if text.strip() else "it cannot be compiled"
    return line[:300]
