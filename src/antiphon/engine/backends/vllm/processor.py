"""A logits processor that vLLM loads into its workers: masks what a choice's constraint does not allow.

vLLM calls it between the raw distribution, of which logprobs are, and penalties: as in `engine.loop`.
Where objects have free names a token may turn out not to follow once it is drawn. Such a token is drawn
here, as there, and the mask lets it alone through.

It compiles a constraint when its request enters the batch, which holds up a step; the prober has found
before that this takes no more than its limit.

Invariant: it raises nothing, for that would end vLLM; a constraint that breaks lets only end-of-sequence
through, and `choice`, which walks the same constraint, fails that request alone.
"""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from antiphon.core.generation import Constraint, SamplingParams
from antiphon.engine import sampler
from antiphon.engine.backends.vllm.messages import decode_constraint
from antiphon.engine.constraint import ConstraintBroken, ConstraintCompiler, ConstraintRefused, Matcher

_log = logging.getLogger(__name__)


class _Row:
    """One constrained choice in the batch. `output` is vLLM's own list of its tokens, which grows."""

    def __init__(self, matcher: Matcher | None, added: Any, eos_token_ids: tuple[int, ...]) -> None:
        """`added` is vLLM's tuple for a choice that enters the batch."""
        _, self._params, self._prompt, self._output = added
        self._matcher = matcher
        self._walked = 0
        self._end = np.array(sorted(eos_token_ids), np.intp)

    def allowed(self, logits: torch.Tensor) -> NDArray[np.intp]:
        """Ids that may come next, ascending, given the choice's row of logits."""
        if self._matcher is None:
            return self._end
        try:
            while self._walked < len(self._output):
                self._matcher.consume(self._output[self._walked])
                self._walked += 1
            if self._matcher.finished:
                return self._end
            if self._matcher.is_watched:
                return np.array([self._drawn(self._matcher, logits)], np.intp)
            return self._matcher.allowed()
        except ConstraintBroken:
            self._matcher = None
            return self._end

    def _drawn(self, matcher: Matcher, logits: torch.Tensor) -> int:
        """A token that may really follow, drawn as `engine.loop` draws; its bias is in the logits already."""
        params = SamplingParams(
            temperature=self._params.temperature,
            top_p=self._params.top_p,
            top_k=max(0, self._params.top_k),
            min_p=self._params.min_p,
            frequency_penalty=self._params.frequency_penalty,
            presence_penalty=self._params.presence_penalty,
            repetition_penalty=self._params.repetition_penalty,
        )
        history = sampler.History(self._prompt or (), Counter(self._output))
        row = sampler.adjust(logits.float().cpu().numpy(), params, history)
        attempt = 0
        while True:
            number = sampler.uniform(self._params.seed, 0, len(self._output), attempt)
            token = sampler.draw(row, params, number, matcher.allowed())
            if token in self._end or matcher.may_follow(token):
                return token
            attempt += 1


class ConstraintProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is not installed here.
    """See the module. Requests say their constraint in `extra_args`; others are left as they are."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        """As vLLM makes it; what it has to know of the model is in `additional_config`."""
        told = vllm_config.additional_config
        self._eos = tuple(told["eos_token_ids"])
        document = Path(told["tokenizer"]).read_text(encoding="utf-8")
        self._compiler = ConstraintCompiler(document, told["vocab_size"], self._eos)
        self._rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        """It changes which token is the likeliest."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the choices through the batch."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for added in batch_update.added:
            index, params, _, _ = added
            self._rows.pop(index, None)
            constraint = decode_constraint(params.extra_args)
            if constraint is not None:
                self._rows[index] = _Row(self._compiled(constraint), added, self._eos)
        for source, target, direction in batch_update.moved:
            self._move(source, target, swap=direction == MoveDirectionality.SWAP)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Mask the rows [choices, vocabulary] of constrained choices, in place."""
        for index, row in self._rows.items():
            allowed = torch.from_numpy(row.allowed(logits[index])).to(logits.device)
            kept = logits[index, allowed]
            # What the constraint allows wins over a ban of all of it, as by `min_tokens`.
            kept = torch.where(torch.isneginf(kept).all(), torch.zeros_like(kept), kept)
            logits[index] = float("-inf")
            logits[index, allowed] = kept
        return logits

    def _compiled(self, constraint: Constraint) -> Matcher | None:
        try:
            return self._compiler.compile(constraint)
        except ConstraintRefused:
            _log.exception("a constraint did not compile")
            return None

    def _move(self, source: int, target: int, *, swap: bool) -> None:
        moved, displaced = self._rows.pop(source, None), self._rows.pop(target, None)
        if moved is not None:
            self._rows[target] = moved
        if swap and displaced is not None:
            self._rows[source] = displaced
