"""Block sampling: near the whole run at a fraction of the work, whole where nothing can be left out, and honest."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from configs.load import load_config
from isa.errors import SubcoreError
from sim.gpu import simulate_trace
from sim.sampling import least_waves, simulate_sampled, waves
from subcore.cli import cli
from traces.emulator.trace import emulate
from traces.kernels.catalogue import load_launch

pytestmark = pytest.mark.sass


def few_sms(sms=2):
    return load_config("rtx_a6000", (), (f"gpu.sms={sms}",))


def trace_of(name, **sizes):
    return emulate(load_launch(name, sizes), architecture=86)


@pytest.fixture(scope="module")
def matmul():
    """Whole run and sample of 48 waves."""
    config, trace = few_sms(), trace_of("matmul_tiled", n=384)
    return simulate_trace(trace, config), simulate_sampled(trace, config)


def test_sample_is_within_three_per_cent_at_a_fraction_of_the_work(matmul):
    whole, sample = matmul
    assert abs(sample.cycles / whole.cycles - 1) < 0.03, f"{sample.cycles} sampled, {whole.cycles} whole"
    assert sample.simulated.warp_instructions < 0.12 * whole.warp_instructions
    assert abs(sample.cycles / whole.cycles - 1) <= sample.error, "the stated error must cover what is off"
    assert sample.warp_instructions == whole.warp_instructions, "equal blocks: the inferred count is exact"


def test_sample_says_what_was_simulated_and_what_inferred(matmul):
    _, sample = matmul
    assert sample.blocks == 576 and sample.simulated_blocks + sample.inferred_blocks == 576
    assert sample.inferred_blocks % sample.wave_blocks == 0 and sample.steady and sample.length_ratio == 1.0
    text = " ".join(sample.remarks())
    assert f"{sample.simulated_blocks} of 576 blocks" in text and "outputs are incomplete" in text


def test_same_sample_twice(matmul):
    _, sample = matmul
    again = simulate_sampled(trace_of("matmul_tiled", n=384), few_sms())
    assert (again.cycles, again.rates, again.simulated_blocks) == (sample.cycles, sample.rates, sample.simulated_blocks)


def test_few_waves_are_simulated_whole():
    config, trace = few_sms(8), trace_of("matmul_tiled", n=64)
    sample = simulate_sampled(trace, config)
    assert waves(trace, config) < 2
    assert sample.cycles == simulate_trace(trace, config).cycles
    assert sample.inferred_blocks == 0 and sample.error == 0 and "nothing was left out" in sample.remarks()[0]


def test_longer_blocks_in_the_rest_are_seen_and_raise_the_stated_error():
    config = few_sms()
    trace = trace_of("mandelbrot", width=256, height=256)  # the first rows lie outside the set
    whole, sample = simulate_trace(trace, config), simulate_sampled(trace, config)
    assert sample.length_ratio is not None and sample.length_ratio > 1.5
    assert any("times the instructions" in line for line in sample.remarks())
    assert abs(sample.cycles / whole.cycles - 1) <= sample.error < 0.5


def test_instruction_limit_cuts_a_rate_that_is_not_steady():
    trace = trace_of("transpose", width=512, height=512)
    limited = simulate_sampled(trace, few_sms(), most_instructions=1)
    free = simulate_sampled(trace, few_sms())
    assert limited.simulated_blocks <= free.simulated_blocks
    with pytest.raises(SubcoreError, match="at least 1"):
        simulate_sampled(trace, few_sms(), most_instructions=0)


def test_one_rate_is_enough_after_the_limit_and_states_a_larger_error(matmul):
    whole, sample = matmul
    least = simulate_sampled(trace_of("matmul_tiled", n=384), few_sms(), most_instructions=1)
    assert least.simulated_blocks <= sample.simulated_blocks and len(least.rates) == 1 and not least.steady
    assert abs(least.cycles / whole.cycles - 1) <= least.error and sample.error < least.error < 0.12
    assert least.simulated_blocks <= (least_waves(trace_of("matmul_tiled", n=384), few_sms()) + 1) * least.wave_blocks


def test_probed_blocks_execute_what_the_whole_pass_executes():
    trace = trace_of("mandelbrot", width=96, height=64)
    lengths = np.concatenate(
        [np.diff(chunk.warp_start).reshape(-1, trace.launch.warps_per_block).sum(axis=1) for chunk in trace.blocks()]
    )
    chosen = [0, 3, len(lengths) - 1, 1]
    assert trace.probe(chosen) == lengths[chosen].tolist()
    with pytest.raises(SubcoreError, match="no block"):
        trace.probe([len(lengths)])


def test_simulate_sample_prints_the_inference_and_refuses_a_run_directory(tmp_path):
    call = ["simulate", "matmul_tiled", "-c", "rtx_a6000", "-p", "n=256", "--set", "gpu.sms=2", "--sample"]
    outcome = CliRunner().invoke(cli, [*call, "--json"])
    values = json.loads(outcome.stdout)
    assert outcome.exit_code == 0 and values["cycles"] > 2 * values["sample"]["simulated_cycles"]
    assert values["sample"]["inferred_blocks"] > 0 and values["sample"]["stated_error"] > 0
    refused = CliRunner().invoke(cli, [*call, "-o", str(tmp_path / "run")])
    assert refused.exit_code == 1 and "leave --sample or --output out" in refused.output
    assert not (tmp_path / "run").exists()
