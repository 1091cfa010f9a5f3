"""Properties of reading requests: whatever is sent, a request or a client's error comes out."""

from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.app import ApiOptions
from antiphon.api.bodies import decode_json
from antiphon.api.decode import decode_chat
from antiphon.api.errors import ErrorAnswer, answer
from antiphon.api.wire.fields import FIELDS
from antiphon.core.errors import ClientError
from tests.unit.api.scripted import registry

OPTIONS = ApiOptions()
MODELS = registry()

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["m", "user", "text", "auto", "json_schema"])
)
keys = st.text(max_size=5) | st.sampled_from(["role", "content", "type", "text", "name", "schema", "1"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from([field.name for field in FIELDS]) | st.text(max_size=8), values)


def refusal_of(read: Callable[[], object]) -> ErrorAnswer | None:
    """How a client would be told what went wrong; None when nothing did. Other errors are raised."""
    try:
        read()
    except ClientError as error:
        return answer(error)
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_client_error(data: bytes) -> None:
    """Nothing but the error for malformed JSON is raised."""
    refusal = refusal_of(lambda: decode_json(data))
    assert refusal is None or refusal.status == 400


@given(bodies)
def test_any_object_is_a_request_or_a_client_error(body: dict[str, object]) -> None:
    """No field's value can crash the decoder, and every refusal fits its envelope."""
    good = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    for candidate in (body, {**good, **body}, {**body, **good}):
        refusal = refusal_of(lambda body=candidate: decode_chat(body, MODELS, OPTIONS))  # type: ignore[misc]
        assert refusal is None or refusal.status in (400, 404)
        assert refusal is None or len(msgspec.json.encode(refusal.body())) <= 4096


@given(values)
def test_any_value_is_messages_or_a_client_error(value: object) -> None:
    """The same for the field with the richest shape."""
    refusal = refusal_of(lambda: decode_chat({"model": "m", "messages": value}, MODELS, OPTIONS))
    assert refusal is None or refusal.status == 400


@given(values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    """What nests little and was encoded is decoded to the same."""
    assert decode_json(msgspec.json.encode(value)) == value
