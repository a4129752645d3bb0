"""Shared fixtures: where the measured data lie, and whether the NVIDIA wheels are installed."""

import importlib.util
import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("SUBCORE_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def sass_available() -> bool:
    """True when the NVRTC and nvdisasm wheels are importable as namespace folders."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    return any(list(r.glob("cu13/lib/libnvrtc.so*")) for r in roots) and any(
        list(r.glob("cu13/bin/nvdisasm*")) for r in roots
    )


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden results and show what moved")


def pytest_collection_modifyitems(config, items):
    no_sass = None if sass_available() else pytest.mark.skip(reason="extra `sass` (nvrtc, nvdisasm) is not installed")
    no_data = None if SHARED_DATA.is_dir() else pytest.mark.skip(reason=f"measured data not found at {SHARED_DATA}")
    no_slow = None
    if "slow" not in (config.option.markexpr or ""):
        no_slow = pytest.mark.skip(reason="slow suite: run `make test-all`")
    for item in items:
        for marker, skip in (("sass", no_sass), ("shared_data", no_data), ("slow", no_slow)):
            if skip is not None and item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of measured data and captured traces (`$SUBCORE_SHARED_DATA` or ../shared/data beside the checkout)."""
    return SHARED_DATA
