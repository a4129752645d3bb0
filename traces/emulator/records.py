"""State of the emulated machine as plain records, and the micro-operation that one SASS instruction becomes."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

LANES = 32
REGISTERS = 256  # per lane; 255 is RZ
SCRATCH = REGISTERS  # four more rows: factor A of a warpgroup's matrix instruction, when it comes from memory
GROUP_WARPS = 4  # warps of a warpgroup
GROUP_COMMITS = 8  # committed groups of matrix instructions that a warp remembers (WARPGROUP.DEPBAR allows 7 at most)
NONE = 255  # "no register"
ALL = 0xFFFFFFFF
PREDICATES = 16  # 0-6 P0-P6, 7 PT, 8-14 UP0-UP6, 15 UPT: one lane mask each
TRUE = 7
UNIFORM_PREDICATE = 8  # offset of UP0
CONVERGENCE_BARRIERS = 16
BLOCK_BARRIERS = 16
MAX_WARPS = 32  # 1024 threads
CONSTANT_BANKS = 32


class Kind(IntEnum):
    """Where a source value comes from."""

    NONE = 0
    REGISTER = 1
    UNIFORM = 2
    IMMEDIATE = 3
    CONSTANT = 4


class Operation(IntEnum):
    """What a micro-operation computes. Sources a, b, c, d; wide = 64 bits per lane."""

    NOTHING = 0  # executes and changes no value: NOP, fences, cache hints
    # integer
    MOVE = 1
    SELECT = 2
    MULTIPLY_ADD = 3
    MULTIPLY_ADD_WIDE = 4
    ADD3 = 5
    ADD3_WIDE = 6
    LOGIC3 = 7
    SHIFT = 8
    SHIFT_ADD = 9  # LEA
    COMPARE = 10
    COMPARE_WIDE = 11
    MINIMUM_MAXIMUM = 12
    ABSOLUTE = 13
    POPULATION_COUNT = 14
    FIND_LEADING_ONE = 15
    REVERSE_BITS = 16
    PERMUTE_BYTES = 17
    DOT_PRODUCT4 = 18
    LOGIC3_PREDICATE = 19
    PREDICATES_TO_REGISTER = 20
    REGISTER_TO_PREDICATES = 21
    MOVE_WIDE = 22
    SELECT_WIDE = 23
    ADD_MINIMUM_MAXIMUM = 24
    SIGN_EXTEND = 25
    ABSOLUTE_DIFFERENCE = 26
    MINIMUM_MAXIMUM_WIDE = 27
    PACKED_ADD = 28
    PACKED_EXTREMUM = 29
    PACKED_DIFFERENCE = 30
    DOT_PRODUCT2 = 31
    BIT_MASK = 32
    CLAMP = 33
    CLAMP_PACK = 34
    SIGN_LOGIC = 35
    # single precision
    FLOAT_ADD = 40
    FLOAT_MULTIPLY = 41
    FLOAT_MULTIPLY_ADD = 42
    FLOAT_MINIMUM_MAXIMUM = 43
    FLOAT_COMPARE = 44
    SPECIAL_FUNCTION = 45
    DIVISION_CHECK = 46
    FLOAT_SET = 47  # FSET
    PAIR_ARITHMETIC = 48  # FADD2, FMUL2, FFMA2
    # double precision
    DOUBLE_ADD = 60
    DOUBLE_MULTIPLY = 61
    DOUBLE_MULTIPLY_ADD = 62
    DOUBLE_COMPARE = 63
    # packed half precision
    HALF_MULTIPLY_ADD = 70
    HALF_COMPARE = 71
    HALF_MINIMUM_MAXIMUM = 72
    # conversions
    INTEGER_TO_FLOAT = 80
    FLOAT_TO_INTEGER = 81
    FLOAT_TO_FLOAT = 82
    ROUND_FLOAT = 83
    PACK_FLOATS = 84  # F2FP
    PACK_BYTES = 85  # F2IP
    # between lanes, special registers
    SPECIAL_REGISTER = 100
    VOTE = 101
    SHUFFLE = 102
    MATCH = 103
    REDUCE = 104
    FIRST_LANE = 105  # R2UR
    MATRIX = 106  # HMMA, IMMA, BMMA, DMMA, QMMA
    TRANSPOSE = 107  # MOVM
    # memory
    LOAD = 120
    STORE = 121
    ATOMIC = 122
    LOAD_CONSTANT = 123
    COPY_TO_SHARED = 124  # LDGSTS
    LOAD_MATRIX = 125  # LDSM
    STORE_MATRIX = 126  # STSM
    QUERY_SPACE = 127  # QSPC
    PHASE_BARRIER = 128  # SYNCS, ARRIVES
    STORE_ASYNC = 129  # STAS, REDAS: a store that counts at an mbarrier
    BULK_COPY = 130  # UBLKCP, UBLKRED, UBLKPF
    TENSOR_COPY = 131  # UTMALDG, UTMASTG, UTMAREDG, UTMAPF
    GROUP_MATRIX = 132  # HGMMA, QGMMA, IGMMA
    GROUP_ARRIVE = 133  # WARPGROUP.ARRIVE
    GROUP_WAIT = 134  # WARPGROUP.DEPBAR
    # control flow: every value from here on may change the pc or the lanes that run
    BRANCH = 160
    EXIT = 161
    SET_CONVERGENCE = 162  # BSSY
    CONVERGE = 163  # BSYNC
    BREAK = 164
    WARP_SYNC = 165
    BRANCH_INDIRECT = 167  # RET, BRX
    BRANCH_DIVERGED = 168  # BRA.DIV, BRA.CONV
    BLOCK_BARRIER = 169
    SAVE_CONVERGENCE = 170  # BMOV Rd, Bn
    RESTORE_CONVERGENCE = 171  # BMOV Bn, Ra
    BARRIER_RESULT = 172  # B2R.RESULT
    YIELD = 173
    ELECT = 174
    SLEEP = 175  # NANOSLEEP: the next warp gets its turn
    CLUSTER_ARRIVE = 176
    CLUSTER_WAIT = 177
    UNSUPPORTED = 255


FIRST_CONTROL = Operation.BRANCH
FIRST_MEMORY = Operation.LOAD


class Space(IntEnum):
    GLOBAL = 0
    SHARED = 1
    LOCAL = 2
    GENERIC = 3


SOURCE = np.dtype(
    [
        ("kind", "u1"),
        ("wide", "u1"),  # 1: a register pair
        ("modified", "u1"),  # 1: value = ((value & keep) ^ flip) + add
        ("index", "u1"),  # register
        ("value", "u8"),  # immediate (modifiers applied) or word offset in the constants
        ("keep", "u8"),
        ("flip", "u8"),
        ("add", "u8"),
    ],
    align=True,
)

# `variant`, `extra` and `immediate` mean what the operation says (`lower.py` fills them, the executors read them).
MICRO_OPERATION = np.dtype(
    [
        ("operation", "u1"),
        ("guard", "u1"),
        ("destination_kind", "u1"),  # Kind.NONE, REGISTER or UNIFORM
        ("destination", "u1"),
        ("destination_registers", "u1"),
        ("wide_result", "u1"),  # the result is 64 bits per lane
        ("predicate_destination", "u1", (2,)),  # NONE or 0-14
        ("predicate_source", "u1", (3,)),
        ("guard_flip", "u4"),
        ("predicate_flip", "u4", (3,)),
        ("variant", "u4"),
        ("extra", "i4"),
        ("immediate", "i8"),
        ("source", SOURCE, (4,)),
        ("space", "u1"),
        ("bytes", "u1"),  # per lane
        ("signed", "u1"),
        ("data_register", "u1"),  # stores and atomics
        ("swap_register", "u1"),  # compare and swap: the new value
        ("address_register", "u1"),
        ("address_wide", "u1"),
        ("address_scale", "u1"),
        ("address_uniform", "u1"),
        ("address_uniform_wide", "u1"),
        ("allocation", "i4"),  # the allocation that the last access fell into: tried first
    ],
    align=True,
)


class LaneState(IntEnum):
    RUNNING = 0  # in some group
    CONVERGE = 1  # waits at BSYNC
    WARP_SYNC = 2
    BLOCK_BARRIER = 3
    EXITED = 4
    CLUSTER = 5  # waits at UCGABAR_WAIT


WARP = np.dtype(
    [
        ("register", "u4", (REGISTERS + 4, LANES)),
        ("uniform", "u4", (REGISTERS,)),
        ("predicate", "u4", (PREDICATES,)),
        ("thread", "u4", (3, LANES)),  # threadIdx x, y, z
        ("convergence", "u4", (CONVERGENCE_BARRIERS, LANES)),  # lanes that a lane expects to meet at barrier Bn
        # groups of lanes that run together; the last one runs
        ("groups", "i4"),
        ("group_pc", "i4", (LANES,)),
        ("group_mask", "u4", (LANES,)),
        # lanes that wait
        ("lane_state", "u1", (LANES,)),
        ("lane_pc", "i4", (LANES,)),  # where it goes on
        ("lane_wait", "u4", (LANES,)),  # CONVERGE: barrier; WARP_SYNC: mask; BLOCK_BARRIER: id
        ("alive", "u4"),
        ("index", "i4"),  # in the block
        ("slot", "i4"),  # among the warps of all blocks that run together
        ("blocked", "i4"),  # operation that the warp repeats until it can go on, 0 = none
        ("blocked_address", "i8"),  # of the mbarrier
        ("expires", "i4"),  # 1: its next wait at an mbarrier comes back with nothing
        ("cluster_arrived", "u4"),  # lanes that wait for the others of the cluster, or will
        # the warp's part in matrix instructions of its warpgroup
        ("group_arrivals", "i8"),
        ("group_issued", "i8"),
        ("group_commits", "i8"),
        ("group_issued_at", "i8", (GROUP_COMMITS,)),  # `group_issued` at the last commits, by number
        ("executed", "i8"),
        ("rotate_at", "i8"),  # when `executed` reaches this, another group gets its turn
        ("barrier_count", "u4"),  # BAR.RED: lanes of the block whose predicate held
        ("barrier_outcome", "u4"),
        # operands and results of the running instruction
        ("a", "u4", (LANES,)),
        ("b", "u4", (LANES,)),
        ("c", "u4", (LANES,)),
        ("d", "u4", (LANES,)),
        ("wide_a", "u8", (LANES,)),
        ("wide_b", "u8", (LANES,)),
        ("wide_c", "u8", (LANES,)),
        ("wide_d", "u8", (LANES,)),
        ("result", "u4", (8, LANES)),
        ("wide_result", "u8", (LANES,)),
        ("address", "i8", (LANES,)),
        ("mask_result", "u4", (2,)),  # predicate results as lane masks
    ],
    align=True,
)


class Status(IntEnum):
    """Why the interpreter, or one warp of it, stopped. From UNSUPPORTED on: errors."""

    RUNNING = 0
    WAITING = 1  # the warp waits at a block barrier, or has finished
    BLOCKED = 15  # the instruction cannot run yet; nothing of it has happened
    CHUNK_DONE = 2
    LOG_FULL = 3
    PAUSED = 4
    GRID_DONE = 5
    UNSUPPORTED = 6
    OUT_OF_BOUNDS = 7
    MISALIGNED = 8
    SHARED_BOUNDS = 9
    LOCAL_BOUNDS = 10
    CONSTANT_BOUNDS = 11
    BAD_TARGET = 12
    DEADLOCK = 13
    BUDGET = 14
    READ_ONLY = 32
    UNINITIALIZED = 33
    DESCRIPTOR = 34  # a matrix or copy descriptor that says something without semantics here
    DIVERGED = 35  # an instruction that the whole warp must run together
    REMOTE_BOUNDS = 36  # shared memory of a block that the cluster does not have, or that has ended


MACHINE = np.dtype(
    [
        ("grid", "i4", (3,)),
        ("block", "i4", (3,)),
        ("block_index", "i4", (3,)),
        ("threads", "i4"),  # per block
        ("warps", "i4"),
        ("registers", "i4"),  # per lane
        ("next_block", "i8"),  # linear id
        ("blocks", "i8"),
        ("block_live", "i4"),  # 1: blocks are under way
        ("current_warp", "i4"),  # among the warps of the blocks that run together
        # blocks that run together: those of a cluster, all of a cooperative launch, else one
        ("team_blocks", "i4"),
        ("cluster", "i4", (3,)),
        ("cluster_blocks", "i4"),
        ("block_at", "i4"),  # the running block among them
        ("rank", "i4"),  # of the running block in its cluster
        ("shared_first", "i8"),  # shared memory of the first one, as `shared_at`
        ("shared_step", "i8"),  # from there to that of the next one
        ("expired", "i4"),  # times that waits at mbarriers came back with nothing, since one last changed
        ("progress", "i4"),  # a warp ran since the first one of the round
        # memory: one array holds global, shared and local memory, in this order
        ("global_base", "i8"),  # address of its byte 0
        ("shared_at", "i8"),
        ("local_at", "i8"),
        ("shared_base", "i8"),  # bytes at the bottom that the system keeps
        ("shared_end", "i8"),
        ("local_bytes", "i8"),  # per lane
        ("shared_window", "i8"),  # generic addresses
        ("local_window", "i8"),
        ("allocations", "i4"),
        # bytes of the array from `shadow_from` up to local memory have a shadow byte, 255 once written, further on
        ("shadow_from", "i8"),
        ("shadow_move", "i8"),
        ("unwritten", "i8"),  # tracked bytes of the block without a value; 0: there is nothing left to check
        # factors and sums of the running matrix instruction
        ("matrix_a", "f8", (16, 128)),
        ("matrix_b", "f8", (128, 8)),
        ("matrix_c", "f8", (16, 8)),
        ("group_b", "f8", (64, 256)),
        ("group_c", "f8", (16, 256)),
        # the running bulk copy: its first record, and per dimension of a tile, 0 the contiguous one
        ("copied", "i8"),
        ("copy_start", "i8", (5,)),  # first step inside the tensor
        ("copy_steps", "i8", (5,)),  # steps inside the tensor
        ("copy_box", "i8", (5,)),  # steps of the tile
        ("copy_pitch", "i8", (5,)),  # bytes of a step
        ("pauses", "i4"),  # 1: the running warp waits for others, the next one gets its turn
        ("barrier_arrived", "i4", (BLOCK_BARRIERS,)),  # threads that arrived without waiting
        ("barrier_threads", "i4", (BLOCK_BARRIERS,)),  # expected; 0 = all
        ("barrier_votes", "i4", (BLOCK_BARRIERS,)),
        ("barrier_voters", "i4", (BLOCK_BARRIERS,)),
        ("barrier_variant", "i4", (BLOCK_BARRIERS,)),
        ("bank_start", "i8", (CONSTANT_BANKS,)),  # words
        ("bank_bytes", "i8", (CONSTANT_BANKS,)),
        ("executed", "i8"),  # warp instructions of the launch
        ("budget", "i8"),
        ("pause_at", "i8"),
        # chunk
        ("chunk_blocks", "i4"),  # finished
        ("chunk_target", "i8"),  # instructions after which a chunk ends at the next block boundary
        ("chunk_block_limit", "i4"),
        ("logged", "i8"),
        ("accesses", "i8"),
        ("addresses", "i8"),
        # error
        ("error_pc", "i4"),
        ("error_warp", "i4"),
        ("error_lane", "i4"),
        ("error_address", "i8"),
    ],
    align=True,
)
# A block that waits while another one of its team runs: fields of MACHINE.
BLOCK = np.dtype(
    [
        ("block_index", "i4", (3,)),
        ("rank", "i4"),
        ("linear", "i8"),
        ("barrier_arrived", "i4", (BLOCK_BARRIERS,)),
        ("barrier_threads", "i4", (BLOCK_BARRIERS,)),
        ("barrier_votes", "i4", (BLOCK_BARRIERS,)),
        ("barrier_voters", "i4", (BLOCK_BARRIERS,)),
        ("barrier_variant", "i4", (BLOCK_BARRIERS,)),
    ],
    align=True,
)
ALLOCATION = np.dtype([("start", "i8"), ("end", "i8"), ("writable", "i8")], align=True)
LOG = np.dtype([("instruction", "i4"), ("mask", "u4"), ("access", "i4"), ("slot", "i4")], align=True)
