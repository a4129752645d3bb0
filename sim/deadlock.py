"""What every warp waits for, when nothing moves any more."""

from __future__ import annotations

import numpy as np

from sim.core.cluster import CLUSTER_BARRIER, REGISTER_WAIT
from sim.lower import Code
from sim.state import NEVER, SUBCORES, WARPS_PER_SUBCORE
from traces.stream import Trace

MAX_WARPS_SHOWN = 24


def deadlock_report(sms: np.ndarray, code: Code, trace: Trace, now: int) -> str:
    """Text that names, for each stuck warp, its block, instruction and what it waits for."""
    lines = [f"{trace.launch.kernel}: deadlock, nothing has moved for a long time before cycle {now}"]
    shown = stuck = 0
    for sm in sms:
        if sm["l1_writes"]:
            lines.append(f"  SM {sm['id']}: {sm['l1_writes']} stores not acknowledged by the L2")
        for s in range(SUBCORES):
            sub = sm["sub"][s]
            for w in range(WARPS_PER_SUBCORE):
                warp = sub["warp"][w]
                if not warp["active"]:
                    continue
                stuck += 1
                if shown == MAX_WARPS_SHOWN:
                    continue
                shown += 1
                block = sm["block"][warp["block"]]
                where = f"  SM {sm['id']} sub-core {s} warp {w}, block {block['block']}"
                lines.append(f"{where}: {_waits_for(sub, warp, code, trace, now)}")
    lines.append(f"  {stuck} warps stuck{', first ones shown' if stuck > shown else ''}")
    return "\n".join(lines)


def _waits_for(sub: np.void, warp: np.void, code: Code, trace: Trace, now: int) -> str:
    if warp["active"] == 2:
        return f"has issued everything; {warp['loads']} loads and {warp['stores']} stores outstanding"
    head = int(warp["head"])
    text = f"pc {head * trace.program.pc_step:#x} {trace.program.text[head]}: "
    if warp["barrier_wait"] == CLUSTER_BARRIER:
        return text + "waits at the cluster barrier"
    if warp["barrier_wait"] == REGISTER_WAIT:
        return text + "waits for registers of its block"
    if warp["barrier_wait"]:
        return text + f"waits at barrier {warp['barrier_wait'] - 1}"
    if warp["membar_cycles"]:
        return text + f"memory barrier; {warp['loads']} loads and {warp['stores']} stores outstanding"
    if warp["buffer_count"] == 0 or warp["buffer_ready_at"][warp["buffer_first"]] >= NEVER:
        return text + "waits for its instruction"
    blocked = int(warp["waiting"]) & int(code.op[head]["wait_mask"])
    if blocked:
        counters = ", ".join(f"SB{i} = {warp['counter'][i]}" for i in range(6) if blocked >> i & 1)
        return text + f"waits for {counters}"
    if sub["control"]["valid"]:
        other = trace.program.text[int(sub["control"]["op"])]
        return text + f"behind {other} in control of its sub-core"
    return text + "waits for a register that is being written or read"
