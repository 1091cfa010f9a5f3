"""The fake model's tokenizer and template, and the whole model."""

from antiphon.core.messages import Message
from antiphon.engine.backends.fake import FakeChatTemplate, FakeTokenizer, fake_parts


def test_text_comes_back_from_its_tokens() -> None:
    """Bytes in, bytes out."""
    tokenizer = FakeTokenizer()
    text = "naïve 🦜 <|im_end|>"

    assert b"".join(map(tokenizer.token_bytes, tokenizer.encode_plain(text))).decode() == text


def test_control_tokens_have_no_bytes() -> None:
    """They are never part of the text."""
    tokenizer = FakeTokenizer()

    assert {tokenizer.token_bytes(token) for token in tokenizer.special_tokens.values()} == {b""}


def test_template_writes_chatml_and_opens_the_assistant_s_turn() -> None:
    """One turn per message."""
    rendered = FakeChatTemplate().render([Message("system", "Be brief."), Message("user", "Hi")])

    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


async def test_parts_make_a_whole_model() -> None:
    """Engine, tokenizer and template agree on the vocabulary."""
    engine, tokenizer, template = fake_parts()
    ending = {tokenizer.special_tokens[text] for text in ("<|im_end|>", "<|endoftext|>")}

    assert set(engine.info.eos_token_ids) == ending
    assert engine.info.vocab_size == 256 + len(tokenizer.special_tokens)
    assert "<|im_start|>" in template.render([])
