"""State of what runs beside the warps of an SM: mbarriers, bulk copies, and the traffic with SMs of its cluster."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from sim.state import MAX_BLOCKS, NONE, SUBCORES, WARPS_PER_SUBCORE, record_dtype

MBARRIERS = 512  # live mbarriers of an SM
COPIES = 64  # bulk copies of an SM between their instruction and their completion
DEFERRED = 64  # ARRIVES.LDGSTSBAR that wait for copies of their warp
MESSAGES = 2048  # under way to an SM
SENT = 4096  # of an SM in one quantum
BOX_DIMENSIONS = 4  # of a tensor copy, beside that of its rows
MAX_CLUSTER = 16  # thread blocks
RANK_SHIFT = 24  # a shared address of a cluster: rank << 24 | offset
SHARED_WINDOW = 0x7F01_0000_0000  # generic addresses of shared memory, where the launch does not name them


class Async(IntEnum):
    """What an instruction asks of these parts."""

    NONE = 0
    INIT = 1  # SYNCS.EXCH
    ARRIVE = 2  # SYNCS.ARRIVE
    ARRIVE_COPIES = 3  # ARRIVES.LDGSTSBAR: when the LDGSTS of the warp before it are complete
    WAIT = 4  # SYNCS.PHASECHK.TRYWAIT
    LOAD = 5  # bulk copy, global to shared
    STORE = 6  # shared to global
    REDUCE = 7
    PREFETCH = 8  # into the L2
    TO_CLUSTER = 9  # shared to the shared memory of another block
    GENERIC = 10  # may be the shared memory of a block of the cluster
    REMOTE_STORE = 11  # STAS, REDAS


class Trait(IntFlag):
    """Bits of OP.traits above those of isa.program.Flag."""

    CLUSTER_ARRIVE = 1 << 20
    CLUSTER_WAIT = 1 << 21
    SET_REGISTERS = 1 << 22


class Message(IntEnum):
    """What one SM of a cluster tells another."""

    LOAD = 0  # tag = pending request there
    STORE = 1  # tag = tag of its acknowledgement
    REPLY = 2
    ACKNOWLEDGE = 3
    ARRIVE = 4  # address = mbarrier, value = arrivals, bytes = transaction
    CLUSTER_ARRIVE = 5  # value = phase of the cluster barrier
    LEFT = 6  # the block has ended


MBARRIER = record_dtype(
    [
        ("block", "i4"),  # block slot, NONE = free
        ("address", "i4"),
        ("phase", "i4"),
        ("missing", "i4"),  # arrivals of this phase
        ("arrivals", "i4"),  # of each phase
        ("bytes", "i8"),  # transactions expected and not complete
        ("waiter", "i4"),  # first pending request that waits for the phase
    ]
)

COPY = record_dtype(
    [
        ("kind", "i4"),
        ("warp", "i4"),
        ("launched", "i8"),  # of its warp, whose slot may pass on before the copy ends
        ("op", "i4"),
        ("block", "i4"),  # block slot
        ("address", "i8"),  # of the present row
        ("steps", "i4", (BOX_DIMENSIONS,)),  # rows along each further dimension of the box, and
        ("pitch", "i8", (BOX_DIMENSIONS,)),  # bytes from one to the next
        ("step", "i4", (BOX_DIMENSIONS,)),
        ("rows", "i4"),  # still to be asked for
        ("row_bytes", "i4"),
        ("column", "i4"),  # bytes of the row that are asked for
        ("waiting", "i4"),  # sectors or acknowledgements under way
        ("done", "i1"),  # all asked for
        ("bytes", "i8"),  # transaction
        ("target", "i8"),  # shared address
        ("mbarrier", "i8"),  # shared address, NONE = none
        ("multicast", "i4"),
        ("ready_at", "i8"),
        ("next", "i4"),
    ]
)

MESSAGE = record_dtype(
    [
        ("at", "i8"),
        ("source", "i4"),
        ("number", "i8"),  # of the messages of its source
        ("target", "i4"),
        ("kind", "i4"),
        ("block", "i4"),  # block slot at the target
        ("address", "i8"),
        ("value", "i4"),
        ("bytes", "i8"),
        ("passes", "i4"),  # of the data array at the target
        ("tag", "i8"),
        ("next", "i4"),
    ]
)

CLUSTER_BLOCK = record_dtype(
    [
        ("size", "i4"),  # blocks of the cluster, 1 = none
        ("rank", "i4"),
        ("peer_sm", "i4", (MAX_CLUSTER,)),
        ("peer_slot", "i4", (MAX_CLUSTER,)),
        ("arrived", "i4"),  # warps of the block in the present phase of the cluster barrier
        ("sent", "i4"),  # phases in which the whole block has arrived
        ("blocks", "i4", (2,)),  # blocks that have arrived, by the phase's parity
        ("left", "i4"),
        ("released", "i4"),  # phases complete
        ("pool", "i4"),  # registers given back by USETMAXREG and not taken
    ]
)

ASYNC = record_dtype(
    [
        ("shared_base", "i8"),
        ("registers", "i4"),  # per thread at launch
        ("mbarrier", MBARRIER, (MBARRIERS,)),
        ("mbarriers", "i4"),  # slots in use lie below
        ("copy", COPY, (COPIES,)),
        ("copy_free", "i4"),
        ("copy_first", "i4"),  # being asked for, oldest first
        ("copy_last", "i4"),
        ("stepping", "i1"),  # an event of the copy engine is under way
        ("stalled", "i1"),  # it waits for answers
        ("in_flight", "i4"),  # sectors
        ("deferred", "i4"),
        ("deferred_warp", "i4", (DEFERRED,)),
        ("deferred_target", "i4", (DEFERRED,)),
        ("deferred_address", "i8", (DEFERRED,)),
        ("deferred_value", "i8", (DEFERRED,)),
        ("cluster", CLUSTER_BLOCK, (MAX_BLOCKS,)),
        ("placed_sm", "i4", (MAX_CLUSTER,)),  # scratch of the dispatcher
        ("placed_slot", "i4", (MAX_CLUSTER,)),
        ("waits", "i4", (SUBCORES * WARPS_PER_SUBCORE,)),  # cluster barriers that a warp has waited at
        ("warp_registers", "i4", (SUBCORES * WARPS_PER_SUBCORE,)),  # per thread
        ("waiting_registers", "i4", (SUBCORES * WARPS_PER_SUBCORE,)),  # USETMAXREG: registers of the warp it waits for
        ("message", MESSAGE, (MESSAGES,)),
        ("message_free", "i4"),
        ("message_first", "i4"),
        ("sent", MESSAGE, (SENT,)),
        ("sent_count", "i4"),
        ("sent_number", "i8"),
        ("port_free_at", "i8"),  # towards the cluster
        ("remote_count", "i4"),  # accesses to other SMs that are not answered
        ("remote_first", "i4"),  # pending requests that wait to be sent
        ("remote_last", "i4"),
    ]
)


def new_async(count: int, shared_base: int, registers: int) -> np.ndarray:
    """ASYNC records at reset, shape (count,)."""
    state = np.zeros(count, ASYNC)
    state["shared_base"] = shared_base or SHARED_WINDOW
    state["registers"] = registers
    state["mbarrier"]["block"] = NONE
    state["copy"]["next"] = np.append(np.arange(1, COPIES), NONE)
    state["message"]["next"] = np.append(np.arange(1, MESSAGES), NONE)
    for name in ("copy_first", "copy_last", "message_first", "remote_first", "remote_last"):
        state[name] = NONE
    state["cluster"]["size"] = 1
    return state
