"""A server whose model is clever by heart: it makes the calls that some tests of clients wait for.

That the value of `magic_function(3)` is asked for with a call whose argument is 3 takes a model that
understands the question; the default model is too small for it. Here the answers are written down, and
everything around them is the server as it always is: HTTP, prompt, parsing of calls, stream. Other
questions get what the fake engine improvises.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from antiphon.api.server import serve
from antiphon.app import build_app
from antiphon.assembly import AssembledModel
from antiphon.core.generation import GenerationRequest
from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer, Script, improvise, say
from antiphon.engine.backends.fake.language import TURN_START
from antiphon.service.generations import ModelParts
from antiphon.settings import Settings
from antiphon.store.memory import MemoryStore


def call(name: str, **arguments: object) -> str:
    """A call in the syntax in which models write it."""
    return written_call(name, json.dumps(arguments, ensure_ascii=False))


def written_call(name: str, arguments: str) -> str:
    """The same, with the very text of its arguments: of a custom tool it has no white space."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


JOKE = {"setup": "Why did the cat sit on the book?", "punchline": "It had been asked to read."}

ANSWERS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("<tool_response>",), "So I was told."),
    (("magic_function(3)",), call("magic_function", input=3)),
    (("magic_function_no_args()",), call("magic_function_no_args")),
    (("weather in San Francisco",), call("get_weather", location="San Francisco, CA")),
    (("SELECT 1",), written_call("run_sql", '{"input":"SELECT 1"}')),
    (("aloud",), "<think>\nHm.\n</think>\n\nSo."),
    (("你好啊集团",), call("unicode_customer", customer_name="你好啊集团", description="Trade")),
    (
        ("こんにちは株式会社",),
        call("unicode_customer", customer_name="こんにちは株式会社", description="Trade"),
    ),
    (("generate a Pirate greeting",), call("greeting_generator", answer_style="pirate")),
    (("How do you feel",), '{"feeling":"calm","certain":true}'),
    (("a joke about cats", "<tools>"), call("Joke", **JOKE)),
    (("a joke about cats",), json.dumps(JOKE)),
)
"""What is answered, by words that the first and the last turn contain."""


def recite(request: GenerationRequest, choice: int) -> Script:
    """The answer that is written down for this conversation."""
    turns = " ".join(map(str, request.prompt)).split(str(TURN_START))[1:-1]
    told = b"".join(
        bytes(int(token) for token in turn.split() if int(token) < TURN_START)
        for turn in (turns[0], turns[-1])
    ).decode()
    for words, answer in ANSWERS:
        if all(word in told for word in words):
            return say(*(answer[start : start + 5] for start in range(0, len(answer), 5)))
    return improvise(request, choice)


@contextlib.contextmanager
def scripted_server(*, thinks: bool = False) -> Iterator[str]:
    """The base URL of such a server, which runs in a thread until the block ends.

    If the model `thinks`, what it recites between tags is not part of what it says.
    """
    template = FakeChatTemplate(("<think>", "</think>") if thinks else None)
    started: Future[int] = Future()
    ending: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(template, started, ending)))
    thread.start()
    loop, shutdown = ending.result(30)
    try:
        yield f"http://127.0.0.1:{started.result(30)}/v1"
    finally:
        loop.call_soon_threadsafe(shutdown.set)
        thread.join(30)


async def _serve(
    template: FakeChatTemplate,
    started: "Future[int]",
    ending: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]",
) -> None:
    shutdown = asyncio.Event()
    ending.set_result((asyncio.get_running_loop(), shutdown))
    parts = ModelParts(FakeEngine(recite, model="scripted"), FakeTokenizer(), template)
    await parts.engine.start()
    aliases = Settings().wanted_models[0].settings.alias
    app, _ = build_app(Settings(), [AssembledModel("scripted", parts, aliases)], MemoryStore())
    try:
        await serve(app, "127.0.0.1", 0, started.set_result, shutdown=shutdown, grace_s=5.0)
    finally:
        await parts.engine.aclose()
