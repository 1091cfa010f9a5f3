"""Whatever messages say, the prompt's control tokens are the template's, and the rest is the text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer

from antiphon.core.messages import Message
from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_tokenizer import build_tokenizer_json
from antiphon.models.tokenizer import JsonTokenizer
from antiphon.text.prompt import encode_prompt
from antiphon.text.template import JinjaChatTemplate
from tests.tiny_models import CHATML, write_tiny_model

_CONTROLS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_PARTS = ("<|im_", "start|>", "end|>", "<", "|", ">", "<|", "|>", "im_end")
_WORDS = ("system\n", "user", " ", "\n", "hello", "é", "\ue000", "👍")
_FRAGMENTS = st.sampled_from((*_CONTROLS, *_PARTS, *_WORDS))
_HOSTILE = st.lists(_FRAGMENTS, max_size=8).map("".join)
_ROLES = st.sampled_from(["system", "user", "assistant"])
_TEMPLATE = JinjaChatTemplate(CHATML)
_TRIMMING = JinjaChatTemplate(CHATML.replace("message['content']", "message['content'] | trim"))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tokenizer document with ChatML's control tokens."""
    return json.dumps(
        build_tokenizer_json(read_gguf(write_tiny_model(tmp_path_factory.mktemp("m") / "m.gguf")))
    )


@pytest.fixture(scope="module")
def tokenizer(document: str) -> JsonTokenizer:
    """Our tokenizer over that document."""
    return JsonTokenizer(document)


@given(messages=st.lists(st.builds(Message, _ROLES, _HOSTILE), min_size=1, max_size=4))
def test_hostile_contents_add_no_control_token(messages: list[Message], tokenizer: JsonTokenizer) -> None:
    """The control ids are those of the same conversation with harmless words, and no text is lost."""
    controls = set(tokenizer.special_tokens.values())
    harmless = [Message(message.role, "word") for message in messages]

    ids = encode_prompt(_TEMPLATE, tokenizer, messages)

    expected = [token for token in encode_prompt(_TEMPLATE, tokenizer, harmless) if token in controls]
    assert [token for token in ids if token in controls] == expected
    names = {number: text.encode() for text, number in tokenizer.special_tokens.items()}
    text = b"".join(names.get(token) or tokenizer.token_bytes(token) for token in ids)
    assert text.decode() == _TEMPLATE.render(messages)


@given(messages=st.lists(st.builds(Message, _ROLES, st.text(max_size=20) | _HOSTILE), min_size=1, max_size=4))
def test_prompt_is_the_reference_tokenization_where_no_content_spells_a_control_token(
    messages: list[Message], document: str, tokenizer: JsonTokenizer
) -> None:
    """Id for id what the library gives for the rendered text with its control tokens recognised."""
    reference = RustTokenizer.from_str(document)
    whole = [text for message in messages for text in tokenizer.special_tokens if text in message.content]
    if whole:
        return

    expected = reference.encode(_TRIMMING.render(messages), add_special_tokens=False).ids
    assert encode_prompt(_TRIMMING, tokenizer, messages) == expected
