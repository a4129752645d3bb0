"""Memory pipeline of the reference model: the part that the sub-cores share, with the data array of shared memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.reference.parts import SUBCORES, InFlight

if TYPE_CHECKING:
    from tests.reference.model import Core
    from tests.reference.sub_core import Subcore


class MemoryUnit:
    """The part of the memory pipeline that the sub-cores share, with the data array of shared memory."""

    def __init__(self, core: Core) -> None:
        self.core, self.config = core, core.config
        self.accept_at = 0
        self.next_subcore = 0
        self.data_free_at = 0
        self.in_flight = 0

    def accept(self) -> None:
        """Take the head of one queue, round robin."""
        knobs, now = self.config.memory_unit, self.core.now
        if now < self.accept_at or self.in_flight >= knobs.pending_requests:
            return
        for i in range(SUBCORES):
            sub = self.core.subcores[(self.next_subcore + i) % SUBCORES]
            if not sub.queue or now < sub.address_free_at:
                continue
            head = sub.queue[0]
            if now >= max(head.issued_at + head.op.leave, head.entered_at + 1):
                sub.queue.popleft()
                sub.address_free_at = now + head.op.spacing
                self.accept_at = now + head.op.accept
                self.next_subcore = (sub.number + 1) % SUBCORES
                self.in_flight += 1
                self.serve(sub, head)
                return

    def serve(self, sub: Subcore, item: InFlight) -> None:
        now, op = self.core.now, item.op
        self.core.note("LEAVE", item)
        self.core.release_read(item, now + op.war - op.leave)
        lanes = item.warp.lanes[item.position]
        if lanes and not op.is_shared:
            raise ValueError("the reference model has no L1: switch the lanes of global accesses off")
        busy, extra = op.interval, 0
        if lanes:
            cycles_per_pass = max(1, 4 * self.config.shared_memory.banks // self.config.shared_memory.bytes_per_cycle)
            if op.matrices:
                passes = matrix_passes(lanes, op.matrices, self.config.shared_memory.banks)
            else:
                passes = bank_passes(lanes, op.width, self.config.shared_memory.banks, op.is_load)
            busy = passes * cycles_per_pass
            extra = max(0, passes - op.width // 4) * cycles_per_pass  # Table 2 has the passes without a conflict
            if op.lane_cycles:
                collisions = max(Counter(address // 4 for address in lanes.values()).values()) - 1
                busy += collisions * op.lane_cycles
                extra += collisions * op.lane_cycles
        start_at = max(now, self.data_free_at)
        self.data_free_at = start_at + busy
        self.core.at(start_at + max(1, op.done - op.leave) + extra, lambda: self.complete(sub, item))

    def complete(self, sub: Subcore, item: InFlight) -> None:
        """The result moves to the registers at 512 bits per cycle; a fixed-latency result at its port goes first."""
        now, registers = self.core.now, self.config.registers
        if item.op.results:
            if not item.has_path:
                if now < sub.path_free_at:
                    self.core.at(sub.path_free_at, lambda: self.complete(sub, item))
                    return
                sub.path_free_at = now + item.op.width * 32 // self.config.memory_unit.writeback_bytes_per_cycle
                item.has_path = True
            banks = {sub.bank(r) for r in item.op.results}
            # written in the cycle before dependents may issue
            if not registers.ideal and any(sub.free_write(bank, now - 1) != now - 1 for bank in banks):
                self.core.at(now + 1, lambda: self.complete(sub, item))
                return
            for bank in banks:
                sub.writes[bank, now - 1] += 1
        self.core.note("DONE", item)
        self.in_flight -= 1
        self.core.finish(item)


def bank_passes(lanes: dict[int, int], width: int, banks: int, is_load: bool) -> int:
    """Passes over the banks: phases of 32, 16 or 8 lanes, in each the most distinct words of one bank.

    All phases of a wide load go together in pairs if its lanes share by neighbours, or by next but one, and no pair
    then has two words in a bank.
    """
    size = 128 // width
    phases = [set(range(first, first + size)) & set(lanes) for first in range(0, 32, size)]
    if is_load and width > 4 and any(shared_by(lanes, distance) for distance in (1, 2)):
        pairs = [one | two for one, two in zip(phases[::2], phases[1::2], strict=True)]
        if all(most_words(lanes, pair, width, banks) <= 1 for pair in pairs):
            phases = pairs
    return sum(most_words(lanes, phase, width, banks) for phase in phases)


def matrix_passes(lanes: dict[int, int], matrices: int, banks: int) -> int:
    """Lanes 8m .. 8m + 7 name the rows of matrix m, of 16 bytes: a pass each at least."""
    phases = [set(range(8 * m, 8 * m + 8)) & set(lanes) for m in range(matrices)]
    return sum(max(1, most_words(lanes, phase, 16, banks)) for phase in phases)


def most_words(lanes: dict[int, int], phase: set[int], width: int, banks: int) -> int:
    """Most distinct words of one bank, 0 without lanes."""
    words = {(lanes[lane] + byte) // 4 for lane in phase for byte in range(0, width, 4)}
    return max(Counter(word % banks for word in words).values(), default=0)


def shared_by(lanes: dict[int, int], distance: int) -> bool:
    return all(lanes[lane] // 4 == lanes[lane ^ distance] // 4 for lane in lanes if lane ^ distance in lanes)
