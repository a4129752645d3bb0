"""A wheel, installed alone into a fresh environment, works outside the checkout: code and data are all in it."""

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(root, files, tmp_path_factory):
    """Run a program of the environment in an empty folder: installed("subcore", "config", "list") -> output."""
    pytest.importorskip("setuptools", reason="extra `dev` is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    for path in files:
        (folder / "tree" / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, folder / "tree" / path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(folder / "tree")]
    subprocess.run(built, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(folder / "tree")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    into = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install"]
    subprocess.run([*into, "-q", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    # its dependencies are those of this environment; a .pth line adds a folder without the .pth files in it, so that
    # an editable install of the checkout stays out
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    (folder / "empty").mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SUBCORE_CACHE")}
    environment["SUBCORE_CACHE"] = str(folder / "cache")

    def run(program, *arguments):
        command = [str(folder / "venv" / "bin" / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder / "empty", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_packages_come_from_the_wheel(installed):
    code = "import sim, subcore, traces, validate; print(*[m.__file__ for m in (sim, subcore, traces, validate)])"
    assert all("site-packages" in path and "wheel" in path for path in installed("python", "-c", code).split())


def test_data_of_every_command_is_packed(installed):
    assert "h100_pcie" in installed("subcore", "config", "list")
    assert "gh200" in installed("subcore", "application", "--host", "list")
    assert "prefetch" in installed("subcore", "sweep", "--study", "list")
    assert "saxpy" in installed("subcore", "trace", "kernels")
    assert installed("subcore", "config", "show", "v100", "--sources")


def test_library_trace_simulates(installed):
    library = Path(installed("python", "-c", "import subcore.api as a; print(a.LIBRARY)").strip())
    shown = installed("subcore", "simulate", library / "saxpy.sm_86.sct", "-c", "rtx_a6000", "--json")
    assert json.loads(shown)["cycles"] > 1000


@pytest.mark.sass
def test_kernel_compiles_emulates_and_simulates(installed):
    shown = installed("subcore", "simulate", "matmul_tiled", "-c", "rtx_a6000", "-p", "n=64", "--json", "-o", "run")
    assert json.loads(shown)["cycles"] > 1000
    assert "HFMA2" in installed("subcore", "profile", "run") or "FFMA" in installed("subcore", "profile", "run")


def test_core_suite_finds_its_measurements_and_deviations(installed):
    assert "0 not;" in installed("subcore", "validate", "core")
