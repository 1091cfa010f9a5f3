"""What the micro-benchmarks find, as values, and how they compare with the machine's limits.

Invariant: importing this imports no inference library, so that results can be read anywhere.
"""

from dataclasses import dataclass

from bench.servers.peer import Model

BATCHES = (1, 8, 16, 32)
SAMPLED_ROWS = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure."""

    model: Model
    threads: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Per second: bytes read by numpy's sum, bytes read and written by its copy, operations by precision."""

    read_bytes: float
    copy_bytes: float
    bf16_operations: float
    f32_operations: float

    @property
    def memory_bytes(self) -> float:
        """The faster of the two ways to use the memory."""
        return max(self.read_bytes, self.copy_bytes)


@dataclass(frozen=True, slots=True)
class ModelWork:
    """What a step must do at least. An operation is one addition or multiplication."""

    weight_bytes: int
    """Read once a step, however many tokens it has."""
    operations_per_token: int
    """Two for each weight that a token is multiplied with; attention is left out."""
    operations_per_row: int
    """The vocabulary projection's, for each token whose logits are wanted."""

    def best_step_s(self, tokens: int, rows: int, limits: Limits) -> float:
        """Seconds that a step takes at the limits: it cannot be faster than either."""
        operations = tokens * self.operations_per_token + rows * self.operations_per_row
        return max(self.weight_bytes / limits.memory_bytes, operations / limits.bf16_operations)


@dataclass(frozen=True, slots=True)
class Decode:
    """Decoding with every sequence past its prompt."""

    batch: int
    step_s: float
    """Median."""
    tokens_per_s: float
    forward_share: float
    """Time inside the inference library, as a share of the steps."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Seconds to draw for `SAMPLED_ROWS` rows, median."""

    vocabulary: int
    rows: str
    """How the weight lies: `peaked` as in most text, or `flat`."""
    parameters: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Micro:
    """One run of all micro-benchmarks."""

    limits: Limits
    work: ModelWork
    decode: list[Decode]
    prefill_tokens_per_s: float
    sampling: list[Sampling]

    def decode_share(self, decode: Decode) -> float:
        """How much of the machine's limit a decode step reaches."""
        return self.work.best_step_s(decode.batch, decode.batch, self.limits) / decode.step_s

    @property
    def prefill_share(self) -> float:
        """How much of the machine's arithmetic prefill reaches."""
        return self.prefill_tokens_per_s * self.work.operations_per_token / self.limits.bf16_operations

    def step_share(self, sampling: Sampling) -> float | None:
        """Drawing as a share of a whole decode step of as many rows."""
        step = next((d.step_s for d in self.decode if d.batch == SAMPLED_ROWS), None)
        return None if step is None else sampling.seconds / step
