"""The real grammar engine over a vocabulary of bytes: which whole texts a constraint accepts."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from antiphon.core.generation import Constraint
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.models.tokenizer import JsonTokenizer

EOS = 256


def byte_compiler() -> ConstraintCompiler:
    """A compiler over a tokenizer whose tokens are the 256 bytes and one end token."""
    return ConstraintCompiler(byte_tokenizer_document(), 257, (EOS,))


def accepts(compiler: ConstraintCompiler, constraint: Constraint, text: str) -> bool:
    """Whether the text may be generated under the constraint and end there."""
    matcher = compiler.compile(constraint)
    for byte in text.encode():
        token = _TOKEN_OF_BYTE[byte]
        if matcher.finished or token not in matcher.allowed() or not matcher.may_follow(token):
            return False
        matcher.consume(token)
    return matcher.finished or EOS in matcher.allowed()


def byte_tokenizer_document() -> str:
    """That tokenizer as the text of its `tokenizer.json`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<eos>"])
    return tokenizer.to_str()


_TOKENIZER = JsonTokenizer(byte_tokenizer_document())
_TOKEN_OF_BYTE = {_TOKENIZER.token_bytes(token)[0]: token for token in range(EOS)}


def text_of(tokens: list[int]) -> str:
    """What these tokens spell."""
    return b"".join(map(_TOKENIZER.token_bytes, tokens)).decode()


def tokens_of(text: str) -> list[int]:
    """The tokens that spell it."""
    return [_TOKEN_OF_BYTE[byte] for byte in text.encode()]


def token_of(character: str) -> int:
    """The token of an ASCII character."""
    return _TOKEN_OF_BYTE[ord(character)]
