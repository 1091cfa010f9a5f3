"""A constraint on its way through vLLM to `processor`: in the one field of a request that is free."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from antiphon.core.generation import Constraint

_KEY: Final = "antiphon_constraint"


def encode_constraint(constraint: Constraint | None) -> dict[str, Any] | None:
    """What goes into `SamplingParams.extra_args`."""
    return None if constraint is None else {_KEY: msgspec.to_builtins(constraint)}


def decode_constraint(extra_args: Mapping[str, Any] | None) -> Constraint | None:
    """What is in there.

    Raises:
        msgspec.ValidationError: no constraint of ours.
    """
    told = (extra_args or {}).get(_KEY)
    return None if told is None else msgspec.convert(told, Constraint)
