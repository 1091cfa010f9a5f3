"""What the API promises with vLLM as its engine, as one suite: vLLM in process, and a server of its own.

A module with a fixture `server` (a `ServerProcess`) puts one under it by an empty subclass of `VllmApi`.
What differs between the two is in those modules, and in docs/guides/vllm.md.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from tests.live.server_process import ServerProcess

MODEL = "gpt-4o-mini"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
LONG = "Of the sea, of those who sail it, and of what they tell when they are home again. " * 16


def held(schema: dict[str, Any]) -> dict[str, Any]:
    """A strict response format."""
    return {"type": "json_schema", "json_schema": {"name": "held", "strict": True, "schema": schema}}


def ask(client: OpenAI, text: str = "Count to ten.", **changes: Any) -> ChatCompletion:
    """A short question, answered in a few tokens unless it says otherwise."""
    completion: ChatCompletion = _create(client, text, changes)
    return completion


def stream(client: OpenAI, text: str = "Count to ten.", **changes: Any) -> Any:
    """The same, chunk by chunk; may be closed."""
    return _create(client, text, changes | {"stream": True})


def _create(client: OpenAI, text: str, changes: dict[str, Any]) -> Any:
    fields: dict[str, Any] = {"model": MODEL, "max_completion_tokens": 24} | changes
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **fields)


def texts(completion: ChatCompletion) -> list[str]:
    """Of all its choices."""
    return [choice.message.content or "" for choice in completion.choices]


def names_twice(text: str) -> bool:
    """Whether an object of a JSON text has one name twice."""
    found: list[bool] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        found.append(len({name for name, _ in pairs}) < len(pairs))

    json.loads(text, object_pairs_hook=note)
    return any(found)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    """The official client; it does not retry."""
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=300) as client:
        yield client


class VllmApi:
    """The suite; subclasses add what is true of theirs alone."""

    def test_stream_is_the_whole_answer(self, client: OpenAI) -> None:
        """Piece by piece the same texts and scores of both choices, with usage at its end."""
        asked: dict[str, Any] = {"seed": 5, "n": 2, "logprobs": True, "top_logprobs": 2}
        whole = ask(client, **asked)
        chunks = list(stream(client, **asked, stream_options={"include_usage": True}))
        said = ["", ""]
        scored: list[list[Any]] = [[], []]
        for choice in (choice for chunk in chunks for choice in chunk.choices):
            said[choice.index] += choice.delta.content or ""
            scored[choice.index] += (choice.logprobs and choice.logprobs.content) or []

        assert said == texts(whole)
        assert scored == [choice.logprobs and choice.logprobs.content for choice in whole.choices]
        assert whole.usage is not None
        assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
        assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens

    def test_seed_repeats_and_others_differ(self, client: OpenAI) -> None:
        """Each choice draws from a stream of its own."""
        first, again, other = (texts(ask(client, n=2, seed=seed)) for seed in (1, 1, 2))

        assert first == again
        assert len({*first, *other}) == 4

    def test_logprobs_are_of_the_raw_distribution(self, client: OpenAI) -> None:
        """Whatever the temperature and the bias; their bytes make up the text."""
        hot = ask(client, seed=3, temperature=1.7, logprobs=True, top_logprobs=20, max_completion_tokens=1)
        cold = ask(client, temperature=0, logprobs=True, top_logprobs=20, max_completion_tokens=1)
        rows = [((c.choices[0].logprobs and c.choices[0].logprobs.content) or [])[0] for c in (hot, cold)]
        best = [{entry.token: entry.logprob for entry in row.top_logprobs} for row in rows]

        assert [len(row.top_logprobs) for row in rows] == [20, 20]
        assert best[0] == pytest.approx(best[1], abs=1e-3)
        assert sum(map(math.exp, best[0].values())) <= 1
        assert all(bytes(row.bytes or []).decode() == row.token for row in rows)

    def test_penalties_are_openais(self, client: OpenAI) -> None:
        """At temperature 0 each token is the best by its score less what it has been said already."""
        frequency, presence = 0.3, 0.4
        completion = ask(
            client,
            "Say: la la la la la la la la",
            temperature=0,
            frequency_penalty=frequency,
            presence_penalty=presence,
            logprobs=True,
            top_logprobs=20,
        )
        said: Counter[str] = Counter()
        for row in (completion.choices[0].logprobs and completion.choices[0].logprobs.content) or []:
            left = {
                entry.token: entry.logprob - frequency * said[entry.token] - presence * (entry.token in said)
                for entry in row.top_logprobs
            }
            assert left[row.token] == pytest.approx(max(left.values()), abs=1e-3)
            said[row.token] += 1
        assert max(said.values()) > 1

    def test_bias_forces_and_bans(self, client: OpenAI) -> None:
        """100 says nothing else, -100 never says it; it is by token ids."""
        greedy: dict[str, Any] = {"temperature": 0, "logprobs": True, "max_completion_tokens": 4}
        (sea,) = self.tokens(client, "Sea")
        forced = ask(client, **greedy, logit_bias={str(sea): 100})
        assert texts(forced) == ["Sea" * 4]

        said = texts(ask(client, **greedy))[0]
        bans = {str(token): -100 for token in self.tokens(client, said)}
        content = ask(client, **greedy, logit_bias=bans).choices[0].logprobs
        assert content is not None
        spelled = [self.tokens(client, entry.token) for entry in content.content or []]
        assert not any(str(token) in bans for tokens in spelled for token in tokens)

    @staticmethod
    def tokens(client: OpenAI, text: str) -> list[int]:
        """The ids of a text."""
        url = str(client.base_url).removesuffix("/v1/") + "/tokenize"
        told: list[int] = httpx.post(url, json={"prompt": text}).raise_for_status().json()["tokens"]
        return told

    @pytest.mark.parametrize("narrowed", [{"top_k": 1}, {"min_p": 1.0}])
    def test_narrowest_sampling_is_greedy(self, client: OpenAI, narrowed: dict[str, Any]) -> None:
        """One token is left to draw from."""
        greedy = texts(ask(client, temperature=0))

        assert texts(ask(client, seed=1, temperature=1.5, extra_body=narrowed)) == greedy

    def test_lengths_are_exact(self, client: OpenAI) -> None:
        """Past its end where that is ignored, and not before its minimum."""
        ignoring = ask(client, "Say yes.", n=2, max_completion_tokens=40, extra_body={"ignore_eos": True})
        longer = ask(client, "Say yes.", max_completion_tokens=60, extra_body={"min_tokens": 40})

        assert [choice.finish_reason for choice in ignoring.choices] == ["length", "length"]
        assert ignoring.usage is not None
        assert ignoring.usage.completion_tokens == 80
        assert longer.usage is not None
        assert longer.usage.completion_tokens >= 40

    def test_stop_strings_end_choices_one_by_one(self, client: OpenAI) -> None:
        """Text ends before a stop string, which choices need not share."""
        completion = ask(client, stop=[" ", "\n"], n=2, max_completion_tokens=30)

        assert all(" " not in text and "\n" not in text for text in texts(completion))

    @pytest.mark.parametrize("seed", range(3))
    def test_schema_holds_for_every_choice(self, client: OpenAI, seed: int) -> None:
        """Each valid, whole."""
        completion = ask(
            client,
            "Describe a person.",
            n=2,
            seed=seed,
            max_completion_tokens=200,
            response_format=held(SCHEMA),
        )

        assert [choice.finish_reason for choice in completion.choices] == ["stop", "stop"]
        for text in texts(completion):
            jsonschema.validate(json.loads(text), SCHEMA)

    @pytest.mark.parametrize("seed", range(4))
    def test_object_of_free_names_has_none_twice(self, client: OpenAI, seed: int) -> None:
        """At a high temperature names would repeat soon: there is none in an answer that is one."""
        try:
            completion = ask(
                client,
                "JSON, please.",
                n=2,
                seed=seed,
                temperature=1.5,
                max_completion_tokens=120,
                response_format={"type": "json_object"},
            )
        except openai.InternalServerError as failed:
            self.check_free_names_failed(failed)
            return

        for choice in completion.choices:
            assert choice.finish_reason == "length" or not names_twice(choice.message.content or "")

    def check_free_names_failed(self, failed: openai.InternalServerError) -> None:
        """Whether an answer with a name twice may be drawn, to be found out and failed."""
        raise failed

    def test_required_tool_is_called(self, client: OpenAI) -> None:
        """With arguments that its schema allows, streamed too."""
        asked: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "required", "max_completion_tokens": 120}
        completion = ask(client, "The weather in Rome?", **asked, seed=1)
        (call, *_) = completion.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")

        chunks = stream(client, "The weather in Rome?", **asked, seed=1)
        pieces = [
            call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or [] if not call.index
        ]
        assert "".join(piece.function.arguments or "" for piece in pieces) == call.function.arguments

    def test_other_grammars_hold(self, client: OpenAI) -> None:
        """A regular expression, a choice, a custom tool's Lark."""
        body = {"structured_outputs": {"regex": "[a-c]{3}-[0-9]{2}"}}
        (text,) = texts(ask(client, "A number plate.", extra_body=body))
        assert len(text) == 6
        assert set(text[:3]) <= set("abc")
        assert text[4:].isdigit()
        (choice,) = texts(ask(client, "Well?", extra_body={"structured_outputs": {"choice": ["yes", "no"]}}))
        assert choice in ("yes", "no")
        lark = {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: ("a" | "b") "!"'}}
        tool = {"type": "custom", "custom": {"name": "shout", "format": lark}}
        completion = ask(client, "Shout.", tools=[tool], tool_choice="required", max_completion_tokens=60)
        (call,) = completion.choices[0].message.tool_calls or []
        assert call.type == "custom"
        assert call.custom.input in ("a!", "b!")

    def test_schema_that_cannot_be_held_is_refused_by_its_keyword(self, client: OpenAI) -> None:
        """As with every engine."""
        schema = SCHEMA | {"properties": {"name": {"type": "string", "minLength": 5, "maxLength": 2}}}
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, response_format=held(schema | {"required": ["name"]}))

        assert refused.value.param == "response_format"

    def test_prompts_are_scored(self, client: OpenAI) -> None:
        """By `echo` with `logprobs`; the first token has no score."""
        completion = client.completions.create(
            model=MODEL, prompt="The sea is deep.", echo=True, logprobs=2, max_tokens=4, temperature=0
        )
        scores = completion.choices[0].logprobs
        assert scores is not None
        told: list[Any] = list(scores.token_logprobs or [])

        assert completion.choices[0].text.startswith("The sea is deep.")
        assert told[0] is None
        assert all(value is not None and -100 < value <= 0 for value in told[1:])
        assert completion.usage is not None
        assert len(told) == completion.usage.prompt_tokens + completion.usage.completion_tokens
        assert all(early < late for early, late in pairwise(scores.text_offset or []))

    def test_tiers_are_taken(self, client: OpenAI) -> None:
        """vLLM has priorities."""
        assert ask(client, service_tier="priority", max_completion_tokens=4).service_tier == "priority"

    def test_cached_tokens_are_told(self, client: OpenAI) -> None:
        """Of a prompt that was asked before, whole blocks."""
        usages = [ask(client, LONG, max_completion_tokens=1).usage for _ in range(2)]
        details = [usage.prompt_tokens_details if usage else None for usage in usages]

        assert details[1] is not None
        assert (details[1].cached_tokens or 0) >= 128
