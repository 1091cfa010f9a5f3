"""The table of parameters that the pages offer."""

from typing import Any

import pytest

from antiphon.api.playground.parameters import parameters
from antiphon.api.wire.fields import FIELDS
from antiphon.api.wire.reader import Cursor
from antiphon.core.errors import InvalidRequest

TABLE = parameters()
READERS = {field.name: field.read for field in FIELDS}


def test_table_has_the_well_known_ones() -> None:
    """Kind, bounds and default of a few."""
    by_name = {entry["name"]: entry for entry in TABLE}

    assert by_name["temperature"] == {
        "name": "temperature",
        "kind": "number",
        "minimum": 0,
        "maximum": 2,
        "default": 1.0,
        "note": "0 is greedy.",
    }
    assert (by_name["n"]["kind"], by_name["n"]["maximum"]) == ("integer", 128)
    assert by_name["logprobs"]["kind"] == "boolean"
    assert "flex" in by_name["service_tier"]["choices"]
    assert not by_name.keys() & {"messages", "tools", "modalities", "user"}


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry["name"])
def test_what_is_offered_is_accepted_and_no_more(entry: dict[str, Any]) -> None:
    """The bounds and choices are those of the reader itself."""
    read = READERS[entry["name"]]
    offered = {"boolean": [True, False], "choice": entry.get("choices", ())}.get(
        entry["kind"], [entry.get("minimum"), entry.get("maximum")]
    )
    for value in offered:
        assert read(Cursor(value, entry["name"])) == value
    refused = [entry["minimum"] - 1, entry["maximum"] + 1] if "minimum" in entry else ["no such thing"]
    for value in refused:
        with pytest.raises(InvalidRequest):
            read(Cursor(value, entry["name"]))
