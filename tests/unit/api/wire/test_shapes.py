"""Fields with a shape of their own."""

import pytest

from antiphon.api.wire.reader import Cursor
from antiphon.api.wire.shapes import (
    StreamOptions,
    read_logit_bias,
    read_metadata,
    read_modalities,
    read_stop,
    read_stream_options,
    read_template_kwargs,
)
from antiphon.core.errors import (
    AntiphonError,
    ArrayTooLong,
    InvalidType,
    InvalidValue,
    NumberOutOfRange,
    StringTooLong,
    UnsupportedParameter,
)


@pytest.mark.parametrize(
    ("value", "stops"),
    [
        ("a", ("a",)),
        ("", ()),
        ([], ()),
        (["", "a", ""], ("a",)),
        (["a", "b"], ("a", "b")),
        (["x" * 256] * 16, ("x" * 256,) * 16),
    ],
)
def test_stop_is_one_string_or_several(value: object, stops: tuple[str, ...]) -> None:
    """Empty strings stop nothing."""
    assert read_stop(Cursor(value, "stop")) == stops


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1, InvalidType("stop", "one of a string or array of strings", "an integer")),
        ([1], InvalidType("stop[0]", "a string", "an integer")),
        ([None], InvalidType("stop[0]", "a string", "null")),
        (["x"] * 17, ArrayTooLong("stop", 16, 17)),
        ("x" * 257, StringTooLong("stop", 256, 257)),
        (["a", "x" * 257], StringTooLong("stop[1]", 256, 257)),
    ],
)
def test_bad_stop_is_refused(value: object, error: AntiphonError) -> None:
    """With the item's path where it is one."""
    with pytest.raises(type(error)) as caught:
        read_stop(Cursor(value, "stop"))
    assert vars(caught.value) == vars(error)


def test_logit_bias_has_token_ids_for_keys() -> None:
    """Keys are digits in strings; decimals are fine as values."""
    assert read_logit_bias(Cursor({"7": -100, "0": 0.5})) == {7: -100.0, 0: 0.5}


@pytest.mark.parametrize("key", ["", "a", "-1", "1.0", " 1", "\u0661", "²", "1" * 11])
def test_logit_bias_refuses_keys_that_are_no_ids(key: str) -> None:
    """Only ASCII digits, and not too many, are an id."""
    with pytest.raises(InvalidValue) as caught:
        read_logit_bias(Cursor({key: 1}, "logit_bias"))
    assert caught.value.param == "logit_bias"


def test_logit_bias_is_bounded() -> None:
    """In its values and in their number."""
    with pytest.raises(NumberOutOfRange) as caught:
        read_logit_bias(Cursor({"7": 101}, "logit_bias"))
    assert caught.value.param == "logit_bias.7"
    with pytest.raises(ArrayTooLong):
        read_logit_bias(Cursor({str(key): 1 for key in range(1025)}))


def test_metadata_is_bounded() -> None:
    """In number, keys and values."""
    assert read_metadata(Cursor({"a": "b"})) == {"a": "b"}
    with pytest.raises(InvalidValue) as caught:
        read_metadata(Cursor({str(key): "" for key in range(17)}, "metadata"))
    assert caught.value.code == "object_above_max_properties"
    with pytest.raises(StringTooLong):
        read_metadata(Cursor({"k" * 65: ""}))
    with pytest.raises(StringTooLong):
        read_metadata(Cursor({"k": "v" * 513}))
    with pytest.raises(InvalidType):
        read_metadata(Cursor({"k": 1}))


def test_stream_options_are_off_unless_asked_for() -> None:
    """Unknown options are ignored, null is absent."""
    assert read_stream_options(Cursor({})) == StreamOptions(False, False)
    assert read_stream_options(Cursor({"include_usage": True, "x": 1})) == StreamOptions(True, False)
    assert read_stream_options(Cursor({"include_obfuscation": True, "include_usage": None})) == StreamOptions(
        False, True
    )
    with pytest.raises(InvalidType) as caught:
        read_stream_options(Cursor({"include_usage": 1}, "stream_options"))
    assert caught.value.param == "stream_options.include_usage"


def test_modalities_are_text() -> None:
    """Audio is asked for by name and refused by name."""
    read_modalities(Cursor(["text"]))
    with pytest.raises(UnsupportedParameter):
        read_modalities(Cursor(["text", "audio"], "modalities"))


def test_template_switches_are_read() -> None:
    """Those that chat templates of thinking models know."""
    kwargs = {"enable_thinking": False, "thinking": None, "reasoning_effort": "low"}
    assert read_template_kwargs(Cursor(kwargs)) == {"enable_thinking": False, "reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("kwargs", "param"),
    [
        ({"tokenize": True}, "chat_template_kwargs.tokenize"),
        ({"messages": []}, "chat_template_kwargs.messages"),
        ({"enable_thinking": "<|im_end|>"}, "chat_template_kwargs.enable_thinking"),
        ({"reasoning_effort": "<|im_end|>"}, "chat_template_kwargs.reasoning_effort"),
    ],
)
def test_other_template_variables_are_refused(kwargs: object, param: str) -> None:
    """They could override the conversation, or write control tokens."""
    with pytest.raises((InvalidType, InvalidValue, UnsupportedParameter)) as caught:
        read_template_kwargs(Cursor(kwargs, "chat_template_kwargs"))
    assert caught.value.param == param
