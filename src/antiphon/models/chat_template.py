"""Find a model folder's chat template, or give it a plain one.

A model that brings no template gets ChatML where its vocabulary has ChatML's tokens, and otherwise
one `role: content` line per message. Both are documented defaults, not guesses about its training.
"""

from pathlib import Path
from typing import Any, Final

from antiphon.models.errors import ModelError
from antiphon.models.json_files import read_json, read_json_if_there
from antiphon.text.template import JinjaChatTemplate

CHATML: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PLAIN: Final = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


def default_template(has_chatml: bool) -> str:
    """The template for a model that brings none."""
    return CHATML if has_chatml else PLAIN


def load_chat_template(folder: Path, override: Path | None = None) -> JinjaChatTemplate:
    """The chat template of a model folder, or the operator's own file in its place.

    Raises:
        ModelError: it cannot be read, or is not valid Jinja.
    """
    config = read_json_if_there(folder / "tokenizer_config.json")
    source = template_source(folder, config) if override is None else _read(override)
    try:
        return JinjaChatTemplate(
            source,
            bos_token=_token_text(config.get("bos_token")),
            eos_token=_token_text(config.get("eos_token")),
        )
    except ValueError as error:
        raise ModelError(f"{override or folder}: {str(error)[:200]}") from error


def template_source(folder: Path, tokenizer_config: dict[str, Any]) -> str:
    """The template's text: from the file of its own, else from `tokenizer_config.json`, else the default."""
    own_file = folder / "chat_template.jinja"
    if own_file.is_file():
        return _read(own_file)
    stated = tokenizer_config.get("chat_template")
    if isinstance(stated, list):  # several by name: the plain one is called "default"
        stated = {item.get("name"): item.get("template") for item in stated}.get("default")
    if isinstance(stated, str):
        return stated
    added = read_json(folder / "tokenizer.json").get("added_tokens") or []
    return default_template(any(token.get("content") == "<|im_start|>" for token in added))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: cannot be read") from error


def _token_text(stated: object) -> str:
    """A token as `tokenizer_config.json` gives it: a text, an object with one, or nothing."""
    if isinstance(stated, dict):
        stated = stated.get("content")
    return stated if isinstance(stated, str) else ""
