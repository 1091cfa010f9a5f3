"""Bounded work in hand."""

import pytest

from antiphon.core.errors import Overloaded
from antiphon.service.admission import Admission, AdmissionOptions

LIMITS = AdmissionOptions(max_choices=4, max_prompt_tokens=100, retry_after_s=3.0)


def test_choices_are_counted_one_by_one() -> None:
    """A request with three choices takes three places."""
    admission = Admission(LIMITS)
    admission.admit(3)
    admission.admit(1)

    with pytest.raises(Overloaded) as refused:
        admission.admit(1)
    assert refused.value.retry_after_s == 3.0


def test_prompt_tokens_are_bounded() -> None:
    """Room for the prompt is asked for when its length is known, and not taken when refused."""
    admission = Admission(LIMITS)
    admission.admit(1).add_prompt(60)
    late = admission.admit(1)

    with pytest.raises(Overloaded):
        late.add_prompt(41)
    late.add_prompt(40)
    assert admission.prompt_tokens == 100


def test_idle_server_takes_a_request_beyond_its_limits() -> None:
    """A single request larger than the limits is not refused for ever."""
    admission = Admission(LIMITS)
    with admission.admit(9) as lease:
        lease.add_prompt(500)

        with pytest.raises(Overloaded):
            admission.admit(1)
    assert (admission.choices, admission.prompt_tokens) == (0, 0)


def test_release_counts_once() -> None:
    """Releasing again gives nothing more back."""
    admission = Admission(LIMITS)
    lease, other = admission.admit(2), admission.admit(2)
    other.add_prompt(10)
    lease.release()
    lease.release()

    assert (admission.choices, admission.prompt_tokens) == (2, 10)


def test_lease_is_released_when_its_block_fails() -> None:
    """An error in the block gives the room back too."""
    admission = Admission(LIMITS)
    with pytest.raises(RuntimeError), admission.admit(2):
        raise RuntimeError

    assert admission.choices == 0
