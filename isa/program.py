"""The static side of a kernel: one record of plain integers per SASS instruction, and the `Program` that holds them.

A record says everything about an instruction that does not change while the kernel runs and that does not depend
on the GPU it runs on: operands by position, register files read and written, memory access, control bits.
`sim.lower` turns it, with a configuration, into the even smaller record that the timing kernels read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np

NO_REGISTER = 255  # RZ or "no operand"
NO_COUNTER = 7  # "no dependence counter" in the control bits
NO_PREDICATE = 7  # PT


class Unit(IntEnum):
    """Execution unit that an instruction is dispatched to."""

    NONE = 0  # handled at issue or control: NOP, DEPBAR, ERRBAR, NANOSLEEP, an unknown slot
    FMA = 1  # FP32 and IMAD
    ALU = 2  # integer, logic, moves, compares, min/max, PLOP3, P2R
    FP16 = 3
    FP64 = 4  # shared by the SM on GeForce parts
    SFU = 5  # MUFU and conversions (XU)
    TENSOR = 6
    UNIFORM = 7  # uniform datapath
    BRANCH = 8  # BRA, CALL, RET, BSSY, BSYNC, EXIT, WARPSYNC ...
    MEMORY = 9  # loads, stores, atomics, SHFL, S2R, LDSM, MATCH, LDC with a register ...
    TEXTURE = 10
    BARRIER = 11  # BAR, MEMBAR, cluster barriers


class MemorySpace(IntEnum):
    NONE = 0
    GLOBAL = 1
    LOCAL = 2
    SHARED = 3
    CONSTANT = 4
    GENERIC = 5
    TEXTURE = 6


class Access(IntEnum):
    """What a memory-pipeline instruction does."""

    NONE = 0
    LOAD = 1
    STORE = 2
    ATOMIC = 3  # returns the old value
    REDUCTION = 4  # returns nothing
    ASYNC_COPY = 5  # LDGSTS: global to shared
    MATRIX_LOAD = 6  # LDSM
    MATRIX_STORE = 7  # STSM
    SHUFFLE = 8  # SHFL
    SPECIAL_REGISTER = 9  # S2R, S2UR
    MATCH = 10
    OTHER = 11  # CCTL, QSPC ...
    BULK_COPY = 12  # UBLKCP, UTMALDG ...: `space` is where the bytes go (NONE: prefetch into L2)


class CacheHint(IntEnum):
    DEFAULT = 0
    READ_ONLY = 1  # .CONSTANT (ld.global.nc)
    STRONG_SM = 2
    STRONG_GPU = 3  # coherent at L2: bypasses L1
    STRONG_SYS = 4
    BYPASS_L1 = 5  # LDGSTS.BYPASS and similar
    EVICT_FIRST = 6
    EVICT_LAST = 7


class Flag(IntFlag):
    """Properties that the pipeline treats specially."""

    EXIT = 1 << 0
    BRANCH = 1 << 1  # may change the pc
    BLOCK_BARRIER = 1 << 2  # BAR.SYNC / BAR.RED: the warp waits
    BARRIER_ARRIVE = 1 << 3  # BAR.ARV: arrives without waiting
    MEMORY_BARRIER = 1 << 4  # MEMBAR
    DEPENDENCE_BARRIER = 1 << 5  # DEPBAR.LE SBn, k
    COPY_COMMIT = 1 << 6  # LDGDEPBAR
    CLOCK = 1 << 7  # reads the cycle counter (CS2R SR_CLOCK)
    WIDE = 1 << 8  # IMAD.WIDE: register-pair result
    REUSE_CACHE = 1 << 9  # its register sources may be kept in the register-file cache
    ADDRESS_64 = 1 << 10  # 64-bit address (register pair)
    GRID_BARRIER = 1 << 11
    UNKNOWN = 1 << 12  # slot never seen (imported traces) or mnemonic without an entry
    NOP = 1 << 13
    WARP_SYNC = 1 << 14
    DECODED_CONTROL = 1 << 15  # control bits are real, not defaults


class TensorKind(IntEnum):
    NONE = 0
    HMMA = 1
    IMMA = 2
    BMMA = 3
    DMMA = 4
    QMMA = 5
    HGMMA = 6
    MOVM = 7
    OMMA = 8  # block-scaled FP4


# One record per static instruction. Operand slots are A, B, C, D in the order of the SASS text (D = store data of
# wide forms, descriptors ...); slot numbering agrees with the reuse bits.
INSTRUCTION = np.dtype(
    [
        ("pc", "i4"),  # byte offset in the function
        ("mnemonic", "i2"),  # index into isa.opcodes.MNEMONICS, 0 = unknown
        ("unit", "u1"),
        ("variable_latency", "u1"),  # 1: completion is signalled by a dependence counter on this architecture
        ("flags", "u4"),
        # operands
        ("guard", "u1"),  # predicate 0-6, 7 = always
        ("guard_uniform", "u1"),
        ("source", "u1", (4,)),  # first regular register per slot, 255 = none
        ("source_registers", "u1", (4,)),  # consecutive registers per slot
        ("destination", "u1", (2,)),
        ("destination_registers", "u1", (2,)),
        ("uniform_source", "u1", (4,)),
        ("uniform_source_registers", "u1", (4,)),
        ("uniform_destination", "u1"),
        ("uniform_destination_registers", "u1"),
        ("predicate_sources", "u1"),  # bit mask of P0-P6 read as operands (guard excluded)
        ("predicate_destinations", "u1"),
        ("uniform_predicate_sources", "u1"),
        ("uniform_predicate_destinations", "u1"),
        # classes of the fixed-latency tables (isa.latency)
        ("produces", "u1"),  # ProducerClass of the first destination register / predicate / uniform result
        ("produces_high", "u1"),  # ProducerClass of the upper registers of the destination (IMAD.WIDE high half)
        ("consumes", "u1", (4,)),  # ConsumerClass per slot
        ("consumes_predicate", "u1"),  # ConsumerClass of predicate operands
        # constant-bank operand (bank -1 = none); immediate offset in bytes
        ("constant_bank", "i1"),
        ("constant_offset", "i4"),
        # memory
        ("space", "u1"),
        ("access", "u1"),
        ("access_bytes", "u1"),  # per lane: 1, 2, 4, 8, 16
        ("address_registers", "u1"),  # regular registers in the address operand; 0 = uniform or immediate address
        ("cache_hint", "u1"),
        ("matrices", "u1"),  # LDSM/STSM: 1, 2, 4
        # control bits
        ("stall", "u1"),
        ("yield_hint", "u1"),  # 1: the next cycle must not issue from this warp
        ("write_counter", "u1"),
        ("read_counter", "u1"),
        ("wait_mask", "u1"),
        ("reuse", "u1"),  # bit per slot A, B, C
        # DEPBAR.LE SBx, k, {mask}
        ("depbar_counter", "u1"),
        ("depbar_threshold", "u1"),
        ("depbar_mask", "u1"),
        # BAR: id (255 = in a register) and thread count (0 = all threads of the block)
        ("barrier", "u1"),
        ("barrier_threads", "i2"),  # USETMAXREG: registers asked for, or -registers kept
        # tensor shape
        ("tensor_kind", "u1"),
        ("tensor_m", "i2"),
        ("tensor_n", "i2"),
        ("tensor_k", "i2"),
        ("tensor_bits", "u1"),  # bits per A/B element
        ("tensor_accumulator_bits", "u1"),
        ("tensor_sparse", "u1"),
        # control flow
        ("target", "i4"),  # index of the branch target in the program, -1 = none or indirect
        ("source_line", "i4"),  # line of the CUDA source, 0 = unknown
    ],
    align=True,
)


@dataclass(frozen=True)
class Parameter:
    """One kernel parameter in the constant bank: byte offset from the parameter base and size."""

    offset: int
    size: int


@dataclass(frozen=True)
class Program:
    """Static code of one kernel.

    `instructions[i]` sits at byte offset `i * pc_step` of the function (sm_60/61 traces: every fourth slot is a
    control word and stays UNKNOWN). `text[i]` is the disassembly of slot i ("" where unknown).
    """

    kernel: str
    architecture: int  # 86 for sm_86
    instructions: np.ndarray  # INSTRUCTION, shape (n,)
    text: tuple[str, ...]
    pc_step: int = 16
    has_control_bits: bool = False
    registers: int = 0  # per thread
    shared_bytes: int = 0  # static shared memory per block
    local_bytes: int = 0  # stack per thread
    barriers: int = 0
    parameter_base: int = 0  # byte offset in constant bank 0
    parameters: tuple[Parameter, ...] = ()
    source_file: str = ""
    warnings: tuple[str, ...] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.instructions)
