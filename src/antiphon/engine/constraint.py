"""Constraints compiled to token masks, with llguidance; the only module that imports it.

A compiler turns a constraint's text into a prototype once and keeps the newest ones; each choice
gets its own copy, a `Matcher`, which says what tokens may come next. Compilation takes milliseconds
to seconds and releases the interpreter lock, so callers run it off the step loop.

Invariant: a matcher never allows a token after which the constraint could not be completed, and
allows end-of-sequence exactly where the text so far satisfies it.
"""

import threading
from collections import OrderedDict

import llguidance
import numpy as np
from numpy.typing import NDArray

from antiphon.core.generation import Constraint

_MAX_CACHED = 128
_MAX_TEXT = 256 * 1024


class ConstraintRefused(Exception):
    """The constraint cannot be compiled; the text says why, in the grammar library's short words."""


class ConstraintBroken(Exception):
    """The matcher refused a token it had allowed, or ran into a limit in mid-generation."""


class Matcher:
    """The state of one constraint over one growing choice. Not shared between choices."""

    def __init__(self, matcher: llguidance.LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    @property
    def finished(self) -> bool:
        """Whether the text is complete and nothing may follow it."""
        return bool(self._matcher.is_stopped())

    def allowed(self) -> NDArray[np.intp]:
        """Ids that may come next, ascending; includes end-of-sequence where the text may end.

        Raises:
            ConstraintBroken: a limit was hit or nothing may follow.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        ids = np.flatnonzero(np.unpackbits(bits, bitorder="little")[: self._vocab_size])
        if self._matcher.is_error() or not len(ids):
            raise ConstraintBroken
        return ids

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed.

        Raises:
            ConstraintBroken: it is not allowed after all.
        """
        if not self._matcher.consume_token(token):
            raise ConstraintBroken


class ConstraintCompiler:
    """Compiles constraints for one tokenizer. Safe to call from several threads."""

    def __init__(self, tokenizer_json: str, vocab_size: int, eos_token_ids: tuple[int, ...]) -> None:
        self._tokenizer = llguidance.LLTokenizer(
            tokenizer_json, n_vocab=vocab_size, eos_token=list(eos_token_ids)
        )
        self._vocab_size = vocab_size
        self._prototypes: OrderedDict[Constraint, llguidance.LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, constraint: Constraint) -> Matcher:
        """A fresh matcher at the start of its constraint.

        Raises:
            ConstraintRefused: it is malformed, unsatisfiable, unsupported or too complex.
        """
        with self._lock:
            prototype = self._prototypes.get(constraint)
        if prototype is None:
            prototype = self._build(constraint)
            self._remember(constraint, prototype)
        return Matcher(prototype.deep_copy(), self._vocab_size)

    def _remember(self, constraint: Constraint, prototype: llguidance.LLMatcher) -> None:
        with self._lock:
            self._prototypes[constraint] = prototype
            while len(self._prototypes) > _MAX_CACHED:
                self._prototypes.popitem(last=False)

    def _build(self, constraint: Constraint) -> llguidance.LLMatcher:
        if len(constraint.text) > _MAX_TEXT:
            raise ConstraintRefused(f"longer than {_MAX_TEXT} characters.")
        try:
            grammar = _grammar(constraint)
        except ValueError as error:
            raise ConstraintRefused(_first_line(str(error))) from None
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ConstraintRefused(_first_line(matcher.get_error()))
        return matcher


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


def _first_line(text: str) -> str:
    """The library's message without its dumps of grammar and state."""
    line = text.strip().splitlines()[0] if text.strip() else "it cannot be compiled"
    return line[:300]
