"""vLLM in this process: its `AsyncLLM`, whose workers are children of this process or on a Ray cluster.

Constraints are held by `processor`, which vLLM loads into its workers, so that they mask exactly what
the engine of a single machine masks and logprobs stay those of the raw distribution.

Of vLLM it touches what its documentation calls the engine's Python API: `AsyncEngineArgs`, `AsyncLLM`,
`SamplingParams`. Read from, and run with, version 0.32.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import vllm
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from antiphon.core.generation import Constraint, TokenLogprob
from antiphon.engine.backends.vllm.messages import encode_constraint
from antiphon.engine.backends.vllm.source import Ask, Piece, SourceFacts, SourceFailed, SourceGone
from antiphon.engine.frames import LoadVllm

PROCESSOR: Final = "antiphon.engine.backends.vllm.processor:ConstraintProcessor"
_OURS: Final = frozenset(
    {"model", "tokenizer", "skip_tokenizer_init", "logits_processors", "additional_config", "logprobs_mode"}
)
"""Arguments that are not the operator's to give."""


class LocalVllm:
    """Implements `source.TokenSource`."""

    def __init__(self, load: LoadVllm) -> None:
        """`open` starts it."""
        self._load = load
        self._llm: Any = None

    async def open(self) -> SourceFacts:
        """Start vLLM and load the model; see `TokenSource.open`.

        Raises:
            ValueError: an argument is not vLLM's, or not the operator's to give.
        """
        arguments = engine_arguments(self._load)
        if current_platform.is_cpu() and self._load.threads:
            threads = str(self._load.threads)
            os.environ.update(VLLM_CPU_OMP_THREADS_BIND="nobind", OMP_NUM_THREADS=threads)
        self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        config = self._llm.vllm_config
        shown = {name: repr(value) for name, value in arguments.items() if name not in _OURS}
        parallel = config.parallel_config
        facts = (vllm.__version__, str(config.model_config.dtype), parallel.tensor_parallel_size, shown)
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
        return SourceFacts(config.model_config.max_model_len, f"vllm {digest}")

    async def refusal(self, constraint: Constraint) -> str | None:
        """Holds what compiles, with the library that tried it; see `TokenSource.refusal`."""
        return None

    async def pieces(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Generate one choice; see `TokenSource.pieces`."""
        prompt = {"prompt_token_ids": list(ask.prompt), "cache_salt": ask.cache_salt}
        params = SamplingParams(
            **ask.sampling,
            output_kind=RequestOutputKind.DELTA,
            detokenize=False,
            extra_args=encode_constraint(ask.constraint),
            prompt_logprobs=ask.prompt_logprobs,
        )
        try:
            # With vLLM the lower number goes first.
            async for output in self._llm.generate(prompt, params, ask.id, priority=-ask.priority):
                (completion,) = output.outputs
                yield Piece(
                    tuple(completion.token_ids),
                    _logprobs(completion, ask.sampling["logprobs"]),
                    _finished(completion.finish_reason),
                    output.num_cached_tokens or 0,
                    _prompt_scores(ask, output.prompt_logprobs),
                )
        except EngineDeadError:
            raise SourceGone from None
        except EngineGenerateError as error:
            raise SourceFailed(repr(error.__cause__ or error)) from None

    async def healthy(self) -> bool:
        """Whether its workers live; see `TokenSource.healthy`."""
        try:
            await self._llm.check_health()
        except EngineDeadError:
            raise SourceGone from None
        return True

    async def aclose(self) -> None:
        """End its workers."""
        if self._llm is not None:
            self._llm.shutdown()


def engine_arguments(load: LoadVllm) -> dict[str, Any]:
    """What vLLM is started with: what this engine needs, and the operator's own arguments.

    Raises:
        ValueError: an argument is not vLLM's, or not the operator's to give.
    """
    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    given = {name.replace("-", "_"): _value(text) for name, text in load.arguments.items()}
    for name in given:
        if name not in known or name in _OURS:
            raise ValueError(f"{name} is not an argument of vLLM's that can be given")
    return (
        _defaults(load)
        | given
        | {
            "model": load.folder,
            "skip_tokenizer_init": True,
            "logits_processors": [PROCESSOR],
            "additional_config": {
                "tokenizer": str(Path(load.folder) / "tokenizer.json"),
                "vocab_size": load.vocab_size,
                "eos_token_ids": list(load.eos_token_ids),
            },
        }
    )


def _defaults(load: LoadVllm) -> dict[str, Any]:
    """What the operator may change."""
    defaults: dict[str, Any] = {
        "disable_log_stats": True,
        "generation_config": "vllm",
        "scheduling_policy": "priority",
        "max_model_len": load.context_length,
        "max_logprobs": 20,
        # A constraint is walked by the tokens that came, before the next are drawn.
        "async_scheduling": False,
    }
    if current_platform.is_cpu():
        defaults |= {"dtype": "float32", "kv_cache_memory_bytes": load.kv_cache_bytes}
    return defaults


def _value(text: str) -> Any:
    """A JSON value, or the text as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _logprobs(completion: Any, top: int | None) -> tuple[TokenLogprob, ...]:
    if top is None:
        return ()
    rows = zip(completion.token_ids, completion.logprobs, strict=True)
    return tuple(_scored(token, row, top) for token, row in rows)


def _prompt_scores(ask: Ask, rows: Any) -> tuple[TokenLogprob, ...]:
    """Of the whole prompt, once vLLM tells them; nothing precedes the first token."""
    if ask.prompt_logprobs is None or not rows:
        return ()
    scored = zip(ask.prompt[1:], rows[1:], strict=True)
    rest = (_scored(token, row, ask.prompt_logprobs) for token, row in scored)
    return (TokenLogprob(ask.prompt[0], None), *rest)


def _scored(token: int, row: Mapping[int, Any], top: int) -> TokenLogprob:
    """A row has the token's own score, and those of the likeliest ones."""
    best = sorted(row.items(), key=lambda item: (-item[1].logprob, item[0]))[:top]
    return TokenLogprob(token, row[token].logprob, tuple((id, scored.logprob) for id, scored in best))


def _finished(reason: str | None) -> Any:
    """vLLM's word for how a choice ended.

    Raises:
        SourceFailed: it was not its own end.
    """
    if reason in (None, "stop", "length"):
        return reason
    raise SourceFailed(f"vLLM ended it: {reason}")
