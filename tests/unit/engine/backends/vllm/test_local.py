"""What the operator says of vLLM reaches vLLM, and is judged by it."""

from typing import Any

import pytest

from antiphon.engine.backends.vllm.program import VllmProgram
from antiphon.engine.frames import LoadVllm
from antiphon.models.folder import SAFETENSORS, PreparedModel
from tests.vllm_stub import default_model_as

pytest.importorskip("vllm")


pytestmark = [
    pytest.mark.vllm,
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def model() -> PreparedModel:
    """The default model as vLLM reads it."""
    return default_model_as(SAFETENSORS)


def load(model: PreparedModel, /, **arguments: str) -> LoadVllm:
    """A first frame with these arguments."""
    program = VllmProgram(
        folder=model.folder,
        model_id=model.id,
        digest=model.digest,
        context_length=2048,
        vocab_size=model.vocab_size,
        eos_token_ids=model.eos_token_ids,
        arguments=arguments,
    )
    message = program.load()
    assert isinstance(message, LoadVllm)
    return message


def told(model: PreparedModel, /, **arguments: str) -> Any:
    """vLLM's own arguments. What imports vLLM is imported here: its libraries warn of each other."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    from antiphon.engine.backends.vllm.local import engine_arguments

    return AsyncEngineArgs(**engine_arguments(load(model, **arguments)))


def configured(model: PreparedModel, /, **arguments: str) -> Any:
    """vLLM's own configuration of them, as it checks it."""
    return told(model, **arguments).create_engine_config()


def test_parallelism_reaches_vllms_configuration(model: PreparedModel) -> None:
    """By the names of its arguments or those of its command's flags; numbers are numbers there."""
    config = configured(
        model,
        tensor_parallel_size="3",
        **{"pipeline-parallel-size": "2", "data-parallel-size": "2"},
        distributed_executor_backend="mp",
    )
    parallel = config.parallel_config

    assert (parallel.tensor_parallel_size, parallel.pipeline_parallel_size) == (3, 2)
    assert (parallel.data_parallel_size, parallel.distributed_executor_backend) == (2, "mp")
    assert parallel.world_size == 6


def test_ray_reaches_vllms_arguments(model: PreparedModel) -> None:
    """vLLM runs on Ray where there are GPUs, so its own check ends here."""
    given = told(
        model, distributed_executor_backend="ray", data_parallel_backend="ray", tensor_parallel_size="4"
    )

    assert (given.distributed_executor_backend, given.data_parallel_backend) == ("ray", "ray")
    assert given.tensor_parallel_size == 4


def test_other_arguments_have_vllms_types(model: PreparedModel) -> None:
    """JSON where it is JSON, else a text; and they win over what is set for a CPU."""
    config = configured(
        model,
        dtype="bfloat16",
        max_num_seqs="7",
        gpu_memory_utilization="0.5",
        enforce_eager="true",
        kv_cache_memory_bytes="null",
        compilation_config='{"mode": 0}',
    )

    assert str(config.model_config.dtype) == "torch.bfloat16"
    assert config.scheduler_config.max_num_seqs == 7
    assert config.cache_config.gpu_memory_utilization == 0.5
    assert config.cache_config.kv_cache_memory_bytes is None
    assert config.model_config.enforce_eager is True


def test_what_cannot_be_split_is_vllms_error(model: PreparedModel) -> None:
    """Nine heads in two parts: it says so in its words, at the start."""
    with pytest.raises(ValueError, match="attention heads"):
        configured(model, tensor_parallel_size="2")


@pytest.mark.parametrize(
    "name", ["tensor_paralel_size", "model", "tokenizer", "logits_processors", "logprobs_mode"]
)
def test_arguments_that_are_not_to_be_given_are_refused_by_name(model: PreparedModel, name: str) -> None:
    """Unknown ones, and those that this engine depends on."""
    with pytest.raises(ValueError, match=f"{name} is not an argument of vLLM's that can be given"):
        told(model, **{name: "x"})
