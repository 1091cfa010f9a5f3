"""One choice of a request inside the engine, and the request its choices share.

Holds state and answers questions about it; decides nothing. Tokens of a sequence are the prompt's
followed by the generated ones; the first `computed` of them have their KV in `pages`.

States: WAITING -> RUNNING -> ENDED, and back from RUNNING to WAITING when preempted. A waiting
sequence holds no pages. A request's first sequence prefills alone; when it has, the others fork from it.
"""

from dataclasses import dataclass, field
from enum import Enum

from antiphon.core.generation import GenerationRequest
from antiphon.engine.drafts import Drafter


class State(Enum):
    """Where a sequence is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(eq=False, slots=True)
class RunningRequest:
    """A request the engine has accepted. Requests are served by `turn`, the lowest first."""

    spec: GenerationRequest
    turn: int
    """When it came, counted in requests and shifted by its priority."""
    page_names: list[bytes]
    """Names of the prompt's full pages that other prompts may share."""
    sequences: list["SequenceState"] = field(default_factory=list)
    cached_tokens: int | None = None
    """Prompt tokens whose KV was found when the request first started; None before."""
    came_at: float = 0.0
    """When it was accepted, by the loop's clock."""
    begun: bool = False
    """Whether it was part of a step."""
    prefilled: bool = False
    """Whether the first sequence has finished the prompt, so that the others have started."""
    scored: int = 0
    """So many of the prompt's first positions have had their logits read, where its logprobs are wanted."""

    @property
    def key(self) -> str:
        """The request's id."""
        return self.spec.id

    def name_before(self, index: int) -> bytes:
        """What names all of the prompt before its page `index`."""
        return self.page_names[index - 1] if index else self.spec.cache_salt.encode()

    @property
    def generated(self) -> int:
        """Tokens generated so far, for all choices."""
        return sum(sequence.generated for sequence in self.sequences)

    def note_scored(self, positions: int) -> None:
        """The logits of so many of the prompt's first positions were read."""
        self.scored = max(self.scored, positions)

    @property
    def scoring(self) -> bool:
        """Whether logits of the prompt are still to be read."""
        return self.spec.prompt_logprobs is not None and self.scored < len(self.spec.prompt)

    @property
    def ended(self) -> bool:
        """Whether every choice has ended."""
        return all(s.state is State.ENDED for s in self.sequences)


@dataclass(eq=False, slots=True)
class SequenceState:
    """One choice."""

    request: RunningRequest
    choice: int
    tokens: list[int]
    state: State = State.WAITING
    computed: int = 0
    pages: list[int] = field(default_factory=list)
    since: float = 0.0
    """When it began to wait, or to speak."""
    kept_names: list[bytes] = field(default_factory=list)
    """Names of the pages that it gave up when it was last preempted, behind those of its prompt."""
    lost: int = 0
    """How many of its tokens had KV when it was last preempted: so many it computes again."""
    counts: dict[int, int] = field(default_factory=dict)
    """How often each token was generated, for the penalties."""
    _drafter: Drafter | None = None

    @property
    def prompt_len(self) -> int:
        """Tokens of the prompt."""
        return len(self.request.spec.prompt)

    @property
    def generated(self) -> int:
        """Tokens generated so far."""
        return len(self.tokens) - self.prompt_len

    @property
    def unspoken(self) -> int:
        """Tokens that it may still generate."""
        return self.request.spec.max_tokens - self.generated

    @property
    def uncomputed(self) -> int:
        """Tokens that lack their KV."""
        return len(self.tokens) - self.computed

    @property
    def reusable(self) -> int:
        """Of how many tokens, from the first, only the KV is needed, so that it may be found in pages."""
        return self.request.scored if self.request.scoring else len(self.tokens) - 1

    @property
    def in_prompt(self) -> bool:
        """Whether prompt tokens still lack their KV."""
        return self.computed < self.prompt_len

    @property
    def behind(self) -> bool:
        """Whether it has more to compute than what it said last: its prompt, or what a preemption cost it."""
        return self.computed < max(self.prompt_len, self.lost)

    @property
    def order(self) -> tuple[int, int]:
        """By its request's turn; choices of a request one after the other."""
        return (self.request.turn, self.choice)

    def expected_tokens(self, headroom: int) -> int:
        """Tokens it will have soon: what it has, and as many again as its request and `headroom` allow."""
        return min(len(self.tokens) + headroom, self.prompt_len + self.request.spec.max_tokens)

    def append(self, token: int) -> None:
        """Add a generated token."""
        self.tokens.append(token)
        self.counts[token] = self.counts.get(token, 0) + 1
        if self._drafter is not None:
            self._drafter.append(token)

    @property
    def drafter(self) -> Drafter:
        """Guesses how it goes on; made when first asked for."""
        if self._drafter is None:
            self._drafter = Drafter(self.tokens)
        return self._drafter
