"""Write golden/sum.cubin and golden/sum.json anew (needs the NVIDIA packages): python tests/isa/make_golden.py."""

import json
import sys
from pathlib import Path

import numpy as np

from isa.compile import compile_cuda
from isa.disassemble import disassemble
from isa.load import Kernel, load_kernel
from isa.record import blank_record

GOLDEN = Path(__file__).parent / "golden"


def describe(kernel: Kernel) -> list[dict]:
    """What the golden file says about each instruction: text, operands, and the record fields that are not blank."""
    blank = blank_record()
    names = [n for n in blank.dtype.names or () if n != "mnemonic"]
    rows = []
    for instruction, record in zip(kernel.instructions, kernel.program.instructions, strict=True):
        fields = {n: np.asarray(record[n]).tolist() for n in names if np.any(record[n] != blank[n])}
        operands = [[o.kind.name, o.register, o.count, o.slot, o.value, o.is_destination] for o in instruction.operands]
        rows.append({"text": instruction.text, "mnemonic": instruction.mnemonic, "operands": operands, **fields})
    return rows


def main() -> int:
    data = compile_cuda(GOLDEN / "sum.cu", 86)
    listing = {name: [[i.guard, i.opcode, i.operands] for i in rows] for name, rows in disassemble(data).items()}
    (GOLDEN / "sum.cubin").write_bytes(data)
    decoded = {"listing": listing, "instructions": describe(load_kernel(data))}
    text = json.dumps(decoded, sort_keys=True, separators=(",", ":"))
    (GOLDEN / "sum.json").write_text(text.replace("},{", "},\n{") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
