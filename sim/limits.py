"""Which configurations fit into the records of `sim.state`."""

from __future__ import annotations

from configs.schema import Config
from isa.errors import SubcoreError
from sim.state import (
    BANKS,
    FIXED_CONSTANT_LINES,
    INSTRUCTION_BUFFER,
    L0_LINES,
    L1_LINES,
    L1_SETS,
    L1I_LINES,
    MAX_BLOCKS,
    MEMORY_QUEUE,
    PENDING_REQUESTS,
    STREAM_LINES,
    VARIABLE_CONSTANT_LINES,
)

_LIMITS = (
    ("sm.max_blocks", MAX_BLOCKS),
    ("fetch.instruction_buffer_entries", INSTRUCTION_BUFFER),
    ("fetch.stream_buffer_lines", STREAM_LINES),
    ("registers.banks", BANKS),
    ("memory_unit.subcore_entries", MEMORY_QUEUE),
    ("memory_unit.pending_requests", PENDING_REQUESTS - 1),
)


def check_limits(config: Config) -> None:
    """Refuse a configuration whose structures do not fit the state records; names every knob at once."""
    problems = []
    for name, limit in _LIMITS:
        section, knob = name.split(".")
        value = getattr(getattr(config, section), knob)
        if value > limit:
            problems.append(f"{name} = {value}: at most {limit}")
    for name, value, limit in (
        ("fetch.l0_bytes / fetch.line_bytes", config.fetch.l0_bytes // config.fetch.line_bytes, L0_LINES),
        ("fetch.l1_bytes / fetch.line_bytes", config.fetch.l1_bytes // config.fetch.line_bytes, L1I_LINES),
        ("l1d.total_bytes / l1d.line_bytes", config.l1d.total_bytes // config.l1d.line_bytes, L1_LINES),
        (
            "l1d.total_bytes / l1d.line_bytes / l1d.ways",
            config.l1d.total_bytes // config.l1d.line_bytes // config.l1d.ways,
            L1_SETS,
        ),
        (
            "constant.fixed_latency_bytes / constant.line_bytes",
            config.constant.fixed_latency_bytes // config.constant.line_bytes,
            FIXED_CONSTANT_LINES,
        ),
        (
            "constant.variable_bytes / constant.line_bytes",
            config.constant.variable_bytes // config.constant.line_bytes,
            VARIABLE_CONSTANT_LINES,
        ),
    ):
        if value > limit:
            problems.append(f"{name} = {value}: at most {limit}")
    if problems:
        raise SubcoreError("configuration is larger than the simulator's records:\n  " + "\n  ".join(problems))
