"""The closed lists of what the simulator counts: stall reasons and counters.

Names follow Nsight Compute where the quantity is the same. To add a counter: one row in `COUNTERS`, one member of
`Counter`, and the increment in the stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Stall(IntEnum):
    """Why a sub-core did or did not issue in a cycle. Every sub-core cycle is charged to exactly one member.

    When several warps are blocked for different reasons the cycle is charged to the reason nearest to issue, i.e. the
    lowest value.
    """

    ISSUED = 0
    DISPATCH_STALL = 1  # the allocate stage waits for register read ports; nothing can follow
    MIO_THROTTLE = 2  # a memory or SFU instruction waits in control for a full unit queue; nothing can follow
    MATH_PIPE_THROTTLE = 3  # a warp is ready but its execution unit is still taking the previous instruction
    IMC_MISS = 4  # a warp is ready but its constant operand missed
    WAIT = 5  # fixed-latency stall count
    SHORT_SCOREBOARD = 6  # waits for a shared-memory, SFU or other short variable-latency result
    LONG_SCOREBOARD = 7  # waits for a global, local or texture access
    BARRIER = 8
    MEMBAR = 9
    NO_INSTRUCTION = 10  # instruction buffer empty: fetch, instruction cache or branch refill
    DRAIN = 11  # the warp has exited and its memory accesses are still under way
    NO_WARP = 12  # no warp on the sub-core


# Columns of the account per instruction: sub-core cycles by reason, then what its executions did.
ACTIVE_LANES = len(Stall)
SECTORS = ACTIVE_LANES + 1  # L1 sectors looked up, written or sent on
SECTOR_HITS = SECTORS + 1  # of loads
LINES = SECTOR_HITS + 1  # L1 tag look-ups
PASSES = LINES + 1  # of the data path of L1 and shared memory
CONFLICTS = PASSES + 1  # passes beyond the conflict-free minimum
PROFILE_COLUMNS = CONFLICTS + 1


STALL_TEXT = {
    Stall.ISSUED: "an instruction issued",
    Stall.DISPATCH_STALL: "register read ports are taken",
    Stall.MIO_THROTTLE: "memory or SFU queue of the sub-core is full",
    Stall.MATH_PIPE_THROTTLE: "execution unit is busy",
    Stall.IMC_MISS: "constant cache miss",
    Stall.WAIT: "fixed-latency stall count",
    Stall.SHORT_SCOREBOARD: "result of a shared-memory, SFU or similar instruction",
    Stall.LONG_SCOREBOARD: "result of a global, local or texture access",
    Stall.BARRIER: "block barrier",
    Stall.MEMBAR: "memory barrier",
    Stall.NO_INSTRUCTION: "instruction buffer empty",
    Stall.DRAIN: "exited, memory accesses outstanding",
    Stall.NO_WARP: "no warp on the sub-core",
}


@dataclass(frozen=True)
class CounterInfo:
    name: str
    unit: str
    text: str


class Counter(IntEnum):
    """Index of a counter in the `counter` array of an SM record."""

    WARP_INSTRUCTIONS = 0
    THREAD_INSTRUCTIONS = 1
    ACTIVE_CYCLES = 2
    WARP_CYCLES = 3
    BLOCKS = 4
    WARPS = 5
    ISSUE_FMA = 6
    ISSUE_ALU = 7
    ISSUE_FP16 = 8
    ISSUE_FP64 = 9
    ISSUE_SFU = 10
    ISSUE_TENSOR = 11
    ISSUE_UNIFORM = 12
    ISSUE_BRANCH = 13
    ISSUE_MEMORY = 14
    ISSUE_OTHER = 15
    BRANCHES_TAKEN = 16
    L0_REQUESTS = 17
    L0_MISSES = 18
    PREFETCHES = 19
    L1I_REQUESTS = 20
    L1I_MISSES = 21
    CONSTANT_REQUESTS = 22
    CONSTANT_MISSES = 23
    REGISTER_READS = 24
    REUSE_HITS = 25
    PORT_STALL_CYCLES = 26
    WRITE_CONFLICTS = 27
    GLOBAL_INSTRUCTIONS = 28
    SHARED_INSTRUCTIONS = 29
    L1_SECTORS = 30
    L1_SECTOR_HITS = 31
    L1_TAGS = 32
    L1_STALL_CYCLES = 33
    L1_STORE_SECTORS = 34
    L1_ATOMIC_SECTORS = 35
    SHARED_WAVEFRONTS = 36
    SHARED_CONFLICTS = 37
    GRANT_WAIT_CYCLES = 38
    BARRIERS = 39
    REQUESTS_SENT = 40
    REPLIES_RECEIVED = 41
    BULK_COPIES = 42
    COPY_SECTORS = 43


COUNTERS: dict[Counter, CounterInfo] = {
    Counter.WARP_INSTRUCTIONS: CounterInfo("smsp__inst_executed.sum", "inst", "warp instructions issued"),
    Counter.THREAD_INSTRUCTIONS: CounterInfo("smsp__thread_inst_executed.sum", "inst", "thread instructions executed"),
    Counter.ACTIVE_CYCLES: CounterInfo("sm__cycles_active.sum", "cycle", "SM cycles with at least one resident warp"),
    Counter.WARP_CYCLES: CounterInfo("sm__warps_active.sum", "warp*cycle", "resident warps summed over cycles"),
    Counter.BLOCKS: CounterInfo("sm__ctas_launched.sum", "block", "thread blocks started"),
    Counter.WARPS: CounterInfo("sm__warps_launched.sum", "warp", "warps started"),
    Counter.ISSUE_FMA: CounterInfo("sm__inst_executed_pipe_fma.sum", "inst", "issued to the FMA unit"),
    Counter.ISSUE_ALU: CounterInfo("sm__inst_executed_pipe_alu.sum", "inst", "issued to the ALU"),
    Counter.ISSUE_FP16: CounterInfo("sm__inst_executed_pipe_fp16.sum", "inst", "issued to the FP16 unit"),
    Counter.ISSUE_FP64: CounterInfo("sm__inst_executed_pipe_fp64.sum", "inst", "issued to the FP64 unit"),
    Counter.ISSUE_SFU: CounterInfo("sm__inst_executed_pipe_xu.sum", "inst", "issued to the SFU (XU)"),
    Counter.ISSUE_TENSOR: CounterInfo("sm__inst_executed_pipe_tensor.sum", "inst", "issued to the tensor core"),
    Counter.ISSUE_UNIFORM: CounterInfo("sm__inst_executed_pipe_uniform.sum", "inst", "issued to the uniform datapath"),
    Counter.ISSUE_BRANCH: CounterInfo("sm__inst_executed_pipe_cbu.sum", "inst", "issued to the branch unit"),
    Counter.ISSUE_MEMORY: CounterInfo("sm__inst_executed_pipe_lsu.sum", "inst", "issued to the memory unit"),
    Counter.ISSUE_OTHER: CounterInfo("sm__inst_executed_pipe_other.sum", "inst", "NOP, barriers, texture and others"),
    Counter.BRANCHES_TAKEN: CounterInfo("sm__branches_taken.sum", "inst", "instructions that redirected fetch"),
    Counter.L0_REQUESTS: CounterInfo("sm__icc_l0_requests.sum", "request", "L0 instruction cache requests"),
    Counter.L0_MISSES: CounterInfo("sm__icc_l0_misses.sum", "request", "L0 instruction cache misses"),
    Counter.PREFETCHES: CounterInfo("sm__icc_prefetches.sum", "request", "stream-buffer prefetches sent"),
    Counter.L1I_REQUESTS: CounterInfo("sm__icc_requests.sum", "request", "L1 instruction / L1.5 constant requests"),
    Counter.L1I_MISSES: CounterInfo("sm__icc_misses.sum", "request", "L1 instruction / L1.5 constant misses"),
    Counter.CONSTANT_REQUESTS: CounterInfo("idc__requests.sum", "request", "constant cache look-ups"),
    Counter.CONSTANT_MISSES: CounterInfo("idc__requests_lookup_miss.sum", "request", "constant cache misses"),
    Counter.REGISTER_READS: CounterInfo("sm__rf_reads.sum", "read", "1024-bit register-file reads (fixed latency)"),
    Counter.REUSE_HITS: CounterInfo("sm__rf_reuse_hits.sum", "read", "register-file cache hits"),
    Counter.PORT_STALL_CYCLES: CounterInfo("sm__rf_port_stalls.sum", "cycle", "allocate stage waited for read ports"),
    Counter.WRITE_CONFLICTS: CounterInfo("sm__rf_write_conflicts.sum", "write", "results delayed by a write port"),
    Counter.GLOBAL_INSTRUCTIONS: CounterInfo("l1tex__inst_global_local.sum", "inst", "global and local accesses"),
    Counter.SHARED_INSTRUCTIONS: CounterInfo("l1tex__inst_shared.sum", "inst", "shared-memory accesses"),
    Counter.L1_SECTORS: CounterInfo("l1tex__t_sectors_op_ld.sum", "sector", "L1 sectors looked up by loads"),
    Counter.L1_SECTOR_HITS: CounterInfo("l1tex__t_sectors_op_ld_lookup_hit.sum", "sector", "L1 sector hits of loads"),
    Counter.L1_TAGS: CounterInfo("l1tex__t_requests.sum", "line", "L1 tag look-ups (128 B lines)"),
    Counter.L1_STALL_CYCLES: CounterInfo("l1tex__t_stalls.sum", "cycle", "tag stage waited for MSHRs or lines"),
    Counter.L1_STORE_SECTORS: CounterInfo("l1tex__t_sectors_op_st.sum", "sector", "sectors written through"),
    Counter.L1_ATOMIC_SECTORS: CounterInfo(
        "l1tex__t_sectors_op_atom.sum", "sector", "sectors of atomics and reductions"
    ),
    Counter.SHARED_WAVEFRONTS: CounterInfo(
        "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", "wavefront", "shared-memory data passes"
    ),
    Counter.SHARED_CONFLICTS: CounterInfo(
        "l1tex__data_bank_conflicts_pipe_lsu.sum", "wavefront", "passes beyond the conflict-free minimum"
    ),
    Counter.GRANT_WAIT_CYCLES: CounterInfo(
        "sm__mio_grant_wait.sum", "cycle", "sub-core memory queue heads waited for the SM unit"
    ),
    Counter.BARRIERS: CounterInfo("sm__barriers.sum", "barrier", "block barriers completed"),
    Counter.REQUESTS_SENT: CounterInfo("l1tex__m_xbar_requests.sum", "request", "requests sent to the interconnect"),
    Counter.REPLIES_RECEIVED: CounterInfo("l1tex__m_xbar_replies.sum", "reply", "replies received"),
    Counter.BULK_COPIES: CounterInfo("sm__bulk_copies.sum", "copy", "bulk copies started (UBLKCP, UTMALDG ...)"),
    Counter.COPY_SECTORS: CounterInfo("sm__bulk_copy_sectors.sum", "sector", "sectors that bulk copies asked for"),
}
