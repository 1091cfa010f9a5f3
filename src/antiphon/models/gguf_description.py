"""A GGUF file's metadata as the description files that hub folders have.

After this a prepared GGUF and a hub folder read the same. Only what the server uses is written.
"""

import json
from pathlib import Path
from typing import Any, Final

from antiphon.models.chat_template import default_template
from antiphon.models.errors import ModelError
from antiphon.models.gguf import Gguf
from antiphon.models.gguf_attention import context_length
from antiphon.models.gguf_tokenizer import build_tokenizer_json, vocabulary

_END_OF_TURN: Final = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>")


def write_description(gguf: Gguf, folder: Path) -> None:
    """Write `tokenizer.json`, `chat_template.jinja` and the three config files into `folder`.

    Raises:
        ModelError: the vocabulary or a needed number is absent, damaged or of an unknown kind.
    """
    template = _template(gguf)
    eos = _eos_token_ids(gguf, template)
    bos = _token_id(gguf, "bos")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _write_json(folder / "tokenizer.json", build_tokenizer_json(gguf))
    _write_json(folder / "config.json", _config(gguf) | {"bos_token_id": bos, "eos_token_id": eos[0]})
    _write_json(folder / "generation_config.json", {"bos_token_id": bos, "eos_token_id": eos})
    tokens = vocabulary(gguf)
    texts = {"bos_token": None if bos is None else tokens[bos], "eos_token": tokens[eos[0]]}
    _write_json(folder / "tokenizer_config.json", texts)


def _config(gguf: Gguf) -> dict[str, Any]:
    architecture = str(gguf.metadata["general.architecture"])
    rows = gguf.tensors["token_embd.weight"].shape[-1]
    if len(vocabulary(gguf)) > rows:
        raise ModelError(f"{gguf.path}: damaged GGUF file (it has more tokens than embeddings)")
    return {
        "model_type": architecture,
        "max_position_embeddings": context_length(gguf),
        "vocab_size": rows,
    }


def _template(gguf: Gguf) -> str:
    stated = gguf.metadata.get("tokenizer.chat_template")
    return stated if isinstance(stated, str) else default_template("<|im_start|>" in vocabulary(gguf))


def _eos_token_ids(gguf: Gguf, template: str) -> list[int]:
    """The ids that end an answer: those the file names, and the end of a turn its template writes."""
    named = [_token_id(gguf, role) for role in ("eos", "eot")]
    tokens = vocabulary(gguf)
    written = [tokens.index(text) for text in _END_OF_TURN if text in template and text in tokens]
    ids = list(dict.fromkeys(token for token in [*named, *written] if token is not None))
    if not ids:
        raise ModelError(f"{gguf.path}: it names no end-of-sequence token, so its answers would never end")
    return ids


def _token_id(gguf: Gguf, role: str) -> int | None:
    value = gguf.metadata.get(f"tokenizer.ggml.{role}_token_id")
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < len(vocabulary(gguf)) else None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
