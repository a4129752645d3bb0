"""Timing of a matrix instruction: how long it holds the tensor core of its sub-core, and when its result is there."""

from __future__ import annotations

from configs.schema import Config
from isa.errors import SubcoreError
from isa.program import NO_REGISTER, TensorKind

_WARPGROUP = 4  # warps, one on each sub-core, that share the work of one HGMMA
_DMMA_884 = 8 * 8 * 4
_OPERAND_STEP = 4  # registers of A, B, C and metadata that are read together


def tensor_interval(record, text: str, config: Config) -> int:
    """Cycles from one matrix instruction to the next on the same tensor core: its arithmetic, or reading its operands.

    `text` is the disassembly. SubcoreError if the GPU has no rate for these operands.
    """
    tensor = config.tensor
    kind = TensorKind(record["tensor_kind"])
    if kind == TensorKind.NONE:
        raise SubcoreError(f"{text or 'a tensor instruction'}: no timing without a shape that can be read")
    if kind == TensorKind.MOVM:
        return tensor.movm_interval_cycles
    m, n, k = (int(record[f"tensor_{name}"]) for name in "mnk")
    if kind == TensorKind.DMMA:
        return max(1, tensor.f64_interval_cycles * m * n * k // _DMMA_884)
    bits, sparse = int(record["tensor_bits"]), bool(record["tensor_sparse"])
    factor = _rate_factor(kind, bits, config)
    if sparse:
        factor *= tensor.sparse_factor
        k = -(-k * bits // tensor.sparse_k_bits) * tensor.sparse_k_bits // bits
    if factor <= 0:
        raise SubcoreError(
            f"{config.gpu.name} has no rate for {kind.name} with {bits}-bit operands"
            f"{' (sparse)' if sparse else ''}: set the tensor.* factors or choose another GPU"
        )
    cycles = m * n * k / (tensor.macs_per_cycle * factor)
    if kind == TensorKind.HGMMA:
        return max(round(cycles / _WARPGROUP), _warpgroup_operand_cycles(record, config))
    if kind in (TensorKind.HMMA, TensorKind.QMMA, TensorKind.OMMA):
        cycles *= _accumulate_factor(kind, text, int(record["tensor_accumulator_bits"]), config)
    return max(round(cycles), operand_cycles(record, config))


def _rate_factor(kind: TensorKind, bits: int, config: Config) -> float:
    """Rate relative to 16-bit operands; 0 if the GPU has no such instruction."""
    tensor = config.tensor
    if kind == TensorKind.OMMA:
        return tensor.fp4_factor
    if kind == TensorKind.QMMA:
        return tensor.fp8_factor  # FP6 and FP4 lie in bytes here
    by_bits = {32: tensor.tf32_factor, 8: tensor.int8_factor, 4: tensor.int4_factor, 1: tensor.binary_factor}
    return by_bits.get(bits, 1.0)


def _accumulate_factor(kind: TensorKind, text: str, accumulator_bits: int, config: Config) -> int:
    """Time relative to 16-bit accumulators. FP6 and FP4 in bytes always take that of 32-bit ones."""
    modifiers = text.replace(" ", ".").split(".")
    narrow = kind == TensorKind.QMMA and not {"E3M2", "E2M3", "E2M1"}.isdisjoint(modifiers)
    if "SF" in modifiers and not narrow:
        return config.tensor.block_scaled_accumulate_factor
    return config.tensor.f32_accumulate_factor if narrow or accumulator_bits == 32 else 1


def chain_cycles(record, config: Config) -> int:
    """Least distance of two instructions on one accumulator, where it is more than the compiler keeps; 0 if not."""
    kind = TensorKind(record["tensor_kind"])
    if kind in (TensorKind.HMMA, TensorKind.QMMA) and record["tensor_accumulator_bits"] == 32:
        return config.tensor.f32_chain_cycles
    return config.tensor.imma_chain_cycles if kind == TensorKind.IMMA else 0


def operand_cycles(record, config: Config) -> int:
    """Cycles that reading the operands takes; accumulators count as 32-bit ones. 0 where they are not registers."""
    kind = TensorKind(record["tensor_kind"])
    if kind in (TensorKind.NONE, TensorKind.MOVM, TensorKind.HGMMA):
        return 0
    m, n, k, bits = (int(record[f"tensor_{name}"]) for name in ("m", "n", "k", "bits"))
    sparse = int(record["tensor_sparse"])
    registers = (m * k * bits // (1 + sparse) + n * k * bits + m * n * max(32, bits)) // 1024 + sparse
    return -(-registers // _OPERAND_STEP) * config.tensor.operand_step_cycles


def _warpgroup_operand_cycles(record, config: Config) -> int:
    """B, and A where it is not in registers, come from shared memory once for the four warps."""
    m, n, k, bits = (int(record[f"tensor_{name}"]) for name in ("m", "n", "k", "bits"))
    shared_bits = n * k * bits
    if record["source"][0] == NO_REGISTER:
        shared_bits += m * k * bits // (2 if record["tensor_sparse"] else 1)
    return max(shared_bits // 8 // config.shared_memory.bytes_per_cycle, config.tensor.warpgroup_least_interval_cycles)


def tensor_latency(record, interval_cycles: int, config: Config) -> int:
    """Cycles to the result where a dependence counter signals it."""
    tensor = config.tensor
    return {
        TensorKind.HGMMA: interval_cycles + tensor.warpgroup_wait_cycles,
        TensorKind.DMMA: tensor.dmma_latency_cycles,
        TensorKind.IMMA: tensor.imma_latency_cycles,
        TensorKind.BMMA: tensor.imma_latency_cycles,
        TensorKind.MOVM: tensor.movm_latency_cycles,
        TensorKind.HMMA: tensor.hmma_latency_cycles,
        TensorKind.QMMA: tensor.hmma_latency_cycles,
        TensorKind.OMMA: tensor.hmma_latency_cycles,
    }[TensorKind(record["tensor_kind"])]
