"""From the wire to a `TextRequest`: the rules of text completions that concern several fields.

Nothing here runs or counts.
"""

from dataclasses import dataclass

from antiphon.api.decode import (
    body_cursor,
    check_token_ids,
    check_vocabulary,
    model_defaults,
    one_format,
    sampling_options,
    tier_of,
)
from antiphon.api.legacy import fields as legacy
from antiphon.api.options import ApiOptions
from antiphon.api.wire import fields
from antiphon.api.wire.fields import FieldValues, read_fields
from antiphon.core.errors import InvalidValue, UnsupportedParameter
from antiphon.core.messages import TextRequest
from antiphon.service.models import ModelRegistry


@dataclass(frozen=True, slots=True)
class TextCall:
    """A decoded call: what to continue, and how the answer is to be spelled."""

    request: TextRequest
    stream: bool
    include_usage: bool
    obfuscate: bool
    ignored: tuple[str, ...]
    """Fields the caller sent that nobody knows, as it spelled them."""


def decode_text(body: object, models: ModelRegistry, options: ApiOptions) -> TextCall:
    """Check a whole request.

    Raises:
        InvalidRequest: the first violation, with its path.
        ModelNotFound: nobody configured the model.
    """
    cursor, unknown = body_cursor(body, legacy.FIELDS, options)
    values = read_fields(cursor, legacy.FIELDS, model_defaults(cursor, models, legacy.MAX_TOKENS))
    _check_choices(values, options)
    request = _request(values)
    vocab_size = models.get(request.model).vocab_size
    check_token_ids(request, vocab_size)
    for prompt in request.prompts:
        if not isinstance(prompt, str):
            check_vocabulary("prompt", prompt, vocab_size)
    stream_options = values[fields.STREAM_OPTIONS]
    return TextCall(
        request=request,
        stream=values[fields.STREAM],
        include_usage=stream_options.include_usage,
        obfuscate=stream_options.include_obfuscation,
        ignored=unknown,
    )


def _request(values: FieldValues) -> TextRequest:
    return TextRequest(
        model=values[fields.MODEL],
        prompts=values[legacy.PROMPT],
        echo=values[legacy.ECHO],
        sampling=sampling_options(values),
        choices=values[fields.N],
        max_tokens=values[legacy.MAX_TOKENS],
        stop=values[fields.STOP],
        response_format=one_format(values),
        top_logprobs=values[legacy.LOGPROBS],
        min_tokens=values[fields.MIN_TOKENS],
        ignore_eos=values[fields.IGNORE_EOS] or _scores_a_text(values),
        stop_token_ids=values[fields.STOP_TOKEN_IDS],
        budget_hint=values[fields.BUDGET_HINT],
        tier=tier_of(values),
        cache_key=values[fields.PROMPT_CACHE_KEY],
    )


def _scores_a_text(values: FieldValues) -> bool:
    """Whether one token is asked for because none cannot be had everywhere.

    Programs that score texts (lm-eval's `local-completions`) drop the last token that comes back, so
    there must be one.
    """
    scored = values[legacy.ECHO] and values[legacy.LOGPROBS] is not None
    return bool(scored and values[legacy.MAX_TOKENS] == 1)


def _check_choices(values: FieldValues, options: ApiOptions) -> None:
    prompts, choices, best_of = len(values[legacy.PROMPT]), values[fields.N], values[legacy.BEST_OF]
    if best_of not in (None, choices):
        raise UnsupportedParameter(
            "best_of", "Every choice that is generated is returned: it must equal 'n'."
        )
    if prompts * choices > options.max_choices:
        reason = (
            f"Invalid 'prompt': {prompts} prompts with 'n' of {choices} make {prompts * choices} choices. "
            f"At most {options.max_choices} can be asked for at once."
        )
        raise InvalidValue("prompt", reason)
