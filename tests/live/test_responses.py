"""Responses and text completions through the official Python client, against the real model.

What any client of theirs does is in `tests/clients/test_openai_responses.py`.
"""

from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.live.server_process import ServerProcess, running

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "gpt-4o-mini"


def test_response_says_what_chat_says(client: OpenAI) -> None:
    """The same model, prompt and seed, whichever API asks."""
    more: dict[str, Any] = {"model": MODEL, "temperature": 0.7, "extra_body": {"seed": 5}}
    response = client.responses.create(input="Hello!", instructions="Be brief.", max_output_tokens=20, **more)
    completion = client.chat.completions.create(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}],
        max_completion_tokens=20,
        **more,
    )

    assert response.output_text == completion.choices[0].message.content
    assert response.usage is not None
    assert completion.usage is not None
    assert response.usage.input_tokens == completion.usage.prompt_tokens


def test_logprobs_come_with_the_text(client: OpenAI) -> None:
    """One for each token."""
    response = client.responses.create(
        model=MODEL,
        input="Hello!",
        max_output_tokens=4,
        top_logprobs=2,
        include=["message.output_text.logprobs"],
        extra_body={"ignore_eos": True},
    )
    message = response.output[0]
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    logprobs = message.content[0].logprobs
    assert logprobs is not None

    assert [len(each.top_logprobs) for each in logprobs] == [2, 2, 2, 2]
    spelled = b"".join(bytes(each.bytes) for each in logprobs)
    assert spelled.decode() == message.content[0].text


def test_a_response_survives_the_server(tmp_path: Path) -> None:
    """What was answered is on the disk."""
    store = ("--engine", "fake", "--store", str(tmp_path / "completions.db"))
    with running(tmp_path / "first", *store) as process:
        first = OpenAI(base_url=process.base_url, api_key="any").responses.create(model=MODEL, input="Hi")
        process.popen.kill()
        process.popen.wait()
    with running(tmp_path / "second", *store) as process:
        client = OpenAI(base_url=process.base_url, api_key="any")
        second = client.responses.create(model=MODEL, input="More", previous_response_id=first.id)
        items = list(client.responses.input_items.list(second.id, order="asc"))

    assert [item.id for item in items][1] == first.output[0].id


def test_prompts_are_continued_side_by_side(client: OpenAI) -> None:
    """Each as it would be alone; the choices numbered through."""
    more: dict[str, Any] = {"model": MODEL, "max_tokens": 12, "seed": 3}
    both = client.completions.create(prompt=["Once upon a time", "The capital of France"], **more)
    alone = client.completions.create(prompt="The capital of France", **more)

    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[1].text == alone.choices[0].text
    assert both.choices[0].finish_reason == "length"


def test_text_stream_joins_to_the_whole(client: OpenAI) -> None:
    """With scores and usage."""
    more: dict[str, Any] = {"model": MODEL, "prompt": "Once", "max_tokens": 8, "seed": 3, "logprobs": 2}
    whole = client.completions.create(**more)
    chunks = list(client.completions.create(stream=True, stream_options={"include_usage": True}, **more))

    assert "".join(c.text for chunk in chunks for c in chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage
    logprobs = whole.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.text_offset is not None
    assert logprobs.tokens is not None
    assert [
        whole.choices[0].text[at:][: len(t)]
        for at, t in zip(logprobs.text_offset, logprobs.tokens, strict=True)
    ] == logprobs.tokens


def test_text_is_scored_the_same_alone_and_in_company(client: OpenAI) -> None:
    """As programs that compare endings of a text ask: whole, by ids, side by side, with nothing generated."""
    text = "The capital of France is Paris, and the capital of Italy is Rome. " * 6
    more: dict[str, Any] = {"model": MODEL, "echo": True, "logprobs": 1, "max_tokens": 0}
    alone, again = (client.completions.create(prompt=text, **more).choices[0] for _ in range(2))
    among = client.completions.create(prompt=["Once", text, text[4:]], **more).choices[1]
    scores = alone.logprobs
    assert scores is not None
    assert scores.tokens is not None
    assert scores.text_offset is not None
    assert scores.token_logprobs is not None

    assert alone.text == "".join(scores.tokens) == text
    assert [
        text[at:][: len(t)] for at, t in zip(scores.text_offset, scores.tokens, strict=True)
    ] == scores.tokens
    assert scores.token_logprobs[0] is None
    assert all(-40 < logprob <= 0 for logprob in scores.token_logprobs[1:])
    # What was read five times before is no surprise.
    assert sum(scores.token_logprobs[-10:]) > sum(scores.token_logprobs[1:11])
    assert (again.logprobs, among.logprobs) == (scores, scores)


def test_one_token_behind_a_scored_text_is_always_there(server: ServerProcess, client: OpenAI) -> None:
    """Also where it ends the text: programs that score a text drop the last token without looking."""
    ending = 2  # the default model's <|im_end|>
    more: dict[str, Any] = {"model": MODEL, "prompt": "Once upon", "max_tokens": 1, "logprobs": 1}
    bias = {str(ending): 100}
    scored = client.completions.create(echo=True, logit_bias=bias, **more).choices[0]
    ended = client.completions.create(logit_bias=bias, **more).choices[0]
    assert scored.logprobs is not None
    assert scored.logprobs.tokens is not None

    assert (scored.text, scored.logprobs.tokens[-1]) == ("Once upon", "<|im_end|>")
    assert (ended.text, ended.finish_reason) == ("", "stop")


def test_one_token_is_a_prompt(client: OpenAI) -> None:
    """The shortest there is; its answer repeats."""
    texts = {
        client.completions.create(model=MODEL, prompt=[504], max_tokens=6, temperature=0).choices[0].text
        for _ in range(2)
    }

    assert len(texts) == 1


def test_tokens_of_a_text_are_its_prompt(server: ServerProcess, client: OpenAI) -> None:
    """There and back, and as a prompt the same."""
    text = "Héllo <|im_end|> 🦜"
    with httpx.Client(base_url=server.origin) as http:
        tokens = http.post("/tokenize", json={"prompt": text}).json()
        back = http.post("/detokenize", json={"tokens": tokens["tokens"]}).json()
    more: dict[str, Any] = {"model": MODEL, "max_tokens": 4, "temperature": 0}
    by_text = client.completions.create(prompt=text, **more)
    by_ids = client.completions.create(prompt=tokens["tokens"], **more)

    assert back == {"prompt": text}
    assert by_text.usage is not None
    assert by_text.usage.prompt_tokens == tokens["count"]
    assert by_ids.choices[0].text == by_text.choices[0].text
