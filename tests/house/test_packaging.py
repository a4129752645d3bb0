"""The wheel holds every source and data file of the packages."""

import shutil
import subprocess
import sys
import zipfile

import pytest

PACKAGES = ("subcore", "isa", "traces", "sim", "configs", "validate", "plots")


def test_wheel_contains_all_code_and_data(root, files, tmp_path):
    setuptools = pytest.importorskip("setuptools", reason="extra `dev` is not installed")
    if tuple(map(int, setuptools.__version__.split(".")[:2])) < (70, 1):
        pytest.skip(f"setuptools {setuptools.__version__} cannot build wheels alone: needs 70.1 (extra `dev`)")
    tree = tmp_path / "tree"
    for path in files:
        (tree / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, tree / path)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    done = subprocess.run([*build, "-w", str(tmp_path), str(tree)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.as_posix() for path in files if path.parts[0] in PACKAGES}
    assert not expected - packed, f"missing in the wheel: {sorted(expected - packed)}"
