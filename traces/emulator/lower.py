"""From decoded SASS to micro-operations: one function per family of mnemonics (`lower_*.py`), found in LOWER.

A form without known semantics raises `Unsupported` with the reason; the micro-operation then stops the run when it is
reached. Nothing is guessed and nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isa.operand import Instruction
from traces.emulator import (  # noqa: F401  (they fill LOWER)
    lower_floating,
    lower_hopper,
    lower_integer,
    lower_system,
    lower_tensor,
)
from traces.emulator.lowering import LOWER, Lowering, Unsupported
from traces.emulator.records import ALL, MICRO_OPERATION, NONE, TRUE, UNIFORM_PREDICATE, Operation


def lower(
    instructions: Sequence[Instruction],
    bank_start: Mapping[int, int],
    bank_bytes: Mapping[int, int],
    architecture: int,
) -> tuple[np.ndarray, dict[int, str]]:
    """Micro-operations of a kernel, shape (n,), and the reasons why some of them are unsupported, by index."""
    ops = np.zeros(len(instructions), MICRO_OPERATION)
    problems: dict[int, str] = {}
    for index, ins in enumerate(instructions):
        fresh = np.zeros((), MICRO_OPERATION)
        fresh["predicate_destination"] = NONE
        fresh["predicate_source"] = TRUE
        for name in ("data_register", "swap_register", "address_register", "address_uniform"):
            fresh[name] = NONE
        fresh["guard"] = ins.guard + (UNIFORM_PREDICATE if ins.guard_uniform else 0)
        fresh["guard_flip"] = ALL if ins.guard_negate else 0
        ops[index] = fresh
        lowering = Lowering(ins, ops[index], bank_start, bank_bytes, architecture)
        function = LOWER.get(ins.mnemonic)
        try:
            if function is None:
                raise Unsupported("no semantics for this mnemonic")
            function(lowering)
        except (Unsupported, IndexError, KeyError, StopIteration) as reason:
            ops[index] = fresh
            ops[index]["operation"] = Operation.UNSUPPORTED
            problems[index] = str(reason) if isinstance(reason, Unsupported) else "operands in an unknown order"
    return ops, problems
