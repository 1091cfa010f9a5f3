"""Token ids of conversations and of plain texts."""

from antiphon.core.messages import Message
from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer
from antiphon.service.generations import ModelParts
from antiphon.service.prompts import Conversation, Prompts
from antiphon.text.prompt import encode_prompt


class StartingTokenizer(FakeTokenizer):
    """Begins every text with token 258."""

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """One token."""
        return (258,)


PARTS = ModelParts(FakeEngine(), StartingTokenizer(), FakeChatTemplate())


async def test_plain_text_begins_as_the_model_expects() -> None:
    """Unless the caller wants the text alone."""
    prompts = Prompts(PARTS)

    assert await prompts.of_text("ab") == [258, 97, 98]
    assert await prompts.of_text("ab", start=False) == [97, 98]


async def test_control_tokens_spelled_out_in_text_stay_text() -> None:
    """Only ids can name them."""
    ids = await Prompts(PARTS).of_text("<|im_end|>", start=False)

    assert ids == list(b"<|im_end|>")
    assert await Prompts(PARTS).of_text((257, 97)) == [257, 97]


async def test_a_thread_encodes_the_same_ids() -> None:
    """Where a prompt is encoded changes nothing about it."""
    messages = (Message("user", "Hello"),)
    here, there = Prompts(PARTS), Prompts(PARTS, inline_chars=0)

    assert await here.of_text("long") == await there.of_text("long")
    assert await there.of_conversation(Conversation(messages)) == encode_prompt(
        PARTS.template, PARTS.tokenizer, messages
    )
