"""subcore -> validate, plots -> sim -> traces, configs -> isa; blocks of the SM know only their own few modules."""

import ast
import importlib
from enum import Enum
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BELOW_SIM = {"traces", "configs", "isa"}
MAY_IMPORT = {
    "isa": set(),
    "traces": {"isa"},
    "configs": {"isa"},
    "sim": BELOW_SIM,
    "validate": {"sim", *BELOW_SIM},
    "plots": {"sim", *BELOW_SIM},
    "subcore": {"validate", "plots", "sim", *BELOW_SIM},
}
CORE_MAY_IMPORT = {
    "__future__",
    "numpy",
    "sim.jit",
    "sim.state",
    "sim.async_state",
    "sim.stats",
    "sim.memory.state",
    "isa.bits",
}


def imports(path: Path) -> list[tuple[int, str, list[str]]]:
    """(line, module, names) of every import in a file, also those inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = ".".join(path.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (prefix, node.module)))
            found.append((node.lineno, module, [alias.name for alias in node.names]))
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_downwards(package):
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths, f"package {package} is empty"
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: imports {module}"
        for path in paths
        for line, module, _ in imports(path)
        if (top := module.partition(".")[0]) in MAY_IMPORT and top != package and top not in MAY_IMPORT[package]
    ]
    assert not wrong, f"{package} may import {sorted(MAY_IMPORT[package])} only:\n" + "\n".join(wrong)


def test_core_blocks_import_only_state_statistics_and_enums():
    wrong = []
    for path in sorted((ROOT / "sim/core").rglob("*.py")):
        for line, module, names in imports(path):
            if module in CORE_MAY_IMPORT or module.startswith("sim.core"):
                continue
            if module.partition(".")[0] in ("isa", "configs") and names:
                values = [getattr(importlib.import_module(module), name) for name in names]
                if all(isinstance(v, int) or (isinstance(v, type) and issubclass(v, Enum)) for v in values):
                    continue
            wrong.append(f"{path.relative_to(ROOT)}:{line}: {module} {' '.join(names)}")
    assert not wrong, "sim/core may import numpy, sim.jit, sim.state, sim.stats and enums only:\n" + "\n".join(wrong)


def test_numba_flags_have_one_owner():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in MAY_IMPORT
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, module, names in imports(path)
        if path.relative_to(ROOT) != Path("isa/jit.py")
        and module.partition(".")[0] == "numba"
        and (not names or {"njit", "jit", "vectorize", "guvectorize", "cfunc"} & set(names))
    ]
    assert not wrong, "decorators come from isa.jit (sim.jit), not from numba:\n" + "\n".join(wrong)
