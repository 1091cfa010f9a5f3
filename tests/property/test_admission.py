"""The account of admitted work under any order of requests and releases."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import Overloaded
from antiphon.service.admission import Admission, AdmissionOptions, Lease

LIMITS = AdmissionOptions(max_choices=10, max_prompt_tokens=100)


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 100), st.integers(0, 5))))
def test_limits_hold_and_everything_comes_back(orders: list[tuple[int, int, int]]) -> None:
    """Requests within the limits never add up beyond them, and after all releases nothing is left."""
    admission, leases = Admission(LIMITS), list[Lease]()
    for choices, tokens, released in orders:
        try:
            lease = admission.admit(choices)
            leases.append(lease)
            lease.add_prompt(tokens)
        except Overloaded:
            pass
        assert admission.choices <= LIMITS.max_choices
        assert admission.prompt_tokens <= LIMITS.max_prompt_tokens
        for lease in leases[:released]:
            lease.release()
    for lease in leases:
        lease.release()

    assert (admission.choices, admission.prompt_tokens) == (0, 0)
