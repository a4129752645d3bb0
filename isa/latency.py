"""Fixed result latencies: cycles from the issue of a producer to the earliest issue of a consumer.

Rows are `ProducerClass`, columns `ConsumerClass`; 0 means that a dependence counter (or scoreboard) decides.
Sources: `NAK` = Mesa NAK latency files sm75, sm80, sm120 and sm100 (MIT, Red Hat and Collabora; scheduling data
provided by NVIDIA); `compiler` = smallest distance that ptxas emits (own measurement on compiled kernels, no GPU).
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np


class ProducerClass(IntEnum):
    """How a result is made. Its meaning for register, predicate and uniform results differs by table only."""

    NONE = 0  # no result
    VARIABLE = 1  # signalled by a dependence counter
    ALU = 2
    DISP64 = 3  # CS2R of 64 bits, LEPC
    FMA = 4
    WIDE_LOW = 5  # IMAD.WIDE, first register
    WIDE_HIGH = 6  # IMAD.WIDE, second register
    FP16 = 7
    HFMA2_MMA = 8  # HFMA2.MMA of sm_80, sm_90, sm_100: half precision on the tensor pipe
    FP64 = 9
    CLMAD = 10
    MMA_1X = 11  # HMMA.1688 and other half-size shapes
    MMA_2X = 12  # HMMA.16816, QMMA.16832
    DMMA = 13
    VOTE = 14
    R2UR = 15
    ELECT = 16
    UNIFORM = 17
    UNIFORM_MOVE = 18  # UMOV, ULDC, VOTEU
    DUAL_ALU = 19  # moves, selections, comparisons, minima: as ALU but on sm_120
    IMMA_88 = 20  # IMMA.8816, IMMA.8832
    IMMA_1X = 21  # IMMA.16816
    IMMA_2X = 22  # IMMA.16832, BMMA.168256


class ConsumerClass(IntEnum):
    """How an operand is read."""

    NONE = 0
    ALU = 1
    FMA = 2  # also the low register of an IMAD.WIDE addend
    WIDE_AB = 3  # factors of IMAD.WIDE
    WIDE_C = 4  # addend of IMAD.WIDE: its low register reads as FMA, the next one as WIDE_C_HIGH
    WIDE_C_HIGH = 5
    FP16 = 6
    HFMA2_MMA = 7
    FP64 = 8
    CLMAD = 9
    MMA = 10
    DMMA = 11
    DECOUPLED = 12  # MUFU, conversions, S2R, textures ...: queues outside the fixed-latency pipes
    AGU = 13  # address and data of memory instructions, SHFL, BAR
    BRANCH = 14
    GUARD = 15  # guard predicate of any instruction
    VOTE = 16
    R2UR = 17
    UNIFORM = 18
    UNIFORM_MOVE = 19
    UNIFORM_LOAD = 20  # ULDC, bindless constant address
    CONSTANT_ADDRESS = 21
    IMMA = 22  # IMMA, BMMA: as MMA but on sm_75


_P, _C = ProducerClass, ConsumerClass
_SHAPE = (len(ProducerClass), len(ConsumerClass))
_TURING = frozenset({60, 61, 70, 72, 75})

# NAK sm80 (Ampere, Ada), register results. Columns: the consumers named in _REGISTER_COLUMNS.
_REGISTER_COLUMNS = (
    _C.ALU, _C.FMA, _C.WIDE_AB, _C.WIDE_C_HIGH, _C.FP16, _C.FP64, _C.CLMAD, _C.MMA, _C.DECOUPLED, _C.AGU,
)  # fmt: skip
_REGISTER_SM80 = {
    _P.ALU: (4, 5, 5, 3, 5, 6, 6, 7, 4, 5),
    _P.DISP64: (6, 6, 6, 4, 6, 6, 6, 7, 4, 5),
    _P.FMA: (5, 4, 4, 2, 5, 6, 6, 7, 4, 5),
    _P.WIDE_LOW: (3, 2, 4, 2, 3, 6, 6, 7, 4, 5),
    _P.WIDE_HIGH: (5, 4, 6, 2, 5, 6, 6, 7, 4, 5),
    _P.FP16: (5, 5, 5, 3, 4, 6, 6, 7, 4, 5),  # to FP16: 4 in NVIDIA's sheet and compiled code, 5 in NAK
    _P.HFMA2_MMA: (10, 10, 10, 8, 10, 6, 10, 11, 6, 7),
    _P.FP64: (10, 10, 10, 8, 10, 6, 10, 11, 6, 7),
    _P.CLMAD: (12, 12, 12, 10, 12, 12, 8, 13, 8, 9),
    _P.DMMA: (25, 25, 25, 23, 25, 25, 25, 26, 23, 24),
}
# NAK sm75 (Turing). To AGU: 8, the least that compiled code waits; the sheet has 6. For sm_60 to sm_72 too (guess).
_REGISTER_SM75 = {
    _P.ALU: (4, 5, 5, 3, 6, 6, 6, 6, 6, 8),
    _P.DISP64: (6, 6, 6, 4, 6, 6, 6, 6, 6, 8),
    _P.FMA: (5, 4, 4, 2, 6, 6, 6, 6, 6, 8),
    _P.WIDE_LOW: (3, 2, 4, 2, 6, 6, 6, 6, 6, 8),
    _P.WIDE_HIGH: (5, 4, 6, 2, 6, 6, 6, 6, 6, 8),
    _P.FP64: (9, 9, 9, 7, 9, 8, 9, 9, 9, 9),
    _P.FP16: (8, 8, 8, 6, 6, 8, 8, 8, 8, 8),
    _P.HFMA2_MMA: (8, 8, 8, 6, 6, 8, 8, 8, 8, 8),  # no such instruction
    _P.CLMAD: (12, 12, 12, 10, 12, 12, 8, 13, 8, 9),  # guess: the value of sm_80
    _P.DMMA: (25, 25, 25, 23, 25, 25, 25, 26, 23, 24),  # no such instruction
}
# Matrix results: cycles to the next MMA, to a store (AGU), to an ALU or FMA reader, to a decoupled reader or
# WIDE_C_HIGH. sm_75: NAK, IMMA.16816 and larger do not exist. sm_80 to sm_90: to MMA and store from compiled chains
# (compiler), which wait up to 6 cycles more than NAK's sheet; the other columns keep the sheet's spacing; IMMA_88 is
# NAK's. sm_100: NAK, the same as compiled code but for IMMA_88 (compiler). sm_120: compiler.
_MMA = {
    75: {
        (_P.MMA_1X,): (14, 14, 14, 12),
        (_P.MMA_2X,): (22, 22, 22, 20),
        (_P.IMMA_88, _P.IMMA_1X, _P.IMMA_2X): (10, 10, 10, 8),
    },
    80: {
        (_P.IMMA_88,): (14, 12, 13, 11),
        (_P.MMA_1X, _P.IMMA_1X): (16, 15, 16, 14),
        (_P.MMA_2X, _P.IMMA_2X): (24, 23, 24, 22),
    },
    100: {
        (_P.IMMA_88,): (22, 19, 19, 19),
        (_P.MMA_1X, _P.IMMA_1X, _P.MMA_2X, _P.IMMA_2X): (20, 19, 19, 19),
    },
    120: {
        (_P.IMMA_88,): (29, 26, 26, 26),
        (_P.IMMA_1X, _P.IMMA_2X): (27, 26, 26, 26),
        (_P.MMA_1X, _P.MMA_2X): (29, 28, 28, 28),
    },
}

# Predicate results, NAK. Columns: ALU operand, FMA operand, FP16, FP64 and HFMA2.MMA, guard or decoupled or VOTE.
_PREDICATE_SM80 = {
    _P.ALU: (4, 5, 13, 13, 13),
    _P.FMA: (5, 4, 13, 13, 13),
    _P.FP16: (5, 5, 5, 13, 13),
    _P.HFMA2_MMA: (6, 6, 14, 6, 14),
    _P.FP64: (6, 6, 14, 6, 14),
}
_PREDICATE_SM75 = {
    _P.ALU: (4, 5, 12, 12, 12),
    _P.FMA: (5, 4, 12, 12, 12),
    _P.FP16: (8, 8, 6, 14, 14),
    _P.HFMA2_MMA: (8, 8, 6, 14, 14),  # no such instruction
    _P.FP64: (9, 9, 15, 8, 15),
}

# Uniform results: coupled vector reader, decoupled, branch, constant address and ULDC, uniform, UMOV and VOTEU.
_UNIFORM = {
    _P.UNIFORM: (6, 9, 10, 12, 4, 7),
    _P.UNIFORM_MOVE: (2, 2, 3, 5, 2, 2),
}
# Uniform predicates: coupled vector reader, uniform, guard, branch, ULDC and MMA.
_UNIFORM_PREDICATE = {
    _P.UNIFORM: (6, 4, 11, 9, 11),
    _P.UNIFORM_MOVE: (1, 1, 5, 2, 5),
}
_COUPLED = (_C.ALU, _C.FMA, _C.WIDE_AB, _C.WIDE_C, _C.WIDE_C_HIGH, _C.FP16, _C.HFMA2_MMA, _C.FP64, _C.CLMAD, _C.R2UR)
_QUEUED = (_C.DECOUPLED, _C.AGU, _C.MMA, _C.IMMA, _C.DMMA)


def _spread(table: np.ndarray) -> np.ndarray:
    """Fill the consumer classes that read like another one."""
    like = {
        _C.WIDE_C: _C.FMA,
        _C.HFMA2_MMA: _C.FP64,
        _C.DMMA: _C.MMA,
        _C.IMMA: _C.MMA,
        _C.BRANCH: _C.DECOUPLED,
        _C.VOTE: _C.ALU,
        _C.R2UR: _C.ALU,
        _C.CONSTANT_ADDRESS: _C.AGU,
    }
    for to, source in like.items():
        table[:, to] = table[:, source]
    return table


def _matrix_generation(architecture: int) -> int:
    return max(a for a in _MMA if a <= max(architecture, 75))


@cache
def register_latency(architecture: int) -> np.ndarray:
    """Latencies of regular-register results, i4, shape (producers, consumers), read-only. 0 = variable or none."""
    table = np.zeros(_SHAPE, np.int32)
    for producer, row in (_REGISTER_SM75 if architecture in _TURING else _REGISTER_SM80).items():
        table[producer, list(_REGISTER_COLUMNS)] = row
    if architecture >= 90:
        table[np.ix_([_P.FP64, _P.HFMA2_MMA], [_C.FP64])] = 8  # NAK sm100; compiler on sm_90
    for producers, (matrix, store, coupled, decoupled) in _MMA[_matrix_generation(architecture)].items():
        for producer in producers:
            table[producer, list(_REGISTER_COLUMNS)] = coupled
            table[producer, [_C.DECOUPLED, _C.WIDE_C_HIGH]] = decoupled
            table[producer, _C.AGU], table[producer, _C.MMA] = store, matrix
    table = _spread(table)
    if architecture in _TURING:
        table[[_P.ALU, _P.DISP64, _P.FMA, _P.WIDE_LOW, _P.WIDE_HIGH], _C.IMMA] = 8  # NAK sm75
    elif architecture < 90:
        table[_P.FMA, _C.R2UR] = 4  # compiler on sm_86 and sm_89
    if architecture >= 90:
        table[_P.FP64, _C.HFMA2_MMA] = 10  # NAK sm100
    table[[_P.VOTE, _P.ELECT, _P.DUAL_ALU]] = table[_P.ALU]
    if architecture >= 120:
        table[_P.DUAL_ALU, _C.ALU] = 5  # compiler
    table.setflags(write=False)
    return table


@cache
def predicate_latency(architecture: int) -> np.ndarray:
    """Latencies of predicate results, i4, shape (producers, consumers), read-only."""
    table = np.zeros(_SHAPE, np.int32)
    rows = _PREDICATE_SM75 if architecture in _TURING else _PREDICATE_SM80
    for producer, (alu, fma, half, double, guard) in rows.items():
        table[producer, 1:] = guard
        table[producer, _C.ALU] = alu
        table[producer, [_C.FMA, _C.WIDE_AB, _C.WIDE_C, _C.WIDE_C_HIGH, _C.CLMAD]] = fma
        table[producer, _C.FP16] = half
        table[producer, [_C.FP64, _C.HFMA2_MMA]] = double
    table[[_P.WIDE_LOW, _P.WIDE_HIGH]] = table[_P.FMA]
    table[[_P.VOTE, _P.ELECT, _P.R2UR, _P.DUAL_ALU]] = table[_P.ALU]
    if architecture >= 120:
        table[_P.DUAL_ALU, _C.ALU] = 5  # compiler
    table.setflags(write=False)
    return table


@cache
def uniform_latency(architecture: int) -> np.ndarray:
    """Latencies of uniform-register results, i4, shape (producers, consumers), read-only."""
    table = np.zeros(_SHAPE, np.int32)
    for producer, (coupled, queued, branch, constant, uniform, move) in _UNIFORM.items():
        table[producer, list(_COUPLED)] = coupled
        table[producer, list(_QUEUED)] = queued
        table[producer, _C.BRANCH] = branch
        table[producer, [_C.CONSTANT_ADDRESS, _C.UNIFORM_LOAD]] = constant
        table[producer, [_C.UNIFORM]] = uniform
        table[producer, [_C.UNIFORM_MOVE, _C.VOTE]] = move
    if architecture >= 90:
        table[_P.R2UR, 1:] = 13  # NAK sm100; compiler on sm_90 and sm_120
        table[_P.ELECT] = table[_P.UNIFORM_MOVE]  # NAK sm100
    table.setflags(write=False)
    return table


@cache
def uniform_predicate_latency(architecture: int) -> np.ndarray:
    """Latencies of uniform-predicate results, i4, shape (producers, consumers), read-only."""
    table = np.zeros(_SHAPE, np.int32)
    for producer, (coupled, uniform, guard, branch, load) in _UNIFORM_PREDICATE.items():
        table[producer, [*_COUPLED, _C.VOTE]] = coupled
        table[producer, [_C.UNIFORM, _C.UNIFORM_MOVE]] = uniform
        table[producer, [_C.GUARD, *_QUEUED]] = guard
        table[producer, _C.BRANCH] = branch
        table[producer, _C.UNIFORM_LOAD] = load
    table.setflags(write=False)
    return table


# Write after write, NAK sm80: (first writer, group of the second) -> cycles, and what a predicated first writer adds.
_FIRST_WRITERS = {
    _P.FP64: ((3, 3), (1, 3), (2, 2), (9, 1)),
    _P.HFMA2_MMA: ((3, 3), (1, 3), (2, 2), (9, 1)),
    _P.CLMAD: ((3, 5), (1, 5), (2, 0), (11, 1)),
    _P.MMA_1X: ((1, 8), (8, 0), (4, 0), (6, 7)),
    _P.MMA_2X: ((1, 12), (12, 0), (8, 0), (6, 11)),
    _P.IMMA_88: ((1, 8), (8, 0), (4, 0), (6, 7)),
    _P.IMMA_1X: ((1, 8), (8, 0), (4, 0), (6, 7)),
    _P.IMMA_2X: ((1, 12), (12, 0), (8, 0), (6, 11)),
    _P.DMMA: ((1, 20), (20, 0), (16, 0), (6, 19)),
}
_OTHER_FIRST_WRITERS = ((1, 1), (1, 0), (2, 0), (5, 1))
_QUEUED_READERS = (_C.DECOUPLED, _C.AGU, _C.BRANCH)


def overwrite_latency(
    first: ProducerClass, second: ProducerClass, second_reads: ConsumerClass = _C.ALU, predicated: bool = False
) -> int:
    """Cycles from the issue of a fixed-latency writer to that of the next writer of the same register.

    `second_reads` tells a decoupled second writer where `second` does not; `predicated`: the first writer has a guard.
    0 when a dependence counter decides. NAK sm80, used for every architecture (guess for others).
    """
    if first in (_P.NONE, _P.VARIABLE):
        return 0
    if second == _P.VARIABLE or second_reads in _QUEUED_READERS:
        group = 3
    elif second in (_P.MMA_1X, _P.MMA_2X, _P.DMMA, _P.IMMA_88, _P.IMMA_1X, _P.IMMA_2X):
        group = 2
    else:
        group = 1 if second in (_P.DISP64, _P.HFMA2_MMA, _P.FP64) else 0
    base, extra = _FIRST_WRITERS.get(first, _OTHER_FIRST_WRITERS)[group]
    return base + extra if predicated else base


def antidependence_latency(reader: ConsumerClass, writer_reads: ConsumerClass) -> int:
    """Cycles from a fixed-latency reader to the next writer of the register, which reads as `writer_reads`.

    0 when the reader is decoupled: its dependence counter decides. NAK sm80.
    """
    if reader in _QUEUED_READERS:
        return 0
    return 2 if writer_reads in (*_QUEUED_READERS, _C.MMA, _C.IMMA, _C.DMMA, _C.CLMAD) else 1
