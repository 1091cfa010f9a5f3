"""Where a model's chat template is found, and what stands in for a missing one."""

import json
from pathlib import Path

import pytest

from antiphon.core.messages import Message
from antiphon.models.chat_template import load_chat_template
from antiphon.models.errors import ModelError

_HELLO = [Message("user", "hello")]


def _folder(tmp_path: Path, config: object = None, *, specials: tuple[str, ...] = ()) -> Path:
    tokens = [{"content": text} for text in specials]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def test_file_of_its_own_comes_first(tmp_path: Path) -> None:
    """`chat_template.jinja` wins over the template inside the config."""
    folder = _folder(tmp_path, {"chat_template": "config", "bos_token": "<s>"})
    (folder / "chat_template.jinja").write_text("{{ bos_token }}file")

    assert load_chat_template(folder).render(_HELLO) == "<s>file"


@pytest.mark.parametrize(
    "stated",
    [
        "T{{ eos_token }}",
        [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "T{{ eos_token }}"}],
    ],
)
def test_template_in_the_config_is_used(tmp_path: Path, stated: object) -> None:
    """As one text, or as the default among several."""
    folder = _folder(tmp_path, {"chat_template": stated, "eos_token": {"content": "</s>"}})

    assert load_chat_template(folder).render(_HELLO) == "T</s>"


def test_chatml_is_the_default_where_the_vocabulary_has_it(tmp_path: Path) -> None:
    """A model that knows the tokens was most likely trained on them."""
    folder = _folder(tmp_path, specials=("<|im_start|>", "<|im_end|>"))

    assert load_chat_template(folder).render(_HELLO) == (
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_plain_lines_are_the_default_elsewhere(tmp_path: Path) -> None:
    """One line per message, then the assistant's turn."""
    folder = _folder(tmp_path, {"bos_token": "<s>"})

    assert load_chat_template(folder).render([Message("system", "Be kind."), *_HELLO]) == (
        "<s>system: Be kind.\nuser: hello\nassistant:"
    )


def test_broken_template_is_named(tmp_path: Path) -> None:
    """A syntax error is told with the folder."""
    with pytest.raises(ModelError, match="the chat template is not valid Jinja"):
        load_chat_template(_folder(tmp_path, {"chat_template": "{% if %}"}))


def test_operators_file_stands_in_for_the_models_own(tmp_path: Path) -> None:
    """It is given the model's own special tokens."""
    folder = _folder(tmp_path, {"chat_template": "own", "bos_token": "<s>"})
    override = tmp_path / "mine.jinja"
    override.write_text("{{ bos_token }}{{ messages[0]['content'] }}!")

    assert load_chat_template(folder, override).render(_HELLO) == "<s>hello!"


@pytest.mark.parametrize("text", [None, "{% if %}"])
def test_operators_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    """Absent, or no template."""
    override = tmp_path / "mine.jinja"
    if text is not None:
        override.write_text(text)

    with pytest.raises(ModelError, match=r"mine\.jinja"):
        load_chat_template(_folder(tmp_path, {}), override)
