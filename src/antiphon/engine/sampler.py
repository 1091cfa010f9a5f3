"""Draws the next token from a row of logits, and scores tokens.

Order: logit bias, penalties, banned and allowed tokens, temperature, top-k, top-p, min-p, then one
uniform number picks a token. Frequency and presence penalties follow OpenAI's formula over all
generated tokens: logit - count * frequency - [count > 0] * presence.

Each row is worked on alone, so a draw depends only on the row, the sequence and (seed, choice,
position), never on batch mates. Logprobs are of the raw logits.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from antiphon.core.generation import SamplingParams, TokenLogprob

_BLOCK = 256
"""Width of the first level of the two-level cumulative sum: about the root of common vocabularies."""

Weights = NDArray[np.float32]
Ids = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class History:
    """What a sequence has said, as far as penalties need it."""

    prompt: Sequence[int] = ()
    counts: dict[int, int] = field(default_factory=dict)
    """Generated tokens and how often."""


def uniform(seed: int, choice: int, position: int, attempt: int = 0) -> float:
    """The random number in [0, 1) of one position of one choice: a hash, so any order works.

    `attempt` counts the draws of this position that were of no use.
    """
    again = struct.pack("<q", attempt) if attempt else b""
    digest = hashlib.blake2b(struct.pack("<qqq", seed, choice, position) + again, digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) * 2.0**-53


def adjust(row: Weights, params: SamplingParams, history: History, banned: Iterable[int] = ()) -> Weights:
    """The logits after bias, penalties and bans; `row` itself when nothing changes it."""
    penalised = history.counts and (params.frequency_penalty or params.presence_penalty)
    banned = list(banned)
    if not (penalised or banned or params.logit_bias or params.repetition_penalty != 1.0):
        return row
    row = row.copy()
    for token, bias in params.logit_bias:
        row[token] += bias
    if params.repetition_penalty != 1.0:
        _apply_repetition(row, params.repetition_penalty, history)
    if penalised:
        ids = np.fromiter(history.counts, np.intp)
        counts = np.fromiter(history.counts.values(), np.float32)
        row[ids] -= counts * params.frequency_penalty + params.presence_penalty
    row[banned] = -np.inf
    return row


def _apply_repetition(row: Weights, penalty: float, history: History) -> None:
    """Divide positive and multiply negative logits of every token seen (as in the CTRL paper)."""
    seen = np.array(sorted({*history.prompt, *history.counts}), np.intp)
    values = row[seen]
    row[seen] = np.where(values > 0, values / penalty, values * penalty)


def draw(row: Weights, params: SamplingParams, number: float, allowed: Ids | None = None) -> int:
    """Pick a token id from adjusted logits with the uniform `number`.

    `allowed`, in ascending order, restricts the choice; with temperature 0 or top_p 0 the likeliest
    token is picked, the lowest id among equals.
    """
    values = row if allowed is None else row[allowed]
    if params.temperature == 0.0 or params.top_p == 0.0 or params.top_k == 1:
        picked = int(values.argmax())
    else:
        picked = _draw_weighted(values, params, number)
    return picked if allowed is None else int(allowed[picked])


def _draw_weighted(values: Weights, params: SamplingParams, number: float) -> int:
    peak = values.max()
    if peak == -np.inf:  # all allowed tokens are banned: the constraint wins over the ban
        return 0
    weights = values - peak
    weights *= np.float32(1.0 / params.temperature)
    np.exp(weights, out=weights)
    kept = _kept(weights, params)
    if kept is None:
        return _inverse_cdf(weights, number)
    return int(kept[_inverse_cdf(weights[kept], number)])


def _kept(weights: Weights, params: SamplingParams) -> Ids | None:
    """Indices that top-k, top-p and min-p leave, ascending; None when all stay."""
    kept: Ids | None = None
    if params.min_p > 0.0:  # the likeliest token has weight 1
        kept = np.flatnonzero(weights >= params.min_p)
    if 0 < params.top_k < len(weights):
        kept = _heaviest(weights, kept, params.top_k)
    if params.top_p < 1.0:
        kept = _nucleus(weights, kept, params.top_p)
    return kept


def _heaviest(weights: Weights, ids: Ids | None, count: int) -> Ids:
    """The `count` heaviest indices in ascending order; of equal weights the lower indices are taken."""
    pool = weights if ids is None else weights[ids]
    picked = np.sort(_largest(pool, count))
    return picked if ids is None else ids[picked]


def _largest(values: Weights, count: int) -> Ids:
    """The indices of the `count` largest values, largest first, lower ones first among equals."""
    candidates = np.flatnonzero(values >= _floor(values, count))
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]


def _floor(values: Weights, count: int) -> np.float32:
    """A value that at least `count` values reach, or all where there are fewer, and few more do.

    Each block's largest is a value, so the `count`-th of these largest is such a one. Where blocks are
    too few for that, values are looked at one by one.
    """
    whole = len(values) // _BLOCK * _BLOCK
    peaks = values[:whole].reshape(-1, _BLOCK).max(axis=1)
    among = peaks if count <= len(peaks) // 2 else values
    place = max(len(among) - count, 0)
    floor: np.float32 = np.partition(among, place)[place]
    return floor


def _nucleus(weights: Weights, ids: Ids | None, top_p: float) -> Ids:
    """The fewest heaviest indices that together hold `top_p` of the weight, in ascending order."""
    pool = weights if ids is None else weights[ids]
    total = pool.sum(dtype=np.float64)
    # All that are lighter than this hold less than the rest together, so they are not needed.
    heavy = np.flatnonzero(pool >= (1.0 - top_p) * total / len(pool))
    picked = heavy[_holding(pool[heavy], top_p * total)]
    return picked if ids is None else ids[picked]


def _holding(weights: Weights, goal: float) -> Ids:
    """The fewest heaviest indices that together hold `goal`, or all, in ascending order.

    A histogram finds the bin that decides, and only that is sorted: a nucleus of ten thousand tokens,
    common at temperature 1, costs no more than one of ten.
    """
    bins = _bins(weights)
    masses = np.bincount(bins, weights)[::-1]
    held = np.cumsum(masses)
    crossing = min(int(np.searchsorted(held, goal)), len(held) - 1)
    last = len(held) - 1 - crossing
    inside = np.flatnonzero(bins == last)
    inside = inside[np.argsort(-weights[inside], kind="stable")]
    running = held[crossing] - masses[crossing] + np.cumsum(weights[inside], dtype=np.float64)
    kept = bins > last
    kept[inside[: int(np.searchsorted(running, goal)) + 1]] = True
    return np.flatnonzero(kept)


def _bins(weights: Weights) -> NDArray[np.int32]:
    """A histogram bin for each weight, eight to a power of two, heavier ones higher.

    Non-negative floats order as their bit patterns do.
    """
    bins: NDArray[np.int32] = weights.view(np.int32) >> 20
    return bins


def _inverse_cdf(weights: Weights, number: float) -> int:
    """The index at which the running sum passes `number` of the total, in two levels of blocks."""
    whole = len(weights) // _BLOCK * _BLOCK
    sums = weights[:whole].reshape(-1, _BLOCK).sum(axis=1)
    running = np.cumsum(np.append(sums, weights[whole:].sum()), dtype=np.float64)
    target = number * running[-1]
    block = int(np.searchsorted(running, target, side="right"))
    start = block * _BLOCK
    inside = np.cumsum(weights[start : start + _BLOCK], dtype=np.float64)
    before = running[block - 1] if block else 0.0
    index = int(np.searchsorted(inside, target - before, side="right"))
    # Rounding between the two levels may point past the block's last weighted index.
    return start + min(index, int(np.flatnonzero(weights[start : start + _BLOCK])[-1]))


def score(row: Weights, token: int, top: int) -> TokenLogprob:
    """Natural-log probability of `token` and of the `top` likeliest tokens, from raw logits."""
    peak = row.max()
    weights = np.exp(row - peak)
    norm = float(peak) + float(np.log(weights.sum(dtype=np.float64)))
    best = _largest(row, top) if top else ()
    alternatives = tuple((int(i), float(row[i]) - norm) for i in best)
    return TokenLogprob(token, float(row[token]) - norm, alternatives)
