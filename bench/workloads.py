"""What is asked of the servers: conversations made from a seed, the same for every server.

Prompts are words that are one token each for the default model, so a prompt of n words has n tokens
and a few more. Where nothing should be found in a prompt cache, prompts differ from the first word
on; where something should, they share it.

Invariant: equal (name, concurrency, seed, requests per client) give equal workloads, anywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Final

_WORDS: Final = tuple(
    """time year people way day man thing woman life child world school state family student group
    country problem hand part place case week company system program question work government number
    night point home water room mother area money story fact month lot right study book eye job word
    business issue side kind head house service friend father power hour game line end member law car
    city community name president team minute idea body information back parent face others level
    office door health person art war history party result change morning reason research girl guy
    moment air teacher force education foot boy age policy music sense nation plan college
    interest death experience effect use class control care field development role effort rate heart
    drug show leader light voice wife police mind price report decision son view relationship town
    road arm difference value building action season society tax director position player record paper
    space ground form event matter center couple project activity star table need court oil situation
    cost industry figure street image phone data picture practice piece land product doctor wall
    patient worker news test movie north love support technology step baby computer type attention film
    tree source hair look window evidence production south summer energy treatment garden river
    mountain winter kitchen letter bridge ocean machine animal forest dinner horse island village castle
    station theory planet engine signal copper silver""".split()  # noqa: SIM905 - a list literal would take a line for each word
)

ANSWER_TOKENS: Final = 64
CHAT_WORDS: Final = 60
PREFIX_WORDS: Final = 2000
LONG_WORDS: Final = 3000


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one client says, turn by turn."""

    turns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """Conversations and the parameters that all their requests share."""

    name: str
    conversations: tuple[Conversation, ...]
    parameters: Mapping[str, object]
    opening: Conversation | None = None
    """Held alone and first, and not counted: it fills what the others find in the prompt cache."""
    fields: Mapping[str, type] | None = None
    """What a strict JSON answer must consist of."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A workload by name: how it is made, and what a server needs to hold for it."""

    name: str
    about: str
    build: Callable[[Random, int], Workload]
    """From a source of chance and the number of conversations."""
    choices: int = 1
    sequence_tokens: int = 512
    """Room for the longest conversation, answers included."""
    most_per_client: int = 2
    """Conversations that a client holds at most: long ones would take an hour."""


def make(name: str, concurrency: int, seed: int, requests_per_client: int) -> Workload:
    """The workload `name` for so many clients.

    Raises:
        KeyError: there is none of this name.
    """
    kind = KINDS[name]
    each = min(requests_per_client, kind.most_per_client)
    return kind.build(Random(f"{name} {concurrency} {seed}"), max(2 * each, concurrency * each))


def sentence(chance: Random, count: int) -> str:
    """So many words, one token each for the default model."""
    return " ".join(chance.choices(_WORDS, k=count))


def _chat(name: str, parameters: Mapping[str, object], chance: Random, count: int) -> Workload:
    prompts = [Conversation((sentence(chance, CHAT_WORDS),)) for _ in range(count)]
    return Workload(name, tuple(prompts), parameters)


def _prefix(chance: Random, count: int) -> Workload:
    """One long text and a question of one's own about it; the first to ask finds nothing cached."""
    text = sentence(chance, PREFIX_WORDS)
    first, *others = (Conversation((f"{text}\n{sentence(chance, 20)}",)) for _ in range(count + 1))
    return Workload("prefix", tuple(others), _FULL_LENGTH, opening=first)


def _turns(chance: Random, count: int) -> Workload:
    talks = [Conversation(tuple(sentence(chance, CHAT_WORDS) for _ in range(4))) for _ in range(count)]
    return Workload("turns", tuple(talks), _FULL_LENGTH)


def _mixed(chance: Random, count: int) -> Workload:
    """Every fourth prompt is long: what do the others feel of its prefill?"""
    lengths = [LONG_WORDS if place % 4 == 1 else CHAT_WORDS for place in range(count)]
    prompts = [Conversation((sentence(chance, length),)) for length in lengths]
    return Workload("mixed", tuple(prompts), _FULL_LENGTH)


def _json(chance: Random, count: int) -> Workload:
    prompts = [
        Conversation((f"Invent a person who likes: {sentence(chance, CHAT_WORDS)}",)) for _ in range(count)
    ]
    return Workload("json", tuple(prompts), _STRICT_JSON, fields=_PERSON_FIELDS)


_FULL_LENGTH: Final = MappingProxyType(
    {"temperature": 1, "max_tokens": ANSWER_TOKENS, "ignore_eos": True},
)
_PERSON_FIELDS: Final = MappingProxyType(
    {"first_name": str, "last_name": str, "age": int, "city": str, "likes_music": bool}
)
_STRICT_JSON: Final = MappingProxyType(
    {
        "temperature": 1,
        "max_tokens": 2 * ANSWER_TOKENS,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "person",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {
                        "first_name": {"type": "string", "maxLength": 20},
                        "last_name": {"type": "string", "maxLength": 20},
                        "age": {"type": "integer", "minimum": 1, "maximum": 99},
                        "city": {"type": "string", "maxLength": 20},
                        "likes_music": {"type": "boolean"},
                    },
                    "required": list(_PERSON_FIELDS),
                    "additionalProperties": False,
                },
            },
        },
    }
)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("chat", "60-word prompt, 64 tokens", partial(_chat, "chat", _FULL_LENGTH)),
            Kind("prefix", "2,000 shared tokens and 20 of one's own, 64 tokens", _prefix, 1, 2304, 1),
            Kind("turns", "four turns of 60 words, 64 tokens each", _turns, 1, 1024, 1),
            Kind("json", "five-field strict JSON schema", _json),
            Kind("n8", "60-word prompt, n = 8, 64 tokens", partial(_chat, "n8", {**_FULL_LENGTH, "n": 8}), 8),
            Kind("mixed", "3,000-token prompts among short ones, 64 tokens", _mixed, 1, 3328, 1),
        )
    }
)
"""Every workload, in the order of the tables."""
