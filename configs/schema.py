"""Every knob of the simulated machine: unit, bounds, meaning. Values and their sources live in the TOML files.

One frozen dataclass per section; `Config` holds them all. Fields have no default: a value without a source cannot
exist. A knob is an int, float, bool, str, a choice (str, spelled as a member of an IntEnum) or a tuple of ints.
`configs.record` lowers a `Config` to one numpy record for the timing kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from configs.knob import BYTES, COMMAND_CLOCKS, CYCLES, Knob, access_table, count, knob, operation


class IssuePolicy(IntEnum):
    """Order in which a sub-core's scheduler considers its warps."""

    CGGTY = 0  # compiler-guided greedy, then youngest
    GTO = 1  # greedy, then oldest
    LRR = 2  # loose round robin
    OLDEST = 3  # oldest first


class Dependence(IntEnum):
    """What keeps dependent instructions apart."""

    auto = 0  # control bits if the program has them, else scoreboard
    control_bits = 1
    scoreboard = 2


class SliceHash(IntEnum):
    """How a sector address selects an L2 slice."""

    ipoly = 0
    modulo = 1


class DramKind(IntEnum):
    """DRAM family; the timing numbers are knobs of their own."""

    GDDR6 = 0
    GDDR6X = 1
    GDDR7 = 2
    HBM2 = 3
    HBM2e = 4
    HBM3 = 5
    HBM3e = 6


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The chip."""

    name: str = knob("board name, free text")
    architecture: int = count("compute capability times ten, 86 for sm_86", lo=70, hi=129)
    sms: int = count("streaming multiprocessors that are switched on", hi=1024)
    sms_per_tpc: int = count("SMs that share one texture processing cluster", hi=4)
    tpcs_per_gpc: int = count("TPCs of one graphics processing cluster (largest)", hi=32)
    core_clock_mhz: float = count("clock in which all cycles are counted; L2 and interconnect run at it too", "MHz")
    memory_clock_mhz: float = count("memory clock as the driver reports it: half of the data rate per pin", "MHz")


@dataclass(frozen=True, kw_only=True)
class Sm:
    """Resources of one SM that limit how many thread blocks are resident."""

    subcores: int = count("sub-cores (processing blocks); warp w belongs to sub-core w mod subcores", lo=4, hi=4)
    max_warps: int = count("resident warps", hi=64)
    max_blocks: int = count("resident thread blocks", hi=32)
    max_threads: int = count("resident threads", hi=2048)
    registers: int = count("32-bit registers", hi=1 << 20)
    register_allocation_unit: int = count("registers are given to a warp in multiples of this", power_of_two=True)
    warp_allocation_granularity: int = count(
        "warps of a block are rounded up to this many when registers are shared out"
    )
    max_shared_bytes: int = count("shared memory of all resident blocks", BYTES)
    max_shared_bytes_per_block: int = count("largest shared memory of one block (opt-in limit)", BYTES)
    shared_allocation_unit_bytes: int = count("shared memory is given in multiples of this", BYTES, power_of_two=True)
    shared_reserved_bytes_per_block: int = knob("shared memory that the system keeps per block", BYTES)


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Instruction supply: instruction buffers, L0 per sub-core, stream buffer, L1 per SM."""

    instruction_buffer_entries: int = count("decoded instructions held per warp", hi=16)
    decode_cycles: int = count("fetch request -> decoded on an L0 hit; issuable one cycle later", CYCLES, hi=64)
    l0_bytes: int = count("L0 instruction cache of a sub-core", BYTES)
    l0_ways: int = count("associativity of the L0")
    line_bytes: int = count("line of L0 and L1 instruction caches", BYTES, power_of_two=True)
    l0_mshrs: int = count("outstanding lines of one L0", hi=256)
    l1_bytes: int = count("instruction cache of the SM, behind the four L0", BYTES)
    l1_ways: int = count("associativity of the L1 instruction cache")
    l1_line_bytes: int = count("line of the L1 instruction cache, fetched whole from the L2", BYTES, power_of_two=True)
    l1_fill_cycles: int = count("a line from the L2 occupies the L1 instruction cache", CYCLES, hi=256)
    l0_to_l1_cycles: int = knob("L0 -> L1, one way", CYCLES)
    l1_to_l0_cycles: int = knob("L1 -> L0, one way", CYCLES)
    l1_access_cycles: int = knob("tag and data access of the L1", CYCLES)
    l1_mshrs: int = count("outstanding lines of the L1", hi=256)
    stream_buffer_lines: int = knob("lines of the instruction stream buffer of a sub-core; 0 = no prefetch", hi=64)
    prefetches_per_cycle: int = count("prefetch requests a stream buffer may send", "per cycle", hi=8)
    perfect: bool = knob("every instruction fetch hits in the L0")
    branch_redirect_cycles: int = knob("extra after a taken branch, besides refilling the buffer", CYCLES, hi=256)
    backward_branch_redirect_cycles: int = knob("extra after a taken branch to a lower address", CYCLES, hi=256)


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Warp scheduler of a sub-core."""

    policy: str = knob("order in which warps are considered", choices=IssuePolicy)
    dependence: str = knob("what keeps dependent instructions apart", choices=Dependence)
    scoreboard_consumers: int = knob("readers counted per register in scoreboard mode; 0 = no limit", hi=1 << 16)
    stall0_yield_cycles: int = knob("a warp is blocked this long after stall 0 with yield", CYCLES)
    constant_miss_hold_cycles: int = knob(
        "the scheduler waits this long for a constant miss of its greedy warp", CYCLES
    )
    imad_wide_port_busy_cycles: int = knob("issue port stays busy this long after an IMAD.WIDE", CYCLES)


@dataclass(frozen=True, kw_only=True)
class Registers:
    """Register file of a sub-core, with its operand reuse cache and result queue."""

    banks: int = count("banks; register r lies in bank r mod banks", hi=8, power_of_two=True)
    read_ports: int = count("1024-bit read ports per bank", hi=8)
    write_ports: int = count("1024-bit write ports per bank", hi=8)
    read_window_cycles: int = count("cycles in which a fixed-latency instruction reads its operands", CYCLES, hi=16)
    reuse_cache: bool = knob("register-file cache, driven by the reuse bits")
    ideal: bool = knob("no port limits at all")
    result_queue_entries: int = count("results of fixed-latency instructions that wait for the write port", hi=64)


@dataclass(frozen=True, kw_only=True)
class Execute:
    """Execution units of a sub-core. An interval is the time one warp instruction occupies its unit.

    Fixed latencies come from `isa.latency`; the latencies here are those of classes that signal a dependence counter.
    """

    fma_interval_cycles: int = count("FP32 and IMAD pipe", CYCLES, hi=64)
    alu_interval_cycles: int = count("integer, logic and move pipe", CYCLES, hi=64)
    fp16_interval_cycles: int = count("packed half-precision operations", CYCLES, hi=64)
    fp32_on_alu: bool = knob("FP32 adds and multiplies have a second pipe: one per cycle in all")
    pipes_alternate: bool = knob("instructions with a choice of pipes take them in turn; else the first that is free")
    unified_integer: bool = knob("integer operations run on both pipes (Blackwell)")
    fp64_interval_cycles: int = count("FP64 unit", CYCLES, hi=256)
    fp64_latency_cycles: int = count("FP64 result", CYCLES, hi=256)
    fp64_shared: bool = knob("one FP64 unit for the whole SM")
    sfu_interval_cycles: int = count("MUFU", CYCLES, hi=256)
    sfu_latency_cycles: int = count("MUFU result", CYCLES, hi=256)
    conversion_interval_cycles: int = count("conversions, POPC, FLO, BREV", CYCLES, hi=256)
    conversion_latency_cycles: int = count("result of conversions, POPC, FLO, BREV", CYCLES, hi=256)
    uniform_interval_cycles: int = count("uniform datapath", CYCLES, hi=64)
    uniform_latency_cycles: int = count("variable-latency writers of uniform registers: R2UR, S2UR", CYCLES, hi=256)
    branch_interval_cycles: int = count("branch unit", CYCLES, hi=64)
    texture_interval_cycles: int = count("texture instructions", CYCLES, hi=256)
    texture_latency_cycles: int = count("texture result (texture addresses are not modelled)", CYCLES, hi=4096)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Tensor core of a sub-core. A factor is the rate relative to 16-bit inputs of the same shape family."""

    macs_per_cycle: int = count("dense multiply-accumulates, 16-bit inputs and accumulator", "per cycle per sub-core")
    f32_accumulate_factor: int = count("1 = full rate with FP32 accumulators, 2 = half rate (GeForce)", hi=4)
    block_scaled_accumulate_factor: int = count("the same for block-scaled FP8 and FP4 (QMMA.SF, OMMA.SF)", hi=4)
    operand_step_cycles: int = count(
        "mma.sync reads four operand registers in this time (accumulators count as 32-bit ones), and the next waits",
        CYCLES,
        hi=4,
    )
    tf32_factor: float = knob("TF32 rate")
    fp8_factor: float = knob("FP8 rate; 0 = not supported")
    fp4_factor: float = knob("rate of block-scaled FP4 (OMMA); 0 = not supported")
    int8_factor: float = knob("INT8 rate; 0 = not supported")
    int4_factor: float = knob("INT4 rate; 0 = not supported")
    binary_factor: float = knob("1-bit rate; 0 = not supported")
    sparse_factor: float = knob("rate of 2:4 sparse forms; 0 = not supported")
    sparse_k_bits: int = count("K of a sparse form is worked through in steps of so many bits", power_of_two=True)
    f64_interval_cycles: int = count("DMMA.884", CYCLES, hi=256)
    hmma_latency_cycles: int = count("HMMA result where it is signalled by a counter or scoreboard", CYCLES, hi=256)
    imma_latency_cycles: int = count("IMMA result, likewise", CYCLES, hi=256)
    f32_chain_cycles: int = knob(
        "HMMA, QMMA with FP32 accumulators: issue -> issue of the next one on the same accumulator, if more than the "
        "compiler's distance",
        CYCLES,
        hi=256,
    )
    imma_chain_cycles: int = knob("IMMA, likewise", CYCLES, hi=256)
    dmma_latency_cycles: int = count("DMMA result, likewise", CYCLES, hi=256)
    warpgroup_least_interval_cycles: int = count("wgmma, however small", CYCLES, hi=256)
    warpgroup_wait_cycles: int = knob("end of the last wgmma of a group -> its wait ends", CYCLES, hi=256)
    movm_interval_cycles: int = count("MOVM", CYCLES, hi=64)
    movm_latency_cycles: int = count("MOVM result", CYCLES, hi=256)


@dataclass(frozen=True, kw_only=True)
class MemoryUnit:
    """Memory pipeline: the unit of each sub-core and the part shared by the SM.

    Tables give the distance from the issue of an access to the earliest issue of a dependent instruction, when the
    access hits and nothing else competes (MICRO 2025, Table 2).
    """

    subcore_entries: int = count("memory instructions a sub-core holds between issue and the shared part", hi=64)
    address_cycles: int = count("address calculation: one instruction per this many cycles", CYCLES, hi=64)
    uniform_address_cycles: int = count("the same when the address is uniform", CYCLES, hi=64)
    accept_interval_cycles: int = count("the shared part takes one instruction per this many cycles", CYCLES, hi=64)
    pending_requests: int = count("instructions in flight in the shared part (pending request table)", hi=1024)
    leave_cycles: int = count("issue -> earliest leave of the sub-core unit", CYCLES, hi=256)
    writeback_bytes_per_cycle: int = count("results, shared part -> registers of a sub-core", "bytes per cycle")
    global_load_uniform: tuple[int, ...] = access_table("LDG, uniform address")
    global_load: tuple[int, ...] = access_table("LDG")
    global_store_uniform: tuple[int, ...] = access_table("STG, uniform address")
    global_store: tuple[int, ...] = access_table("STG")
    shared_load_uniform: tuple[int, ...] = access_table("LDS, uniform address")
    shared_load: tuple[int, ...] = access_table("LDS")
    shared_store_uniform: tuple[int, ...] = access_table("STS, uniform address")
    shared_store: tuple[int, ...] = access_table("STS")
    constant_load_immediate: tuple[int, ...] = access_table("LDC, immediate address")
    constant_load: tuple[int, ...] = access_table("LDC, register address")
    async_copy: tuple[int, ...] = access_table("LDGSTS")
    shuffle: tuple[int, ...] = operation("SHFL")
    special_register: tuple[int, ...] = operation("S2R")
    matrix_load: tuple[int, ...] = operation("LDSM of one matrix")
    matrix_load_further_cycles: int = knob("LDSM result: more for each further matrix", CYCLES, hi=64)
    matrix_store: tuple[int, ...] = operation("STSM of one matrix")
    match: tuple[int, ...] = operation("MATCH")
    vote: tuple[int, ...] = operation("REDUX and other warp-wide reductions")
    other: tuple[int, ...] = operation("CCTL, QSPC and the rest")
    global_atomic_extra_cycles: int = knob("round trip of an atomic at an idle L2, beyond that of a load", CYCLES)
    shared_atomic: tuple[int, ...] = knob(
        "ATOMS: WAR, latency, then cycles per further lane on the same word", CYCLES, length=3, hi=4096
    )
    address_32_saving_cycles: int = knob(
        "WAR and RAW are this much less when the address is 32 bits wide", CYCLES, hi=16
    )


@dataclass(frozen=True, kw_only=True)
class SharedMemory:
    """Shared-memory data array of an SM."""

    banks: int = count("banks", hi=64, power_of_two=True)
    bytes_per_cycle: int = count("most data moved per cycle", "bytes per cycle", power_of_two=True)
    atomic_cycles_per_lane: int = count("unit time per further lane on the same word", CYCLES, hi=256)


@dataclass(frozen=True, kw_only=True)
class L1d:
    """L1 data cache, in one array with shared memory."""

    total_bytes: int = count("L1 and shared memory together", BYTES)
    shared_carveouts_bytes: tuple[int, ...] = knob("sizes the shared part may have, ascending", BYTES, max_length=16)
    reserved_bytes: int = knob("part of the array that is neither L1 nor shared memory", BYTES)
    ways: int = count("lines of a set; the sets follow from the share that is left for the L1", hi=2048)
    line_bytes: int = count("line (one tag)", BYTES, power_of_two=True)
    sector_bytes: int = count("sector (unit of fill)", BYTES, power_of_two=True)
    mshrs: int = count("outstanding sectors", lo=4, hi=4096)
    mshr_merges: int = count("instructions that may wait for one line", hi=4096)
    tags_per_cycle: int = count("tag banks, each looks up one line per cycle", hi=32, power_of_two=True)
    bytes_per_cycle: int = count("hit data", "bytes per cycle", power_of_two=True)
    write_allocate: bool = knob("a store that misses allocates its line")
    outstanding_writes: int = count("stores not yet acknowledged by the L2", hi=1 << 16)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Constant caches: for operands of fixed-latency instructions, for LDC, and the level behind both."""

    fixed_latency_bytes: int = count("cache of c[][] operands, per sub-core", BYTES)
    fixed_latency_ways: int = count("its associativity")
    variable_bytes: int = count("cache of LDC, per SM", BYTES)
    variable_ways: int = count("its associativity")
    line_bytes: int = count("line of both", BYTES, power_of_two=True)
    l1_bytes: int = count("L1.5 constant cache (may be one array with the L1 instruction cache)", BYTES)


@dataclass(frozen=True, kw_only=True)
class Interconnect:
    """SM <-> L2. Its one-way latency is the quantum in which SMs run independently."""

    request_cycles: int = count("SM -> L2 slice, one way, idle", CYCLES, hi=4096)
    reply_cycles: int = count("L2 slice -> SM, one way, idle", CYCLES, hi=4096)
    sm_request_bytes_per_cycle: int = count("SM port, towards the L2", "bytes per cycle")
    sm_reply_bytes_per_cycle: int = count("SM port, from the L2", "bytes per cycle")
    gpc_bytes_per_cycle: int = count("port of a GPC, each direction", "bytes per cycle")
    slice_request_bytes_per_cycle: int = count("L2 slice port, incoming", "bytes per cycle")
    slice_reply_bytes_per_cycle: int = count("L2 slice port, outgoing", "bytes per cycle")
    distance_cycles: int = knob("round trip of a GPC to its farthest slice, beyond its nearest", CYCLES, hi=4096)
    request_header_bytes: int = knob("read request; writes and atomics carry it beside their data", BYTES)
    reply_header_bytes: int = knob("reply without data (write acknowledge); others carry it beside their data", BYTES)


@dataclass(frozen=True, kw_only=True)
class L2:
    """L2 cache: slices, possibly in two partitions."""

    slices: int = count("slices in the chip", hi=1024)
    bytes: int = count("capacity of the chip", BYTES)
    ways: int = count("associativity", hi=64)
    line_bytes: int = count("line (one tag)", BYTES, power_of_two=True)
    sector_bytes: int = count("sector (unit of fill)", BYTES, power_of_two=True)
    access_cycles: int = count("slice input -> slice output on a hit", CYCLES)
    partitions: int = count("partitions with a longer path between them", hi=4)
    far_partition_cycles: int = knob("extra round trip to the other partition", CYCLES)
    partition_link_bytes_per_cycle: int = count("link into a partition, from all others", "bytes per cycle")
    mshrs: int = count("outstanding sectors per slice", hi=4096)
    hash: str = knob("how an address selects its slice", choices=SliceHash)
    atomic_cycles: float = knob(
        "unit time of a slice per atomic operation: one sector, or one more lane on the same word", CYCLES, hi=256
    )
    coalescing_cycles: int = knob("a read so long after the reply to another SM shares it", CYCLES, hi=4096)
    warm: bool = knob("code, constants and parameters are in the L2 when the kernel starts")
    filled_by_host_copies: bool = knob("data that the host copied before the kernel are in the L2, the last ones")
    host_copies_dirty: bool = knob("copied data in the L2 have yet to be written to DRAM")


@dataclass(frozen=True, kw_only=True)
class Tlb:
    """Address translation between the SMs and the L2."""

    page_bytes: int = count("page", BYTES, power_of_two=True, lo=4096)
    tpc_entries: int = count("pages in the TLB of a TPC, fully associative", hi=4096)
    miss_cycles: int = knob("added by a miss there that hits in the TLB of the GPC", CYCLES, hi=4096)
    gpc_entries: int = count("pages in the TLB of a GPC", hi=1 << 16)
    gpc_ways: int = count("its associativity", hi=256)
    walk_cycles: int = knob("added by a page walk", CYCLES, hi=1 << 16)
    warm: bool = knob("pages are in the TLB of the GPC before their first use, as far as they fit")


@dataclass(frozen=True, kw_only=True)
class Dram:
    """DRAM channels (pseudo channels for HBM) and their timing."""

    kind: str = knob("family", choices=DramKind)
    channels: int = count("independent channels", hi=1024)
    banks: int = count("banks per channel", hi=256, power_of_two=True)
    bank_groups: int = count("bank groups per channel", power_of_two=True)
    bus_bytes: int = count("data width of a channel", BYTES, power_of_two=True)
    burst_length: int = count("data beats per access", power_of_two=True)
    clock_mhz: float = count("command clock", "MHz")
    transfers_per_clock: int = count("data beats per command clock and pin", hi=32)
    access_cycles: int = knob(
        "core cycles outside the DRAM device: L2 miss handling, controller, physical layer", CYCLES
    )
    writes_begin_percent: int = count("fill of the write queue at which writes go before reads", "%", hi=100)
    writes_end_percent: int = knob("fill at which they no longer do", "%", hi=100)
    write_batch: int = count("writes that go before reads once they began, if so many are there", hi=4096)
    queue_entries: int = count("requests a channel can reorder", hi=4096)
    tCL: int = count("read command -> data", COMMAND_CLOCKS)
    tRCD: int = count("activate -> read or write", COMMAND_CLOCKS)
    tRP: int = count("precharge -> activate", COMMAND_CLOCKS)
    tRAS: int = count("activate -> precharge", COMMAND_CLOCKS)
    tRC: int = count("activate -> activate, same bank", COMMAND_CLOCKS)
    tCCD_S: int = count("column command -> column command, other bank group", COMMAND_CLOCKS)
    tCCD_L: int = count("column command -> column command, same bank group", COMMAND_CLOCKS)
    tRRD: int = count("activate -> activate, other bank", COMMAND_CLOCKS)
    tWR: int = count("end of write data -> precharge", COMMAND_CLOCKS)
    tRTW: int = count("end of read data -> write data", COMMAND_CLOCKS)
    tWTR: int = count("end of write data -> read command", COMMAND_CLOCKS)
    tRTP: int = count("read -> precharge", COMMAND_CLOCKS)
    tWL: int = count("write command -> data", COMMAND_CLOCKS)
    tREFI: int = count("refresh -> refresh of the same bank", COMMAND_CLOCKS)
    tRFC: int = count("refresh -> next command to its banks", COMMAND_CLOCKS)
    refresh_banks: int = count("banks that one refresh closes", hi=256, power_of_two=True)
    row_bytes: int = count("row (page) of a bank", BYTES, power_of_two=True)


@dataclass(frozen=True, kw_only=True)
class BulkCopy:
    """mbarriers and the engine for bulk copies (TMA) of an SM, compute capability 9.0 and later."""

    mbarrier: tuple[int, ...] = operation("SYNCS; of a wait, from the end of its phase")
    instruction: tuple[int, ...] = operation("UBLKCP, UTMALDG ..., as far as its warp is concerned")
    start_cycles: int = knob("a copy reaches the engine -> its first request", CYCLES, hi=4096)
    map_dimension_cycles: int = knob("more for each dimension of a tensor map", CYCLES, hi=4096)
    sectors_per_cycle: int = count("asked for; a request holds those of one line in one row", "per cycle", hi=4)
    sectors_in_flight: int = count("requested and not answered", hi=1 << 20)
    complete_cycles: int = knob("last data at the SM -> bytes complete at the mbarrier", CYCLES, hi=4096)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Network between the SMs of a GPC, compute capability 9.0 and later."""

    distance_cycles: tuple[int, ...] = knob(
        "SM -> hub of its GPC, one way, by position in the GPC; the last one holds for all further SMs",
        CYCLES,
        lo=1,
        max_length=32,
    )
    bytes_per_cycle: int = count("port of an SM towards other TPCs", "bytes per cycle")
    accesses_in_flight: int = count("loads and stores of an SM to others that are not answered", hi=512)
    max_blocks: int = count("thread blocks of a cluster", hi=16)


@dataclass(frozen=True, kw_only=True)
class Barrier:
    """Thread-block barriers and memory barriers."""

    sync_release_cycles: int = knob("last arrival -> first waiting warp may issue", CYCLES)
    sync_issue_cycles: int = count("one BAR per this many cycles in the SM", CYCLES, hi=256)
    membar_block_cycles: int = knob("MEMBAR, block scope, nothing outstanding", CYCLES)
    membar_gpu_cycles: int = knob("MEMBAR, GPU scope, nothing outstanding", CYCLES)
    membar_sys_cycles: int = knob("MEMBAR, system scope, nothing outstanding", CYCLES)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Cost of a kernel outside its instructions."""

    kernel_cycles: int = knob("start of the kernel -> first block leaves the dispatcher", CYCLES)
    drain_cycles: int = knob("last block completes -> end of the kernel", CYCLES)
    block_interval_cycles: float = knob("the chip starts one block per this many cycles", CYCLES)
    first_blocks_per_sm: int = knob("blocks of an SM, when the kernel starts, that follow at the interval below")
    first_block_interval_cycles: float = knob("as block_interval_cycles, for these blocks", CYCLES)
    warp_interval_cycles: float = knob("an SM starts one warp per this many cycles", CYCLES)
    block_start_cycles: int = knob("block reaches the SM -> first fetch", CYCLES)
    block_slot_cycles: int = knob("a block keeps its slot from its first warp's start on for at least this", CYCLES)
    warp_slot_cycles: float = knob("and this for each of its warps: both run beside the warps", CYCLES)
    dispatch_latency_cycles: int = count("block completes -> its replacement may start", CYCLES)
    queued_blocks_per_sm: int = knob("blocks per SM that wait at the SMs for the first ones on the chip to complete")
    queued_block_latency_cycles: int = knob("as dispatch_latency_cycles, for these blocks", CYCLES)
    preloaded_code_bytes: int = knob(
        "of the code's start, in every L1.5 with its constants when the kernel starts", BYTES
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole machine. `sources` maps "section.knob" to where the value comes from; it takes no part in equality."""

    gpu: Gpu
    sm: Sm
    fetch: Fetch
    issue: Issue
    registers: Registers
    execute: Execute
    tensor: Tensor
    memory_unit: MemoryUnit
    shared_memory: SharedMemory
    l1d: L1d
    constant: Constant
    interconnect: Interconnect
    l2: L2
    tlb: Tlb
    dram: Dram
    bulk_copy: BulkCopy
    cluster: Cluster
    barrier: Barrier
    launch: Launch
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Peak of all channels, per core cycle."""
        d = self.dram
        return d.channels * d.bus_bytes * d.transfers_per_clock * d.clock_mhz / self.gpu.core_clock_mhz


SECTIONS: Mapping[str, type] = {f.name: globals()[str(f.type)] for f in dataclasses.fields(Config) if f.compare}


def section_knobs(section: str) -> dict[str, tuple[str, Knob]]:
    """Knob name -> (type as written, limits), in declaration order."""
    return {f.name: (str(f.type), f.metadata["knob"]) for f in dataclasses.fields(SECTIONS[section])}


def all_knobs() -> Iterator[tuple[str, str, str, Knob]]:
    """(section, name, type, limits) of every knob, in declaration order."""
    for section in SECTIONS:
        for name, (kind, limits) in section_knobs(section).items():
            yield section, name, kind, limits
