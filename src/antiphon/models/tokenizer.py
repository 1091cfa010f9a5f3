"""The model's tokenizer: `tokenizer.json` behind `ports.Tokenizer`.

It never recognises a control token in text: the prompt writer places those by id. Tokens that are
ordinary text kept whole (`<think>` in some models) are recognised, as the model's makers do.
What it does not do: truncate, pad, add a beginning or an end.

Invariant: no id of `special_tokens` ever comes out of `encode_plain`.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer as RustTokenizer

from antiphon.models.errors import ModelError
from antiphon.text.any_of import any_of

_BYTE_TOKEN: Final = re.compile(r"<0x([0-9A-F]{2})>")


def tokenizer_json(folder: Path) -> str:
    """The text of the folder's `tokenizer.json`, which also tells a grammar engine the vocabulary.

    Raises:
        ModelError: it cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read") from error


def load_tokenizer(folder: Path) -> "JsonTokenizer":
    """The tokenizer of a model folder.

    Raises:
        ModelError: `tokenizer.json` is absent, damaged or of a kind nobody checked.
    """
    text = tokenizer_json(folder)
    try:
        return JsonTokenizer(text)
    except Exception as error:  # the library raises bare Exception on a bad document
        path = folder / "tokenizer.json"
        raise ModelError(f"{path}: not a supported tokenizer ({str(error)[:200]})") from error


class JsonTokenizer:
    """Implements `ports.Tokenizer` over the `tokenizers` library. Safe to call from any thread."""

    def __init__(self, document_json: str) -> None:
        document = json.loads(document_json)
        _apply_prefix_rule(document)
        self._rust = RustTokenizer.from_str(json.dumps(document, ensure_ascii=False))
        self._rust.encode_special_tokens = True
        self._rust.no_truncation()
        self._rust.no_padding()
        added = document.get("added_tokens") or []
        self._special = {token["content"]: int(token["id"]) for token in added if token["special"]}
        self._swallowing = frozenset(t["content"] for t in added if t["special"] and t.get("rstrip"))
        self._special_ids = frozenset(self._special.values())
        self._cuts = _after_first_character(self._special)
        self._bytes = _bytes_by_id(document, self._special_ids)
        self._start = _start_tokens(self._rust)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Control tokens by the text that templates write for them."""
        return self._special

    @property
    def swallowing_tokens(self) -> frozenset[str]:
        """Control tokens that the document strips the white space behind of, as Phi-3's does."""
        return self._swallowing

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """What the document's post-processor puts before a text."""
        return self._start

    @property
    def vocab_size(self) -> int:
        """How many ids there are; a model may have rows for more."""
        return len(self._bytes)

    def encode_plain(self, text: str) -> list[int]:
        """Tokenize text in which nothing is special, however it looks. Adds no token of its own."""
        ids: list[int] = self._rust.encode(text, add_special_tokens=False).ids
        if self._special_ids.isdisjoint(ids):
            return ids
        # Possible only where a control token's text is one ordinary word to the pre-tokenizer.
        pieces = self._cuts.split(text)
        return [
            token
            for piece in pieces
            if piece
            for token in self._rust.encode(piece, add_special_tokens=False).ids
            if token not in self._special_ids
        ]

    def token_bytes(self, token_id: int) -> bytes:
        """The exact bytes a token stands for; empty for control tokens and ids without a token."""
        return self._bytes[token_id] if 0 <= token_id < len(self._bytes) else b""


def _start_tokens(rust: RustTokenizer) -> tuple[int, ...]:
    bare = rust.encode("a", add_special_tokens=False).ids
    whole = rust.encode("a", add_special_tokens=True).ids
    return tuple(whole[: whole.index(bare[0])])


def _after_first_character(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches the empty place behind the first character of every one of `texts`."""
    rests: dict[str, list[str]] = {}
    for text in texts:
        if len(text) > 1:
            rests.setdefault(text[0], []).append(text[1:])
    places = (f"(?<={re.escape(first)})(?={any_of(rest)})" for first, rest in rests.items())
    return re.compile("|".join(places) or r"(?!)")


def _apply_prefix_rule(document: dict[str, Any]) -> None:
    """Take out a space that belongs before the text's very first word only.

    Prompts are encoded piece by piece between control tokens, and chat prompts begin with one.
    """
    pre_tokenizer = document.get("pre_tokenizer") or {}
    for step in (pre_tokenizer, *pre_tokenizer.get("pretokenizers", ())):
        if step.get("type") == "Metaspace" and step.get("prepend_scheme") == "first":
            step["prepend_scheme"] = "never"


def _bytes_by_id(document: dict[str, Any], special_ids: frozenset[int]) -> list[bytes]:
    vocabulary: dict[str, int] = document["model"]["vocab"]
    added = {int(token["id"]): str(token["content"]) for token in document.get("added_tokens") or []}
    table: list[bytes] = [b""] * (max([*vocabulary.values(), *added]) + 1)
    to_bytes = _byte_level_bytes if _is_byte_level(document) else _sentence_piece_bytes
    for text, index in vocabulary.items():
        if index not in added:
            table[index] = to_bytes(text)
    for index, text in added.items():
        table[index] = b"" if index in special_ids else text.encode()
    return table


def _is_byte_level(document: dict[str, Any]) -> bool:
    """True: token texts spell bytes as printable characters. False: they are text with `▁` for a space."""
    decoder = document.get("decoder") or {}
    kinds = {step.get("type") for step in (decoder, *decoder.get("decoders", ()))}
    if "ByteLevel" in kinds:
        return True
    if kinds & {"ByteFallback", "Metaspace"}:
        return False
    raise ValueError("its decoder is neither byte-level nor SentencePiece")


def _printable_bytes() -> dict[int, int]:
    """From the character that stands for a byte in byte-level vocabularies to that byte.

    Source: GPT-2's `bytes_to_unicode`: printable bytes stand for themselves, the others for the
    characters from U+0100 on, in order.
    """
    themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(themselves))
    return {byte: byte for byte in themselves} | {0x100 + place: byte for place, byte in enumerate(others)}


_TO_BYTE: Final = _printable_bytes()


def _byte_level_bytes(text: str) -> bytes:
    try:
        return text.translate(_TO_BYTE).encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()  # a token that was added as it reads, not spelled in bytes


def _sentence_piece_bytes(text: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(text)
    return bytes([int(byte[1], 16)]) if byte else text.replace("▁", " ").encode()
