"""What this machine can do at most: bytes of memory and arithmetic per second, with all given threads.

Invariant: every figure is the best of several tries; a limit is what was reached, not what was usual.
"""

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13

from bench.micro.found import Limits, ModelWork

_TRIES = 5
_BYTES = 256 << 20
"""Per thread; several times any cache."""
_SIDE = 2048


def measure_limits(threads: int) -> Limits:
    """Takes about ten seconds and half a gigabyte per thread."""
    arrays = [np.ones(_BYTES // 8, np.float64) for _ in range(threads)]
    targets = [np.empty_like(array) for array in arrays]
    total = _BYTES * threads
    return Limits(
        read_bytes=total / _together([_reading(array) for array in arrays]),
        copy_bytes=2 * total / _together([_copying(*pair) for pair in zip(arrays, targets, strict=True)]),
        bf16_operations=_multiplications(threads, "bf16"),
        f32_operations=_multiplications(threads, "f32"),
    )


def _reading(array: NDArray[np.float64]) -> Callable[[], object]:
    return lambda: np.add.reduce(array)


def _copying(source: NDArray[np.float64], target: NDArray[np.float64]) -> Callable[[], object]:
    return lambda: np.copyto(target, source)


def _together(tasks: list[Callable[[], object]]) -> float:
    """Seconds from when all start to when the last ends. numpy lets go of the lock meanwhile."""
    return min(_time_once(tasks) for _ in range(_TRIES))


def _time_once(tasks: list[Callable[[], object]]) -> float:
    workers = [threading.Thread(target=task) for task in tasks]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def _multiplications(threads: int, precision: str) -> float:
    """Operations per second of OpenVINO's product of two square matrices, one of them constant."""
    rows = opset13.parameter([_SIDE, _SIDE], ov.Type.f32)
    product = opset13.matmul(rows, opset13.constant(np.ones((_SIDE, _SIDE), np.float32)), False, True)
    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    run = ov.Core().compile_model(ov.Model([product], [rows]), "CPU", config).create_infer_request()
    run.set_input_tensor(ov.Tensor(np.ones((_SIDE, _SIDE), np.float32)))
    run.infer()
    return 2 * _SIDE**3 / min(_time_once([run.infer]) for _ in range(_TRIES))


def model_work(folder: Path) -> ModelWork:
    """From the constants of the model's graph. The embedding is counted once: it is the projection too."""
    model = ov.Core().read_model(folder / "openvino_model.xml")
    constants = [node for node in model.get_ops() if node.get_type_name() == "Constant"]
    shapes = [list(node.get_output_shape(0)) for node in constants]
    # Scales and zero points end in a dimension of one, biases and norms begin with it.
    matrices = [math.prod(s) for s in shapes if len(s) >= 2 and s[0] > 1 and s[-1] > 1]
    projection = max(matrices)
    return ModelWork(
        weight_bytes=sum(node.get_byte_size() for node in constants),
        operations_per_token=2 * (sum(matrices) - projection),
        operations_per_row=2 * projection,
    )
