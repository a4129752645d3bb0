"""Signs and sizes of MICRO 2025 Tables 5 to 7 on our kernels, compiled for sm_86, on a two-SM RTX A6000."""

from functools import cache

import pytest

from configs.load import list_ablations, load_config
from subcore import api
from validate.ablations import load_suite, measure

pytestmark = pytest.mark.sass

SGEMM = ("sgemm_register_tiled", (("m", 512), ("n", 256), ("k", 128)))  # two full waves of four blocks per SM
MAXFLOPS = ("maxflops", (("iterations", 8), ("blocks", 16)))
ONCE = ("maxflops", (("iterations", 1), ("blocks", 2)))  # 11 KB of code, run once


@cache
def trace(name, sizes):
    return api.emulate(name, 86, dict(sizes))


@cache
def cycles(kernel, *overlays, settings=()):
    settings = ["gpu.sms=2", "launch.kernel_cycles=0", *settings]
    return api.simulate(trace(*kernel), "rtx_a6000", overlays=list(overlays), settings=settings).cycles


def speed_up(kernel, *overlays, settings=()):
    """Cycles of the machine as it is over cycles with the overlays."""
    return cycles(kernel, settings=settings) / cycles(kernel, *overlays, settings=settings)


def reuse_share(kernel):
    records = trace(*kernel).program.instructions
    return (records["reuse"] != 0).mean()


def test_sgemm_has_reuse_flags_and_maxflops_next_to_none():
    assert reuse_share(SGEMM) >= 0.3
    assert reuse_share(MAXFLOPS) < 0.05


@pytest.fixture(scope="module")
def measured():
    """Comparisons of the shipped suite that have an accepted range, by workload and overlay."""
    items = measure([item for item in load_suite() if item.accepted])
    return {(item.workload.name, item.overlay): item for item in items}


@pytest.mark.parametrize(
    ("workload", "overlay"), [(item.workload.name, item.overlay) for item in load_suite() if item.accepted]
)
def test_speed_up_has_the_published_sign_and_size(measured, workload, overlay):
    item = measured[workload, overlay]
    assert item.agrees, f"{item.speed_up:.3f}; published {item.published} ({item.source}), accepted {item.accepted}"


def test_maxflops_gains_what_its_register_banks_cost():
    records = trace(*MAXFLOPS).program.instructions
    sources = records["source"][records["mnemonic"] == records["mnemonic"][len(records) // 2]][:, :3].astype(int)
    sources = sources[(sources != 255).all(axis=1)]
    reads = [(sources % 2 == bank).sum() / len(sources) for bank in (0, 1)]
    gain = speed_up(MAXFLOPS, "two_read_ports")
    assert gain <= max(reads), "no more than the cycles that the busiest bank takes per instruction"
    assert speed_up(MAXFLOPS, "ideal_registers") == pytest.approx(gain, rel=0.01)


def test_scoreboards_lose_less_the_more_consumers_they_count():
    one, three, many, unlimited = (speed_up(SGEMM, f"scoreboard_{n}") for n in ("1", "3", "63", "unlimited"))
    assert one < three < many, "published 0.95, 0.98 and 0.98 on average"
    assert many == unlimited


def test_more_stream_buffer_is_faster_on_code_that_runs_once():
    depths = ["no_stream_buffer", *(f"stream_buffer_{n}" for n in (1, 2, 4))]
    times = [cycles(ONCE, depth) for depth in depths] + [cycles(ONCE)]
    times += [cycles(ONCE, f"stream_buffer_{n}") for n in (16, 32)]
    assert times == sorted(times, reverse=True) and len(set(times)) == len(times), times


def test_perfect_instruction_cache_waits_for_no_instruction():
    rows = api.simulate(
        trace(*ONCE), "rtx_a6000", overlays=["perfect_icache"], settings=["gpu.sms=2", "launch.kernel_cycles=0"]
    ).stall_rows()
    waited = sum(row["cycles"] for row in rows if row["reason"] == "no_instruction")
    assert waited < 0.05 * cycles(ONCE, "perfect_icache")
    assert cycles(ONCE, "perfect_icache") < cycles(ONCE)


@pytest.mark.parametrize("policy", ["policy_gto", "policy_lrr", "policy_oldest"])
def test_policies_run_the_same_instructions_in_other_cycles(policy):
    settings = ["gpu.sms=2", "launch.kernel_cycles=0"]
    runs = [api.simulate(trace(*SGEMM), "rtx_a6000", overlays=o, settings=settings) for o in ([], [policy])]
    issued = [{r["reason"]: r["cycles"] for r in run.stall_rows()}["issued"] for run in runs]
    assert issued[0] == issued[1]
    assert runs[0].cycles != runs[1].cycles


@pytest.mark.parametrize("name", list_ablations())
def test_ablation_says_what_it_means_and_changes_only_its_knobs(name):
    from configs.load import ROOT, diff

    text = (ROOT / "ablations" / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ") and text.splitlines()[0].endswith(".")
    knobs = {knob for knob, *_ in diff(load_config("rtx_a6000"), load_config("rtx_a6000", [name]))}
    assert 1 <= len(knobs) <= 2, knobs
