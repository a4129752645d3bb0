"""Run single SASS instructions, given as text, through decoder, lowering and interpreter on chosen registers."""

import numpy as np

from isa.disassemble import ListedInstruction
from isa.jit import as_records
from isa.operand import parse_instruction
from traces.emulator import interpreter
from traces.emulator.lower import lower
from traces.emulator.records import ALLOCATION, BLOCK, LOG, MACHINE, WARP, Status
from traces.stream import MEMORY_ACCESS


class Warp:
    """One warp: `run` executes instructions and keeps registers and predicates between calls."""

    def __init__(self, architecture=90):
        self.architecture = architecture
        self.record = np.zeros(1, WARP)
        self.register = self.record[0]["register"]
        self.uniform = self.record[0]["uniform"]
        self.predicate = self.record[0]["predicate"]
        self.predicate[[7, 15]] = 0xFFFFFFFF

    def wide(self, register):
        """Register pair as 64-bit values."""
        return self.register[register].astype(np.uint64) | self.register[register + 1].astype(np.uint64) << np.uint64(
            32
        )

    def set_wide(self, register, values):
        words = np.asarray(values, np.uint64)
        self.register[register], self.register[register + 1] = words.astype(np.uint32), words >> np.uint64(32)

    def run(self, *texts, encodings=()):
        """Execute instructions such as "IADD3 R4,P0,PT,R5,-R6,R7" or "@!P0 MOV R2,R3" for all 32 lanes."""
        instructions = []
        for k, text in enumerate((*texts, "EXIT")):
            guard, _, rest = text.partition(" ") if text.startswith("@") else ("", "", text)
            opcode, _, operands = rest.partition(" ")
            encoding = encodings[k] if k < len(encodings) else 0
            listed = ListedInstruction(guard, opcode, operands)
            instructions.append(parse_instruction(listed, k, 16 * k, encoding, self.architecture, {}))
        ops, problems = lower(instructions, {0: 0}, {0: 64}, self.architecture)
        assert not problems, f"{texts}: {problems}"
        machine = np.zeros(1, MACHINE)
        ones = ("blocks", "warps", "block_live", "team_blocks", "cluster_blocks")
        for name, value in (("registers", 255), ("threads", 32), *((name, 1) for name in ones)):
            machine[name] = value
        for name in ("grid", "block", "cluster"):
            machine[name] = (32 if name == "block" else 1, 1, 1)
        machine["budget"] = machine["pause_at"] = 1000
        machine["chunk_target"] = machine["chunk_block_limit"] = 1000
        warp = self.record[0]
        warp["groups"], warp["alive"], warp["rotate_at"] = 1, 0xFFFFFFFF, 1000
        warp["group_pc"][0], warp["group_mask"][0] = 0, 0xFFFFFFFF
        warp["lane_state"] = 0
        memory = np.zeros(1024, np.uint8)
        status = interpreter.run(
            as_records(machine)[0], as_records(np.zeros(1, BLOCK)), as_records(self.record), as_records(ops),
            np.zeros(20, np.uint32), as_records(np.zeros(1, ALLOCATION)),
            memory.view(np.uint32), memory.view(np.uint16), memory,
            as_records(np.zeros(64, LOG)), as_records(np.zeros(64, MEMORY_ACCESS)), np.zeros(4096, np.int64),
        )  # fmt: skip
        assert status == Status.GRID_DONE, f"{texts}: stopped with {Status(status).name}"
