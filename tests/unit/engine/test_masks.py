"""Masks filled beside the model: the answers are those of asking each matcher alone, whatever goes wrong."""

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.core.generation import SamplingParams
from antiphon.engine.constraint import ConstraintBroken, MaskBatch, Matcher
from antiphon.engine.masks import MasksAhead
from tests.byte_grammar import EOS, token_of
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Answer, Rig, compiler
from tests.unit.engine.test_jump_forward import PET, pet


def answers(*, ahead: bool) -> dict[tuple[str, int], Answer]:
    """Three requests side by side, two choices each."""
    rig = Rig(ChainedBackend(128, vocab_size=EOS + 1), eos=EOS)
    if not ahead:
        rig.loop._masks.begin = lambda matchers: None  # type: ignore[method-assign]
    for key in "abc":
        rig.submit(pet(key, choices=2, sampling=SamplingParams(seed=ord(key))))
    rig.run()
    assert rig.failed == []
    return rig.answers


def test_answers_are_those_of_asking_one_by_one() -> None:
    """Beside the model or behind it."""
    assert answers(ahead=True) == answers(ahead=False)


def test_filling_that_fails_changes_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the matchers are asked one by one."""
    expected = answers(ahead=False)

    def fail(self: MaskBatch, matchers: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(MaskBatch, "fill", fail)

    assert answers(ahead=True) == expected
    assert "masks were not filled ahead: RuntimeError" in caplog.text


def test_matcher_that_is_broken_breaks_alone() -> None:
    """Its neighbours in a batch know what they allow."""
    broken, good, other = (compiler().compile(PET) for _ in range(3))
    with pytest.raises(ConstraintBroken):
        broken.consume(token_of("x"))
    masks = MasksAhead()
    masks.begin([good, broken, other])
    masks.finish()

    assert good.allowed().tolist() == other.allowed().tolist() == [token_of("{")]
    with pytest.raises(ConstraintBroken):
        broken.allowed()


def test_choices_of_one_prompt_share_their_first_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked once for all of them; each goes its own way from there."""
    rig, taken = Rig(ChainedBackend(128, vocab_size=EOS + 1), eos=EOS), list[Matcher]()
    take = Matcher._take_mask

    def count(self: Matcher, bits: NDArray[np.uint8]) -> None:
        taken.append(self)
        take(self, bits)

    monkeypatch.setattr(Matcher, "_take_mask", count)
    rig.submit(pet("a", choices=8))
    while not rig.answers["a", 0].tokens:
        rig.step()

    assert len(taken) == 1
    rig.run()
    assert len({tuple(answer.tokens) for answer in rig.answers.values()}) > 1
