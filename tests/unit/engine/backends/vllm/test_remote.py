"""A vLLM server is looked at before anything is asked of it; a stand-in on a real socket plays it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from antiphon.core.generation import Constraint
from antiphon.engine.backends.vllm.program import VllmProgram
from antiphon.engine.backends.vllm.remote import RemoteVllm
from antiphon.engine.backends.vllm.source import SourceBusy, SourceGone, SourceUnfit
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.engine.frames import LoadVllm
from antiphon.models.folder import PreparedModel
from tests.vllm_stub import VllmStub, described_model, stub_of_default_model

pytestmark = pytest.mark.model

PERSON = Constraint("json_schema", '{"type":"object","properties":{},"additionalProperties":false}')


@pytest.fixture(scope="module")
def model() -> PreparedModel:
    """As the default model is described."""
    return described_model()


@pytest.fixture(scope="module")
def compiler(model: PreparedModel) -> ConstraintCompiler:
    """For its vocabulary."""
    document = (model.folder / "tokenizer.json").read_text(encoding="utf-8")
    return ConstraintCompiler(document, model.vocab_size, model.eos_token_ids)


@pytest.fixture
def stub() -> Iterator[VllmStub]:
    """A server that listens."""
    stub = stub_of_default_model()
    with stub.listening():
        yield stub


Reach = Callable[..., RemoteVllm]


@pytest.fixture
def reach(model: PreparedModel, compiler: ConstraintCompiler) -> Reach:
    """Makes a source of what a server generates, not yet open."""

    def reach(stub: VllmStub, key: str = "") -> RemoteVllm:
        load = program(model, stub, key).load()
        assert isinstance(load, LoadVllm)
        return RemoteVllm(load, compiler)

    return reach


def program(model: PreparedModel, stub: VllmStub, key: str) -> VllmProgram:
    """The default model, generated with by the stub."""
    return VllmProgram(
        folder=model.folder,
        model_id=model.id,
        digest=model.digest,
        context_length=model.context_length,
        vocab_size=model.vocab_size,
        eos_token_ids=model.eos_token_ids,
        url=f"{stub.url}/v1/",
        key=key,
    )


@pytest.mark.parametrize(
    ("key", "changes", "words"),
    [
        ("", {"key": "secret"}, "wants a key: say it in ANTIPHON_ENGINE_KEY"),
        ("other", {"key": "secret"}, "does not take the key: say it in ANTIPHON_ENGINE_KEY"),
        ("", {"version": {}}, "is no vLLM server that generates text"),
        ("", {"decode": lambda ids: "x" * len(ids)}, "has another vocabulary than SmolLM2-135M-Instruct"),
        ("", {"refuse": lambda body: True}, "answers no request for one token"),
    ],
    ids=["no key", "wrong key", "no vLLM", "vocabulary", "says nothing"],
)
async def test_server_that_does_not_fit_is_told_with_what_to_do(
    reach: Reach,
    stub: VllmStub,
    key: str,
    changes: dict[str, Any],
    words: str,
) -> None:
    """And which server it is; never the key."""
    for name, value in changes.items():
        setattr(stub, name, value)
    source = reach(stub, key)
    with pytest.raises(SourceUnfit) as unfit:
        await source.open()
    await source.aclose()

    assert stub.url in str(unfit.value)
    assert words in str(unfit.value)
    assert "secret" not in str(unfit.value)
    assert not unfit.value.passing


async def test_what_it_lacks_is_found_by_trying(reach: Reach, stub: VllmStub) -> None:
    """Nothing beyond what no server can do; or priorities, many logprobs and grammars."""
    always = {"scored_constraints", "constraints_with_minimum"}
    source = reach(stub)

    assert set((await source.open()).lacks) == always
    stub.refuse = lambda body: bool(body.keys() & {"priority", "logprobs", "structured_outputs"})
    assert set((await source.open()).lacks) == always | {"priority", "logprobs", "constraints"}
    await source.aclose()


async def test_constraint_is_tried_by_one_token(reach: Reach, stub: VllmStub) -> None:
    """Which must be one that it allows."""
    source = reach(stub)
    await source.open()
    stub.say = lambda body: "{}"
    assert await source.refusal(PERSON) is None
    assert stub.asked[-1]["max_tokens"] == 1

    stub.say = lambda body: "Well,"
    assert await source.refusal(PERSON) == "the vLLM server of this engine does not hold it."
    stub.refuse = lambda body: "structured_outputs" in body
    assert await source.refusal(PERSON) == "the vLLM server of this engine refuses it."
    await source.aclose()


async def test_server_that_is_back_is_looked_at_again(reach: Reach) -> None:
    """The same one is healthy; another one is not that which was made known."""
    stub = stub_of_default_model()
    source = reach(stub)
    with stub.listening():
        await source.open()
        assert await source.healthy()
    assert not await source.healthy()
    with pytest.raises(SourceBusy):
        await source.refusal(PERSON)
    with stub.listening():
        assert await source.healthy()
    assert not await source.healthy()
    stub.version = {"version": "0.33.0"}
    with stub.listening(), pytest.raises(SourceGone):
        await source.healthy()
    await source.aclose()
