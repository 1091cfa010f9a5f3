"""Text to ids as the model was trained on them, and ids back to exact bytes."""

# ruff: noqa: RUF001 - look-alike characters are what tokenizers must tell apart

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import llguidance
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL
from antiphon.models.errors import ModelError
from antiphon.models.folder import PreparedModel
from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_tokenizer import build_tokenizer_json
from antiphon.models.tokenizer import JsonTokenizer, load_tokenizer, tokenizer_json
from tests.tiny_models import TinyModel, write_tiny_model

_TEXTS = [
    "",
    "Hello, world!",
    " leading and trailing ",
    "don't I'll we've they're it's he'd I'm",
    "DON'T SHOUT",
    "CamelCase snake_case kebab-case",
    "3.14159 and 1,000,000 and 2026-11-22",
    "0123456789012345",
    "١٢٣ ४५६ ⅷ ² ½",
    "tabs\tand\t\ttabs",
    "a\nb\n\nc\n\n\n",
    "\r\n windows \r\n",
    "   \n   \n x",
    "          ten spaces",
    "word          word",
    "\u00a0no-break\u2003em",
    "def f(x: int) -> str:\n    return f'{x!r}'\n",
    "for (int i = 0; i < n; ++i) { a[i] <<= 2; }",
    '{"key": [1, 2.5, null, true], "ключ": "значение"}',
    '<div class="a">&amp;</div>',
    "SELECT * FROM t WHERE a <> 'b' -- comment",
    "你好，世界！今天天气怎么样？",
    "こんにちは、世界。カタカナもあります",
    "안녕하세요 세계",
    "Привет, мир!",
    "Γειά σου Κόσμε",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "👍👍🏽 🎉",
    "👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 🇩🇪 flag",
    "é and e\u0301 and ﬁ and Å",
    "zalgo z̴̢̛͉a̷͇͠l̸̰̈́g̶̩̈ŏ̸͜",
    "math: ∑_{i=1}^{n} x_i² ≤ ∞ ∈ ℝ",
    "price: $5, €6, £7, ¥8",
    "quotes “curly” ‘single’ «guillemets»",
    "ellipsis… em—dash en–dash",
    "https://example.org/path?query=1&other=two#fragment",
    "user.name+tag@example.co.uk",
    "\x00\x01\x7f control \x1b[31m",
    "\U0010ffff \ue000 \ufffd",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!???...---===+++",
]

_REFERENCE = """
import json, sys
from antiphon.telemetry.optout import block_vendor_telemetry
block_vendor_telemetry()
import openvino_genai
tokenizer = openvino_genai.Tokenizer(sys.argv[1])
texts = json.loads(sys.stdin.read())
print(json.dumps([tokenizer.encode(text).input_ids.data[0].tolist() if text else [] for text in texts]))
"""


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny_gguf: Path) -> JsonTokenizer:
    """The tokenizer of the tiny byte-level model."""
    return JsonTokenizer(json.dumps(build_tokenizer_json(read_gguf(tiny_gguf))))


@pytest.fixture(scope="module")
def piece_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> JsonTokenizer:
    """The tokenizer of a tiny SentencePiece model."""
    path = tmp_path_factory.mktemp("spm") / "m.gguf"
    write_tiny_model(path, TinyModel(vocabulary="sentencepiece"))
    return JsonTokenizer(json.dumps(build_tokenizer_json(read_gguf(path))))


@given(text=st.text())
def test_byte_level_tokens_give_the_text_back(text: str, tiny_tokenizer: JsonTokenizer) -> None:
    """The bytes of the ids are the UTF-8 of the text, whatever the text."""
    ids = tiny_tokenizer.encode_plain(text)

    assert b"".join(map(tiny_tokenizer.token_bytes, ids)) == text.encode()


@given(text=st.text())
def test_sentencepiece_tokens_give_the_text_back(text: str, piece_tokenizer: JsonTokenizer) -> None:
    """The same, after the space that such vocabularies put first; their `▁` always reads as a space."""
    ids = piece_tokenizer.encode_plain(text)

    expected = (" " + text if text else "").replace("▁", " ")
    assert b"".join(map(piece_tokenizer.token_bytes, ids)) == expected.encode()


@given(
    pieces=st.lists(st.sampled_from(["<|im_start|>", "<|im_end|>", "<|im_", "end|>", "hello", " ", "<", ">"]))
)
def test_control_tokens_never_come_out_of_plain_text(
    pieces: list[str], tiny_tokenizer: JsonTokenizer
) -> None:
    """Text that spells a control token is text."""
    ids = tiny_tokenizer.encode_plain("".join(pieces))

    assert set(ids).isdisjoint(tiny_tokenizer.special_tokens.values())


def test_control_token_that_is_one_word_stays_text(tiny_gguf: Path) -> None:
    """Even where the pre-tokenizer would hand the whole word to a vocabulary that has it."""
    document = build_tokenizer_json(read_gguf(tiny_gguf))
    document["model"]["ignore_merges"] = True
    document["model"]["vocab"]["STOP"] = 264
    document["added_tokens"].append(document["added_tokens"][0] | {"id": 264, "content": "STOP"})
    tokenizer = JsonTokenizer(json.dumps(document))

    ids = tokenizer.encode_plain("STOP it")

    assert 264 not in ids
    assert b"".join(map(tokenizer.token_bytes, ids)) == b"STOP it"


def test_token_bytes_are_empty_for_control_and_unknown_ids(tiny_tokenizer: JsonTokenizer) -> None:
    """Nothing of them belongs to generated text."""
    assert [tiny_tokenizer.token_bytes(token) for token in (0, 1, 2, -1, 264, 10**9)] == [b""] * 6
    assert tiny_tokenizer.vocab_size == 264
    assert tiny_tokenizer.special_tokens == {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}


def test_ordinary_token_kept_whole_is_recognised_and_has_bytes(tiny_gguf: Path) -> None:
    """`<think>` is text to the reader of an answer, and one token to the model."""
    document = build_tokenizer_json(read_gguf(tiny_gguf))
    document["model"]["vocab"]["<think>"] = 264
    document["added_tokens"].append(
        {**document["added_tokens"][0], "id": 264, "content": "<think>", "special": False}
    )
    tokenizer = JsonTokenizer(json.dumps(document))

    assert tokenizer.encode_plain("a<think>") == [*tokenizer.encode_plain("a"), 264]
    assert tokenizer.token_bytes(264) == b"<think>"
    assert "<think>" not in tokenizer.special_tokens


def test_sentencepiece_merges_follow_the_scores(piece_tokenizer: JsonTokenizer) -> None:
    """The best-scored join wins; what is no piece falls back to bytes."""
    assert piece_tokenizer.encode_plain("hello") == [268]
    assert piece_tokenizer.encode_plain("hell") == [259, 266]
    assert piece_tokenizer.encode_plain("é") == [259, 3 + 0xC3, 3 + 0xA9]


def test_space_before_the_first_word_only_is_not_added_to_pieces(piece_tokenizer: JsonTokenizer) -> None:
    """Prompts are encoded in pieces, and none of them is the first word of the text."""
    document = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        "model": {"type": "BPE", "vocab": {"▁": 0, "a": 1}, "merges": []},
    }

    assert JsonTokenizer(json.dumps(document)).encode_plain("a a") == [1, 0, 1]


@pytest.mark.parametrize("kind", ["bytes", "sentencepiece"])
def test_grammar_engine_reads_the_same_document(kind: str, tmp_path: Path) -> None:
    """llguidance builds its vocabulary from it, byte for byte ours."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(vocabulary=kind))  # type: ignore[arg-type]
    text = json.dumps(build_tokenizer_json(read_gguf(path)))
    tokenizer = JsonTokenizer(text)

    theirs = llguidance.LLTokenizer(text, eos_token=2)

    ordinary = set(range(tokenizer.vocab_size)) - set(tokenizer.special_tokens.values())
    ordinary -= {token for token in ordinary if tokenizer.token_bytes(token) == b"\xff"}  # their own marker
    assert theirs.vocab_size == tokenizer.vocab_size
    assert {token: theirs.decode_bytes([token]) for token in ordinary} == {
        token: tokenizer.token_bytes(token) for token in ordinary
    }


@pytest.mark.parametrize(
    "pre",
    ["default", "gpt-2", "smollm", "qwen2", "deepseek-r1-qwen", "dbrx", "gpt-4o", "llama-bpe", "llama3"],
)
def test_every_known_way_of_cutting_text_builds(pre: str, tmp_path: Path) -> None:
    """Each pattern is one the library accepts, and none loses a byte."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(pre=pre))
    tokenizer = JsonTokenizer(json.dumps(build_tokenizer_json(read_gguf(path))))

    for text in _TEXTS:
        ids = tokenizer.encode_plain(text)
        normal = text.replace("e\u0301", "é") if "qwen" in pre else text
        assert b"".join(map(tokenizer.token_bytes, ids)) == normal.encode()


@pytest.mark.parametrize(
    ("model", "written", "read", "message"),
    [
        (TinyModel(pre="tekken"), b"", b"", "pre-tokenizer 'tekken' is not supported"),
        (
            TinyModel(),
            b"\x04\0\0\0\0\0\0\0gpt2",
            b"\x04\0\0\0\0\0\0\0bert",
            "tokenizer 'bert' is not supported",
        ),
        (TinyModel(), b"ggml.merges", b"ggml.merxxx", "has no merges"),
        (TinyModel(), b"ggml.tokens", b"ggml.tokxxx", "carries no vocabulary"),
        (TinyModel(), b"hell o", b"hexl o", "merge 'hexl o' of unknown tokens"),
        (TinyModel(), b"\x05\0\0\0\0\0\0\0hello", b"\x05\0\0\0\0\0\0\0hellx", "of unknown tokens"),
        (TinyModel(vocabulary="sentencepiece"), b"ggml.scores", b"ggml.scoxxx", "scores do not match"),
    ],
)
def test_unknown_or_damaged_vocabulary_is_refused(
    model: TinyModel, written: bytes, read: bytes, message: str, tmp_path: Path
) -> None:
    """A tokenizer that nobody checked would silently give other ids than the model knows."""
    path = write_tiny_model(tmp_path / "m.gguf", model)
    path.write_bytes(path.read_bytes().replace(written, read))

    with pytest.raises(ModelError, match=message):
        build_tokenizer_json(read_gguf(path))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (TinyModel("phi3", vocabulary="sentencepiece"), {"</s>"}),
        (TinyModel("phi3"), set()),
        (TinyModel(vocabulary="sentencepiece"), set()),
    ],
)
def test_control_tokens_of_phi3_swallow_white_space(
    model: TinyModel, expected: set[str], tmp_path: Path
) -> None:
    """In its SentencePiece vocabulary, and not those that begin texts."""
    path = write_tiny_model(tmp_path / "m.gguf", model)

    assert JsonTokenizer(json.dumps(build_tokenizer_json(read_gguf(path)))).swallowing_tokens == expected


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"type": "WordLevel"}}', "\ud800"])
def test_unusable_tokenizer_file_is_named(content: str, tmp_path: Path) -> None:
    """One line with the path, whatever the library said."""
    (tmp_path / "tokenizer.json").write_bytes(content.encode("utf-8", "surrogatepass"))

    with pytest.raises(ModelError, match=r"tokenizer\.json: (not a supported tokenizer|cannot be read)"):
        load_tokenizer(tmp_path)


@pytest.mark.model
def test_default_model_gives_the_ids_of_its_own_tokenizer(prepared_model: PreparedModel) -> None:
    """Id for id against the tokenizer that openvino-genai builds from the same GGUF."""
    gguf = next(prepared_model.folder.parent.parent.glob(f"models/*/{CATALOGUE[DEFAULT_MODEL].file_name}"))
    child = subprocess.run(
        [sys.executable, "-c", _REFERENCE, str(gguf)],
        input=json.dumps(_TEXTS),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    tokenizer = load_tokenizer(prepared_model.folder)

    assert [tokenizer.encode_plain(text) for text in _TEXTS] == json.loads(child.stdout.splitlines()[-1])


@pytest.mark.model
def test_default_model_has_bytes_for_every_ordinary_token(prepared_model: PreparedModel) -> None:
    """Only control tokens are silent, and the whole vocabulary is covered."""
    tokenizer = load_tokenizer(prepared_model.folder)

    silent = {token for token in range(tokenizer.vocab_size) if not tokenizer.token_bytes(token)}

    assert silent == set(tokenizer.special_tokens.values())
    assert tokenizer.vocab_size == prepared_model.vocab_size


@pytest.mark.model
@pytest.mark.parametrize("piece", ["a", "_", " ", "\n", "7", "中", "👍", "aB", "' "])
def test_a_mebibyte_without_a_break_is_tokenized(piece: str, prepared_model: PreparedModel) -> None:
    """Work grows about in proportion to the text: were it with the square, this would take hours."""
    tokenizer = load_tokenizer(prepared_model.folder)
    text = piece * ((1 << 20) // len(piece.encode()))

    assert b"".join(map(tokenizer.token_bytes, tokenizer.encode_plain(text))) == text.encode()


def test_document_text_is_what_the_folder_holds(tmp_path: Path) -> None:
    """Grammar engines get the file as it is."""
    (tmp_path / "tokenizer.json").write_text("{}")

    assert tokenizer_json(tmp_path) == "{}"


@pytest.mark.parametrize(
    ("template", "expected"), [([], ()), ([{"SpecialToken": {"id": "<s>", "type_id": 0}}], (2,))]
)
def test_start_tokens_are_what_the_post_processor_puts_before_a_text(
    template: list[object], expected: tuple[int, ...]
) -> None:
    """And they stay out of plain text."""
    document = {
        "added_tokens": [
            {
                "id": 2,
                "content": "<s>",
                "special": True,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
            }
        ],
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*template, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    }
    tokenizer = JsonTokenizer(json.dumps(document))

    assert tokenizer.start_tokens == expected
    assert tokenizer.encode_plain("ab") == [0, 1]


@pytest.mark.parametrize(
    ("model", "stated", "expected"),
    [
        (TinyModel(), None, ()),
        (TinyModel(), True, (1,)),
        (TinyModel(pre="llama-bpe"), None, (1,)),
        (TinyModel(pre="llama-bpe"), False, ()),
        (TinyModel(vocabulary="sentencepiece"), None, (1,)),
        (TinyModel(vocabulary="sentencepiece"), False, ()),
        (TinyModel(vocabulary="sentencepiece"), "yes", (1,)),
    ],
)
def test_file_tells_what_stands_before_a_text(
    model: TinyModel, stated: bool | str | None, expected: tuple[int, ...], tmp_path: Path
) -> None:
    """Or its family does; a text itself is encoded as it is."""
    gguf = read_gguf(write_tiny_model(tmp_path / "m.gguf", model))
    if stated is not None:
        gguf = replace(gguf, metadata={**gguf.metadata, "tokenizer.ggml.add_bos_token": stated})
    tokenizer = JsonTokenizer(json.dumps(build_tokenizer_json(gguf)))

    assert tokenizer.start_tokens == expected
    assert 1 not in tokenizer.encode_plain("hello")
