"""A GGUF file's vocabulary as a Hugging Face `tokenizer.json`.

Two families: byte-level BPE (`gpt2`), whose files carry their merges, and SentencePiece BPE
(`llama`), whose files carry scores from which the merges follow. How text is cut up before merging
is named by `tokenizer.ggml.pre`; a name nobody checked is refused, because a wrong cut gives other
ids than the model was trained on and nothing would show it.

Source: the splitting patterns are those of each model's own tokenizer.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from antiphon.models.errors import ModelError
from antiphon.models.gguf import Gguf

Json = dict[str, Any]

# Values of tokenizer.ggml.token_type.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_NEVER_TEXT: Final = (_UNKNOWN, _CONTROL, _UNUSED)

_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2: Final = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_O200K: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEFAULT: Final = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")

_BEGINS_TEXTS: Final = frozenset(("llama-bpe", "llama3"))
"""Ways of cutting whose models have a first token put before every text, unless their file says otherwise."""

_KEEP_SPACE: Final = ("<unk>", "<s>", "<|endoftext|>")
"""The control tokens of Phi-3's SentencePiece vocabulary that do not take white space behind them away.

Source: llama.cpp, which knows the model by its name; Phi-3's own tokenizer.json."""

_LONGEST_PIECE: Final = 256
"""In characters. SentencePiece trains pieces of 16; more only costs a hostile file quadratic time."""


@dataclass(frozen=True, slots=True)
class _Cutting:
    """How text is cut into words before merging: each pattern cuts what the one before left."""

    patterns: tuple[str, ...]
    normalizer: str | None = None
    whole_words_first: bool = False
    """A word that is a token as it stands is taken without merging."""


_CUTTINGS: Final[Mapping[str, _Cutting]] = {
    "default": _Cutting(_DEFAULT),
    "gpt-2": _Cutting((_GPT2,)),
    "smollm": _Cutting((r"\p{N}", _GPT2)),
    "qwen2": _Cutting((_QWEN2,), normalizer="NFC"),
    "deepseek-r1-qwen": _Cutting((_QWEN2,), normalizer="NFC"),
    "dbrx": _Cutting((_LLAMA3,)),
    "gpt-4o": _Cutting((_O200K,)),
    "llama-bpe": _Cutting((_LLAMA3,), whole_words_first=True),
    "llama3": _Cutting((_LLAMA3,), whole_words_first=True),
}


def build_tokenizer_json(gguf: Gguf) -> Json:
    """The document to save as `tokenizer.json`.

    Raises:
        ModelError: the vocabulary is absent, damaged, or of a kind nobody checked.
    """
    kind = gguf.metadata.get("tokenizer.ggml.model")
    if kind == "gpt2":
        return _byte_level(gguf)
    if kind == "llama":
        return _sentence_piece(gguf)
    raise ModelError(f"{gguf.path}: tokenizer {kind!r} is not supported (supported: gpt2, llama)")


def vocabulary(gguf: Gguf) -> tuple[str, ...]:
    """The text of every token, by id.

    Raises:
        ModelError: there is none.
    """
    tokens = gguf.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, tuple) or not tokens or not isinstance(tokens[0], str):
        raise ModelError(f"{gguf.path}: damaged GGUF file (it carries no vocabulary)")
    return tokens


def token_types(gguf: Gguf) -> tuple[int, ...]:
    """What each token is, by id; all normal where the file does not say."""
    count = len(vocabulary(gguf))
    types = gguf.metadata.get("tokenizer.ggml.token_type", (_NORMAL,) * count)
    if not isinstance(types, tuple) or len(types) != count:
        raise ModelError(f"{gguf.path}: damaged GGUF file (token types do not match the vocabulary)")
    return types  # type: ignore[return-value] # as above


def _byte_level(gguf: Gguf) -> Json:
    pre = gguf.metadata.get("tokenizer.ggml.pre", "default")
    cutting = _CUTTINGS.get(str(pre))
    if cutting is None:
        raise ModelError(
            f"{gguf.path}: pre-tokenizer {str(pre)[:80]!r} is not supported "
            f"(supported: {', '.join(_CUTTINGS)})"
        )
    steps: list[Json] = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in cutting.patterns
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    document = _document(gguf, _stated_merges(gguf), ignore_merges=cutting.whole_words_first)
    return document | {
        "normalizer": {"type": cutting.normalizer} if cutting.normalizer else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, byte_level]},
        "decoder": byte_level,
    }


def _stated_merges(gguf: Gguf) -> list[tuple[str, str]]:
    merges = gguf.metadata.get("tokenizer.ggml.merges")
    if not isinstance(merges, tuple):
        raise ModelError(f"{gguf.path}: damaged GGUF file (its vocabulary has no merges)")
    known = set(vocabulary(gguf))
    pairs = []
    for merge in merges:
        left, _, right = str(merge).partition(" ")
        if left not in known or right not in known or left + right not in known:
            raise ModelError(f"{gguf.path}: damaged GGUF file (merge {str(merge)[:40]!r} of unknown tokens)")
        pairs.append((left, right))
    return pairs


def _sentence_piece(gguf: Gguf) -> Json:
    prefix = gguf.metadata.get("tokenizer.ggml.add_space_prefix", True)
    steps: list[Json] = [{"type": "Prepend", "prepend": "▁"}] if prefix else []
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
    kinds = zip(vocabulary(gguf), token_types(gguf), strict=True)
    unknown = next((text for text, kind in kinds if kind == _UNKNOWN), None)
    document = _document(gguf, _merges_by_score(gguf), byte_fallback=True, fuse_unk=True, unk_token=unknown)
    return document | {
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
    }


def _merges_by_score(gguf: Gguf) -> list[tuple[str, str]]:
    """Every way to join two tokens into a third, best result first.

    SentencePiece always joins the pair whose result scores highest; a list of merges in that order
    makes a merge-ranked BPE do the same. Ties keep the order of ids, as SentencePiece's trainer
    gave earlier ids to earlier merges.
    """
    tokens, types = vocabulary(gguf), token_types(gguf)
    scores = gguf.metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, tuple) or len(scores) != len(tokens):
        raise ModelError(f"{gguf.path}: damaged GGUF file (token scores do not match the vocabulary)")
    pieces = {text: index for index, text in enumerate(tokens) if types[index] in (_NORMAL, _USER_DEFINED)}
    ranked = sorted(pieces, key=lambda text: (-float(scores[pieces[text]]), pieces[text]))
    merges = []
    for whole in ranked:
        if len(whole) > _LONGEST_PIECE:
            continue
        cuts = [(whole[:at], whole[at:]) for at in range(1, len(whole))]
        known = [(left, right) for left, right in cuts if left in pieces and right in pieces]
        merges += sorted(known, key=lambda pair: (pieces[pair[0]], pieces[pair[1]]))
    return merges


def _document(gguf: Gguf, merges: Sequence[tuple[str, str]], **model: Any) -> Json:
    """What both families share: the vocabulary, the tokens with a meaning of their own, the merges."""
    tokens, types = vocabulary(gguf), token_types(gguf)
    ids = {text: index for index, text in enumerate(tokens)}
    if len(ids) != len(tokens):
        raise ModelError(f"{gguf.path}: damaged GGUF file (its vocabulary repeats a token)")
    swallow = _swallowing(gguf)
    added = [
        _added_token(index, text, special=kind in _NEVER_TEXT)
        | {"rstrip": swallow and kind in _NEVER_TEXT and text not in _KEEP_SPACE}
        for index, (text, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (*_NEVER_TEXT, _USER_DEFINED)
    ]
    bpe = {
        "type": "BPE",
        "unk_token": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "post_processor": _post_processor(gguf, tokens),
        "model": bpe | model | {"vocab": ids, "merges": [list(pair) for pair in merges]},
    }


def _swallowing(gguf: Gguf) -> bool:
    stated = gguf.metadata.get("general.architecture"), gguf.metadata.get("tokenizer.ggml.model")
    return stated == ("phi3", "llama")


def _post_processor(gguf: Gguf, tokens: Sequence[str]) -> Json | None:
    """What puts the first token before a text that no template writes, where the model's makers do.

    Source: llama.cpp, for files that do not say.
    """
    bos = gguf.metadata.get("tokenizer.ggml.bos_token_id")
    stated = gguf.metadata.get("tokenizer.ggml.add_bos_token")
    if not isinstance(stated, bool):
        stated = (
            gguf.metadata.get("tokenizer.ggml.model") == "llama"
            or gguf.metadata.get("tokenizer.ggml.pre") in _BEGINS_TEXTS
        )
    if not stated or isinstance(bos, bool) or not isinstance(bos, int) or not 0 <= bos < len(tokens):
        return None
    first = {"SpecialToken": {"id": tokens[bos], "type_id": 0}}
    whole = [first, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "type": "TemplateProcessing",
        "single": whole,
        "pair": [*whole, first, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {tokens[bos]: {"id": tokens[bos], "ids": [bos], "tokens": [tokens[bos]]}},
    }


def _added_token(index: int, text: str, *, special: bool) -> Json:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": index, "content": text, **flags, "special": special}
