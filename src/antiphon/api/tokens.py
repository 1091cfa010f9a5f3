"""Requests of `/tokenize` and `/detokenize`, whose fields are named as other servers of local models do.

Invariant: a text is tokenized as a text completion's prompt is, a conversation as a chat completion's.
"""

from dataclasses import dataclass

from antiphon.api.decode import body_cursor, check_vocabulary
from antiphon.api.legacy.fields import read_token_ids
from antiphon.api.options import ApiOptions
from antiphon.api.wire import fields
from antiphon.api.wire.fields import Field, read_fields
from antiphon.api.wire.reader import read_bool, read_string
from antiphon.core.errors import InvalidValue, MissingParameter
from antiphon.service.models import ModelRegistry
from antiphon.service.prompts import Conversation

MODEL: Field[str | None] = Field("model", read_string, None)
PROMPT: Field[str | None] = Field("prompt", read_string, None)
MESSAGES = Field("messages", fields.MESSAGES.read, fields.MESSAGES.default)
ADD_SPECIAL_TOKENS: Field[bool] = Field("add_special_tokens", read_bool, True)
RETURN_TOKEN_STRS: Field[bool] = Field("return_token_strs", read_bool, False)
TOKENS: Field[tuple[int, ...]] = Field("tokens", read_token_ids, (), required=True)

_TOKENIZE = (
    MODEL,
    PROMPT,
    MESSAGES,
    fields.TOOLS,
    fields.CHAT_TEMPLATE_KWARGS,
    ADD_SPECIAL_TOKENS,
    RETURN_TOKEN_STRS,
)
_DETOKENIZE = (MODEL, TOKENS)


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """A text or a conversation whose ids are wanted."""

    model: str | None
    subject: str | Conversation
    start: bool
    """With the tokens that the model begins every text with."""
    strings: bool
    """Each token's text is wanted too."""
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DetokenizeCall:
    """Ids whose text is wanted."""

    model: str | None
    ids: tuple[int, ...]
    ignored: tuple[str, ...]


def decode_tokenize(body: object, options: ApiOptions) -> TokenizeCall:
    """Check a whole request.

    Raises:
        InvalidRequest: the first violation, with its path.
    """
    cursor, unknown = body_cursor(body, _TOKENIZE, options)
    values = read_fields(cursor, _TOKENIZE)
    prompt, messages = values[PROMPT], values[MESSAGES]
    if prompt is not None and messages:
        reason = "Invalid value for 'messages': only one of 'prompt' and 'messages' can be specified."
        raise InvalidValue("messages", reason, code=None)
    if prompt is None and not messages:
        raise MissingParameter("prompt")
    tools = values[fields.TOOLS]
    conversation = Conversation(messages, tools, values[fields.CHAT_TEMPLATE_KWARGS])
    return TokenizeCall(
        model=values[MODEL],
        subject=conversation if prompt is None else prompt,
        start=values[ADD_SPECIAL_TOKENS],
        strings=values[RETURN_TOKEN_STRS],
        ignored=unknown,
    )


def decode_detokenize(body: object, models: ModelRegistry, options: ApiOptions) -> DetokenizeCall:
    """Check a whole request.

    Raises:
        InvalidRequest: the first violation, with its path.
        ModelNotFound: a model is named, and nobody configured it.
    """
    cursor, unknown = body_cursor(body, _DETOKENIZE, options)
    values = read_fields(cursor, _DETOKENIZE)
    model, ids = values[MODEL], values[TOKENS]
    check_vocabulary("tokens", ids, models.resolve(model).vocab_size)
    return DetokenizeCall(model, ids, unknown)
