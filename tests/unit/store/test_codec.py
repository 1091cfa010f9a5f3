"""What a stored completion looks like as text: files of today are read by the versions to come."""

import pytest

from antiphon.store import codec
from tests.stored import completion

TODAY = (
    '{"id":"a","created":1700000000,"model":"m","fingerprint":"test","choices":1,"seed":7,'
    '"keeping":{"project":"mine","request_id":"req_1","messages":[{"role":"user","content":"Hi"}],'
    '"facts":{"tools":null,"temperature":0.5,"input_user":null,'
    '"shape":{"logprobs":false,"functions":false}},"metadata":{"k":"v"}},'
    '"answer":[["TextDelta",{"choice":0,"text":"Hello","tokens":[]}],'
    '["ChoiceEnded",{"choice":0,"reason":"stop"}],'
    '["Completed",{"usage":{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4,"reasoning_tokens":0}}]]}'
)


def test_text_is_what_files_hold() -> None:
    """A change here needs a migration."""
    assert codec.encode(completion("a", metadata={"k": "v"})) == TODAY
    assert codec.decode(TODAY) == completion("a", metadata={"k": "v"})


@pytest.mark.parametrize("field", [',"tokens":[]', ',"reasoning_tokens":0'])
def test_field_that_came_later_has_its_default(field: str) -> None:
    """Files of before it lack it."""
    assert field in TODAY
    assert codec.decode(TODAY.replace(field, "")) == completion("a", metadata={"k": "v"})
