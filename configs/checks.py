"""What must hold between knobs, beyond the bounds of each."""

from __future__ import annotations

from configs.schema import Config


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def cross_checks(c: Config) -> list[str]:
    """Every relation that `c` breaks, one line each; empty when it can be simulated."""
    sm, f, k, l1, l2, d = c.sm, c.fetch, c.constant, c.l1d, c.l2, c.dram
    problems: list[str] = []

    def need(holds: bool, text: str) -> None:
        if not holds:
            problems.append(text)

    def divides(part: str, part_value: int, whole: str, whole_value: int) -> None:
        need(whole_value % part_value == 0, f"{whole} = {whole_value} must be a multiple of {part} = {part_value}")

    def cache(name: str, size_name: str, size: int, way_bytes: int) -> None:
        sets, rest = divmod(size, way_bytes)
        need(
            rest == 0 and _is_power_of_two(sets),
            f"{size_name} = {size}: {name} needs a power of two of sets, has {size / way_bytes:g} "
            f"(one way of one set is {way_bytes} bytes)",
        )

    divides("gpu.sms_per_tpc", c.gpu.sms_per_tpc, "gpu.sms", c.gpu.sms)
    divides("sm.subcores", sm.subcores, "sm.max_warps", sm.max_warps)
    need(
        sm.max_threads == 32 * sm.max_warps,
        f"sm.max_threads = {sm.max_threads} must be 32 x sm.max_warps = {32 * sm.max_warps}",
    )
    divides("sm.register_allocation_unit", sm.register_allocation_unit, "sm.registers", sm.registers)
    block_bytes = sm.max_shared_bytes_per_block + sm.shared_reserved_bytes_per_block
    need(
        block_bytes <= sm.max_shared_bytes,
        f"sm.max_shared_bytes_per_block + shared_reserved_bytes_per_block = {block_bytes} "
        f"must not exceed sm.max_shared_bytes = {sm.max_shared_bytes}",
    )

    cache("the L0 instruction cache", "fetch.l0_bytes", f.l0_bytes, f.line_bytes * f.l0_ways)
    cache("the L1 instruction cache", "fetch.l1_bytes", f.l1_bytes, f.l1_line_bytes * f.l1_ways)
    cache(
        "the constant cache", "constant.fixed_latency_bytes", k.fixed_latency_bytes, k.line_bytes * k.fixed_latency_ways
    )
    cache("the LDC cache", "constant.variable_bytes", k.variable_bytes, k.line_bytes * k.variable_ways)

    divides("l1d.sector_bytes", l1.sector_bytes, "l1d.line_bytes", l1.line_bytes)
    divides("l2.sector_bytes", l2.sector_bytes, "l2.line_bytes", l2.line_bytes)
    need(
        l1.sector_bytes == l2.sector_bytes and l1.line_bytes == l2.line_bytes,
        f"L1 and L2 must have the same lines and sectors: l1d {l1.line_bytes}/{l1.sector_bytes}, "
        f"l2 {l2.line_bytes}/{l2.sector_bytes} bytes",
    )
    carve_outs = l1.shared_carveouts_bytes
    need(
        list(carve_outs) == sorted(set(carve_outs)),
        f"l1d.shared_carveouts_bytes = {list(carve_outs)} must be ascending without repetition",
    )
    need(
        max(carve_outs) == sm.max_shared_bytes,
        f"l1d.shared_carveouts_bytes: the largest, {max(carve_outs)}, must be sm.max_shared_bytes = "
        f"{sm.max_shared_bytes}",
    )
    need(
        l1.total_bytes - max(carve_outs) - l1.reserved_bytes >= l1.ways * l1.line_bytes,
        f"l1d.shared_carveouts_bytes: {max(carve_outs)} leaves no L1 of l1d.total_bytes = {l1.total_bytes} less "
        f"l1d.reserved_bytes = {l1.reserved_bytes}: one set has ways x line_bytes = {l1.ways * l1.line_bytes}",
    )
    need(
        c.shared_memory.bytes_per_cycle <= 4 * c.shared_memory.banks,
        f"shared_memory.bytes_per_cycle = {c.shared_memory.bytes_per_cycle} exceeds banks x 4 B = "
        f"{4 * c.shared_memory.banks}",
    )

    divides("l2.partitions", l2.partitions, "l2.slices", l2.slices)
    divides("l2.slices", l2.slices, "l2.bytes", l2.bytes)
    divides("dram.channels", d.channels, "l2.slices", l2.slices)
    cache("an L2 slice", "l2.bytes / l2.slices", l2.bytes // l2.slices, l2.line_bytes * l2.ways)
    divides("tlb.gpc_ways", c.tlb.gpc_ways, "tlb.gpc_entries", c.tlb.gpc_entries)
    divides("dram.bank_groups", d.bank_groups, "dram.banks", d.banks)
    divides("dram.bus_bytes x burst_length", d.bus_bytes * d.burst_length, "l2.sector_bytes", l2.sector_bytes)
    need(d.tRC >= d.tRAS + d.tRP, f"dram.tRC = {d.tRC} must be at least tRAS + tRP = {d.tRAS + d.tRP}")
    need(d.tCCD_L >= d.tCCD_S, f"dram.tCCD_L = {d.tCCD_L} must not be below tCCD_S = {d.tCCD_S}")
    need(d.refresh_banks <= d.banks, f"dram.refresh_banks = {d.refresh_banks} must not exceed banks = {d.banks}")
    need(d.tREFI > d.tRFC, f"dram.tREFI = {d.tREFI} must exceed tRFC = {d.tRFC}")
    rate, expected = d.clock_mhz * d.transfers_per_clock, 2 * c.gpu.memory_clock_mhz
    need(
        abs(rate - expected) <= 0.02 * expected,
        f"dram.clock_mhz x transfers_per_clock = {rate:g} MT/s does not fit gpu.memory_clock_mhz = "
        f"{c.gpu.memory_clock_mhz:g} (x 2 = {expected:g} MT/s)",
    )

    quantum = min(c.interconnect.request_cycles, c.interconnect.reply_cycles)
    need(
        c.launch.dispatch_latency_cycles >= quantum,
        f"launch.dispatch_latency_cycles = {c.launch.dispatch_latency_cycles} must be at least the one-way latency of "
        f"the interconnect, {quantum}",
    )
    need(
        not c.launch.queued_blocks_per_sm or c.launch.queued_block_latency_cycles > 0,
        "launch.queued_block_latency_cycles must be at least 1 where blocks are queued",
    )
    return problems
