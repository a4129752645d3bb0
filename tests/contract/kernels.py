"""Small kernels that together pass through every part of the model."""

from __future__ import annotations

from collections.abc import Callable

from tests.probe.harness import GLOBAL_BASE, MemoryTrace, exit_, kernel, line_of_ops, op

WAIT = op("NOP", wait=[0, 1, 2])


def arithmetic(**options) -> MemoryTrace:
    """All fixed-latency pipes, port conflicts, reuse, yield, a loop."""
    ops = [
        op("FFMA", [20], [10, 12, 14], reuse=1),
        op("FFMA", [21], [10, 13, 15], yields=True),
        op("IMAD.WIDE", [22], [10, 11, 12], stall=4),
        op("IADD3", [24], [22, 20, 16], stall=2),
        op("HADD2", [25], [17, 19]),
        op("CS2R", [70], [], stall=2),  # its result and the next one meet at the write port
        op("FADD", [72], [17, 19]),
        op("UIADD3", stall=3),
        op("HMMA.16816.F32", [60], [40, 44, 60], stall=2),
        op("MUFU.RCP", [26], [18], stall=2, write=1, read=2),
        op("DADD", [28], [30, 32], stall=2, write=0),
        op("FADD", [18], [26], wait=[0, 1, 2]),
        op("BRA", stall=5),
        exit_(),
    ]
    return kernel(
        ops, streams=lambda b, w: [*[*range(13)] * (3 + (b + w) % 3), 13], **{"warps": 6, "blocks": 5, **options}
    )


def memory(**options) -> MemoryTrace:
    """Loads, stores, atomics, conflicts, copies with groups, constants; addresses differ per block and warp."""
    at = GLOBAL_BASE
    ops = [
        op("LDG.E", [8], [2], stall=1, write=0, at=(at, 4)),
        op("LDG.E.128", [12], [2], stall=1, write=0, at=(at + 8192, 16)),
        op("LDG.E", [9], [2], stall=2, write=0, read=1, at=(at, 132)),
        op("FFMA", [20], [8, 9, 12], wait=[0, 1], constant_bank=0, constant_offset=352),
        op("STS.64", [], [3, 20], stall=2, read=1, at=(0, 16)),
        op("LDS.128", [24], [3], stall=2, write=2, at=(0, 16)),
        op("ATOMG.E.ADD.STRONG.GPU", [30], [2, 6], stall=2, write=0, at=(at + 64, 0)),
        op("LDGSTS.E.128", [], [4, 2], stall=2, at=((at + 16384, 16), (1024, 16))),
        op("LDGSTS.E.BYPASS.128", [], [4, 2], stall=2, at=((at + 32768, 16), (2048, 16))),
        op("LDGDEPBAR", stall=2, write=3),
        op("LDC.64", [32], [5], stall=2, write=0, at=(96, 0), address_registers=1),
        op("SHFL.IDX", [34], [8, 9], stall=2, write=0),
        op("DEPBAR.LE", stall=4, depbar_counter=3),
        op("ATOMS.ADD", [35], [3, 6], stall=2, write=2, at=(16, 4)),
        op("STG.E.64", [], [2, 24], stall=2, read=1, wait=[2], at=(at + 65536, 8)),
        op("RED.E.ADD.STRONG.GPU", [], [2, 6], stall=2, read=1, at=(at + 128, 0)),
        op("LDG.E", [36], [2], stall=2, write=0, mask=0),
        op("LDSM.16.M88.4", [40], [3], stall=2, write=2, at=(0, 16)),
        op("BAR.SYNC", stall=2, wait=[0, 1, 2]),
        op("LDG.E", [8], [2], stall=2, write=0, at=[at + 4096 * (i % 5) + 8 * i for i in range(32)]),
        op("MEMBAR.SC.GPU", stall=2, wait=[0]),
        op("BRA", stall=5),
        exit_(wait=[0, 1, 2, 3]),
    ]
    return kernel(
        ops,
        streams=lambda b, w: [*[*range(22)] * 2, 22],
        move=lambda block, warp, turn: 512 * (block * 5 + warp) + 131072 * turn,
        **{"warps": 5, "blocks": 4, "shared_bytes": 8192, **options},
    )


def barriers(**options) -> MemoryTrace:
    """Warps of unequal length that meet at barriers; some leave early."""
    ops = [*line_of_ops(5, "FADD"), op("BAR.SYNC", stall=2), op("MUFU.EX2", [8], [9], stall=2, write=0), WAIT, exit_()]
    meeting = [*range(8)]

    def stream(block, warp):
        return [*meeting * (1 if warp == 1 else 3), 8] if warp != 2 else [0, 1, 8]

    return kernel(ops, streams=stream, **{"warps": 7, "blocks": 6, **options})


def long_code(**options) -> MemoryTrace:
    """More code than a stream buffer holds, jumps forward and back, some of it never executed."""
    ops = [*line_of_ops(300, "FADD"), op("BRA", stall=5), exit_()]

    def stream(block, warp):
        return [*range(40), *range(200, 301), *range(80, 120 + warp), 299, 300, 301]

    return kernel(ops, streams=stream, **{"warps": 3, "blocks": 4, **options})


def many_blocks(**options) -> MemoryTrace:
    """More blocks than fit, of different length."""
    ops = [op("LDG.E", [8], [2], stall=2, write=0, at=(GLOBAL_BASE, 4)), WAIT, op("STG.E", [], [2, 8], stall=2,
           read=1, at=(GLOBAL_BASE + (1 << 20), 4)), op("BRA", stall=5), exit_(wait=[1])]  # fmt: skip
    return kernel(
        ops,
        streams=lambda b, w: [*[0, 1, 2, 3] * (1 + b % 4), 4],
        move=lambda block, warp, turn: 128 * (8 * block + warp) + 65536 * turn,
        **{"warps": 8, "blocks": 40, "registers": 128, **options},
    )


def scoreboard(**options) -> MemoryTrace:
    """The memory kernel without its control bits."""
    return memory(**{"control_bits": False, **options})


KERNELS: dict[str, Callable[..., MemoryTrace]] = {
    made.__name__: made for made in (arithmetic, memory, barriers, long_code, many_blocks, scoreboard)
}
