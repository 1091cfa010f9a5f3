"""What a model thinks before it answers: a block between two tags, taken apart from the answer.

Some templates open the block in the prompt, some models open it themselves, and where thinking is
switched off the prompt holds an empty one. White space around what was thought, and between the
block and the answer, belongs to neither. Bytes, not characters, so that it is known to the token
where the answer begins.

Invariant: for any split of the same bytes the same bytes are thought and the same are said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from antiphon.core.generation import Constraint
from antiphon.text.lark import Spelling, constraint_rule, text_to, text_without
from antiphon.text.stop import StopMatcher, StopStrings

_FAMILIES: Final = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>"))
_SPACE: Final = b" \n\r\t"


def tags_in(template: str) -> tuple[str, str] | None:
    """The tags that a chat template speaks of: its model thinks between them."""
    return next((tags for tags in _FAMILIES if any(tag in template for tag in tags)), None)


@dataclass(frozen=True, slots=True)
class ReasoningBlock:
    """The block of one answer."""

    opening: str
    closing: str
    begun: bool
    """The prompt has opened it. Else the model may open it first of all, or not at all."""


def block_behind(prompt: str, tags: tuple[str, str] | None) -> ReasoningBlock | None:
    """The block that an answer behind this prompt may begin with; None where it was closed already."""
    if tags is None or prompt.rstrip().endswith(tags[1]):
        return None
    return ReasoningBlock(*tags, begun=prompt.rstrip().endswith(tags[0]))


def without_reasoning(prompt: str, tags: tuple[str, str] | None) -> str:
    """The prompt with an empty block, where it ends in an open one."""
    opened = tags is not None and prompt.rstrip().endswith(tags[0])
    return f"{prompt.rstrip()}\n\n{tags[1]}\n\n" if tags and opened else prompt


def behind_reasoning(
    constraint: Constraint, block: ReasoningBlock, controls: Mapping[str, int]
) -> Constraint:
    """The constraint on an answer that may have a block before it, in which anything is written.

    `controls` are the ids of the tags that are control tokens.
    """
    spelling = Spelling(controls)
    opening = "" if block.begun else spelling.literal(block.opening)
    if spelling.is_control(block.closing):
        thought = f"{opening} THOUGHT {spelling.literal(block.closing)}"
        rule = f"THOUGHT: {text_without([block.closing])}"
    else:
        thought = "thought"
        rule = f"thought[lazy]: {text_to([block.closing], '' if block.begun else block.opening)}"
    whole = f"{thought} SPACE answer".strip()
    start = f"start: {whole}" if block.begun else f"start: {whole} | answer"
    rules = (start, rule, "SPACE: /[ \\n\\r\\t]{0,4}/", constraint_rule("answer", constraint))
    return Constraint("lark", "\n".join(rules) + "\n", _json_behind(constraint.json_behind, block))


def _json_behind(behind: tuple[str, ...], block: ReasoningBlock) -> tuple[str, ...]:
    """Where JSON stands if the block may come first: what was at the beginning is behind it, too."""
    if "" not in behind:
        return behind
    return (*(text for text in behind if text or not block.begun), block.closing)


class ReasoningSplitter:
    """Takes the bytes of one choice apart."""

    def __init__(self, block: ReasoningBlock) -> None:
        """Before the first byte of the answer."""
        self._opening = block.opening.encode()
        self._closing = StopMatcher(StopStrings((block.closing,)))
        self._held = b""
        """Of what may be the opening, or white space that may be the end of what is thought."""
        self._begun = False
        """Something was thought."""
        self.found = block.begun
        """There is a block."""
        self.state = "inside" if block.begun else "before"
        """`before`: it is not known whether there is a block; `inside` it; `behind` it, where there may
        be white space; `over`: everything is said."""

    def push(self, data: bytes) -> tuple[bytes, bytes]:
        """What of these bytes, and of those held back, is thought and what is said."""
        if self.state == "before":
            data = self._open(self._held + data)
        thought = b""
        if self.state == "inside":
            thought, data = self._think(data)
        if self.state == "behind":
            data = data.lstrip(_SPACE)
            self.state = "over" if data else "behind"
        return thought, data if self.state == "over" else b""

    def flush(self) -> tuple[bytes, bytes]:
        """The same now that the answer has ended."""
        if self.state == "before":
            return b"", self._held
        return (self._spaced(self._closing.flush()), b"") if self.state == "inside" else (b"", b"")

    def _open(self, data: bytes) -> bytes:
        """What of the beginning is inside the block, or said."""
        text = data.lstrip(_SPACE)
        self._held = b""
        if text.startswith(self._opening):
            self.state, self.found = "inside", True
            return text[len(self._opening) :]
        if self._opening.startswith(text):
            self._held = data
            return b""
        self.state = "over"
        return data

    def _think(self, data: bytes) -> tuple[bytes, bytes]:
        """What is thought, and what comes behind the block."""
        rest = b""
        for end in range(1, len(data) + 1):
            thought, closed = self._closing.push(data[end - 1 : end])
            rest += thought
            if closed:
                self.state = "behind"
                return self._spaced(rest), data[end:]
        return self._spaced(rest), b""

    def _spaced(self, thought: bytes) -> bytes:
        """The same with white space only between words that are thought."""
        text = self._held + thought
        text = text if self._begun else text.lstrip(_SPACE)
        kept = text.rstrip(_SPACE)
        self._held = text[len(kept) :]
        self._begun = self._begun or bool(kept)
        return kept
