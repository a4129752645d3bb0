"""Reading configurations: inheritance, overlays, settings, and every error at once."""

import pytest

from configs.load import ConfigError, config_hash, diff, list_ablations, list_configs, load_config, to_toml
from isa.errors import SubcoreError


@pytest.mark.parametrize("name", list_configs())
def test_shipped_gpu_loads_and_survives_a_round_trip_through_toml(name, tmp_path):
    config = load_config(name)
    dumped = tmp_path / "resolved.toml"
    dumped.write_text(to_toml(config), encoding="utf-8")
    again = load_config(dumped)
    assert again == config
    assert again.sources == config.sources
    assert config_hash(again) == config_hash(config)
    assert to_toml(again) == to_toml(config)


def test_the_agreed_gpus_are_shipped():
    expected = {"rtx_a6000", "rtx_2080_ti", "rtx_5070_ti", "a100_sxm4_80gb", "h100_pcie", "v100"}
    expected |= {"a40", "l40", "rtx_4090", "gh200", "h200"}
    assert expected <= set(list_configs())


def test_a100_is_an_alias():
    assert load_config("a100") == load_config("a100_sxm4_80gb")


@pytest.mark.parametrize("name", list_ablations())
def test_ablation_changes_something_on_every_gpu(name):
    for gpu in list_configs():
        assert diff(load_config(gpu), load_config(gpu, [name])), f"{name} leaves {gpu} as it is"


def test_overlays_apply_in_order_and_settings_last(tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text("[l1d]\nmshrs = 8\nmshr_merges = 8\ntags_per_cycle = 8\n")
    second.write_text("[l1d]\nmshrs = 16\nmshr_merges = 16\n")
    config = load_config("rtx_a6000", overlays=[first, second], settings=["l1d.mshrs=24"])
    assert (config.l1d.mshrs, config.l1d.mshr_merges, config.l1d.tags_per_cycle) == (24, 16, 8)
    assert config.sources["l1d.mshrs"] == "user: setting"
    assert config.sources["l1d.mshr_merges"] == f"user: {second}"
    assert load_config("rtx_a6000", overlays=[second, first]).l1d.mshrs == 8


def test_value_brings_its_source_along_through_inheritance(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'inherits = "rtx_a6000"\nl1d.mshrs = { value = 9, source = "measured: my board" }\nl1d.mshr_merges = 3\n'
    )
    config, parent = load_config(mine), load_config("rtx_a6000")
    assert (config.l1d.mshrs, config.sources["l1d.mshrs"]) == (9, "measured: my board")
    assert config.sources["l1d.mshr_merges"] == f"user: {mine}"
    assert config.sources["l1d.tags_per_cycle"] == parent.sources["l1d.tags_per_cycle"]
    assert {d[0] for d in diff(parent, config)} == {"l1d.mshrs", "l1d.mshr_merges"}


def test_setting_takes_bare_words_numbers_and_lists():
    settings = [
        "issue.policy = LRR",
        "launch.block_interval_cycles=2",
        "memory_unit.shuffle=[1, 2, 3]",
        "fetch.perfect=true",
    ]
    config = load_config("rtx_a6000", settings=settings)
    assert config.issue.policy == "LRR"
    assert config.launch.block_interval_cycles == 2.0 and isinstance(config.launch.block_interval_cycles, float)
    assert config.memory_unit.shuffle == (1, 2, 3)
    assert config.fetch.perfect is True


def test_all_problems_are_reported_at_once_with_file_line_and_near_match(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(
        'inherits = "rtx_a6000"\n'  # 1
        "[l1d]\n"
        "mshr = 8\n"  # 3: unknown knob
        "line_bytes = 96\n"  # 4: no power of two
        "tags_per_cycle = 0\n"  # 5: below the bound
        "[isue]\n"  # 6: unknown section
        'policy = "GTO"\n'
        "[issue]\n"
        'policy = "GTI"\n'  # 9: no such choice
        "[fetch]\n"
        "perfect = 1\n"  # 11: not a bool
        "decode_cycles = 1.5\n"  # 12: not an integer
        "[memory_unit]\n"
        "shuffle = [1, 2]\n"  # 14: wrong length
        "match = { value = [1, 2, 3], source = 7 }\n"  # 15: source is no text
        "vote = { wert = [1, 2, 3] }\n"  # 16: not { value, source }
    )
    with pytest.raises(ConfigError) as caught:
        load_config(bad, overlays=["no_reuse_cash"], settings=["dram.banks=3", "l1d=4", f"l1d.mshrs={10**400}"])
    expected = [
        (f"{bad}:3", "l1d.mshr", "did you mean 'mshrs'"),
        (f"{bad}:4", "l1d.line_bytes = 96", "power of two"),
        (f"{bad}:5", "l1d.tags_per_cycle = 0", "1 to 32"),
        (f"{bad}:6", "[isue]", "did you mean 'issue'"),
        (f"{bad}:9", 'issue.policy = "GTI"', "CGGTY, GTO, LRR, OLDEST"),
        (f"{bad}:11", "fetch.perfect = 1", "true or false"),
        (f"{bad}:12", "fetch.decode_cycles = 1.5", "must be an integer"),
        (f"{bad}:14", "memory_unit.shuffle", "must have 3 numbers, has 2"),
        (f"{bad}:15", "memory_unit.match", "source 7 must be"),
        (f"{bad}:16", "memory_unit.vote", "wert"),
        ("no ablation named 'no_reuse_cash'", "did you mean 'no_reuse_cache'", ""),
        ("setting 'dram.banks=3'", "dram.banks = 3", "power of two"),
        ("setting 'l1d=4'", "section.knob=value", ""),
        ("setting 'l1d.mshrs=1000", "62 bits", ""),
    ]
    problems = caught.value.problems
    for parts in expected:
        assert any(all(p in line for p in parts) for line in problems), f"nothing says {parts} in\n" + "\n".join(
            problems
        )
    assert len(problems) == len(expected)
    assert isinstance(caught.value, SubcoreError)


def test_every_missing_knob_is_named(tmp_path):
    dumped = to_toml(load_config("v100")).splitlines()
    short = tmp_path / "short.toml"
    short.write_text("\n".join(line for line in dumped if not line.startswith(("tRCD", "mshrs"))))
    with pytest.raises(ConfigError) as caught:
        load_config(short)
    assert [p.split(" is missing")[0].split()[-1] for p in caught.value.problems] == [
        "l1d.mshrs",
        "l2.mshrs",
        "dram.tRCD",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[l1d\n", "not valid TOML"),
        ('inherits = "base/amper"\n', "did you mean 'base/ampere'"),
        ('inherits = "self"\n', "inherits from itself"),
        ("inherits = 3\n", "name of one file"),
        ('inherits = "rtx_a6000"\nl1d = 3\n', "must be a table"),
    ],
)
def test_broken_file_gives_one_clear_line(tmp_path, text, says):
    path = tmp_path / "self.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in caught.value.problems[0] and says in caught.value.problems[0]


@pytest.mark.parametrize("name", ["rtx_a600", "nowhere/none.toml"])
def test_unknown_name_is_one_problem(name):
    with pytest.raises(ConfigError) as caught:
        load_config(name)
    assert len(caught.value.problems) == 1 and name in caught.value.problems[0]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("l2.slices=47", "dram.channels"),
        ("l2.ways=15", "power of two of sets"),
        ("l1d.shared_carveouts_bytes=[0, 131072]", "leaves no L1"),
        ("l1d.shared_carveouts_bytes=[0, 8192]", "sm.max_shared_bytes"),
        ("l1d.shared_carveouts_bytes=[102400, 0]", "ascending"),
        ("launch.dispatch_latency_cycles=10", "one-way latency"),
        ("launch.queued_blocks_per_sm=1", "launch.queued_block_latency_cycles"),
        ("sm.max_threads=1024", "32 x sm.max_warps"),
        ("sm.max_shared_bytes_per_block=102400", "must not exceed"),
        ("dram.clock_mhz=1000", "gpu.memory_clock_mhz"),
        ("dram.tRC=50", "tRAS + tRP"),
        ("fetch.l0_bytes=30000", "L0 instruction cache"),
        ("gpu.sms=83", "gpu.sms_per_tpc"),
        ("shared_memory.bytes_per_cycle=256", "banks x 4 B"),
        ("l2.sector_bytes=64", "same lines and sectors"),
    ],
)
def test_relation_between_knobs_is_checked(setting, says):
    with pytest.raises(ConfigError) as caught:
        load_config("rtx_a6000", settings=[setting])
    assert any(says in p for p in caught.value.problems), caught.value.problems


def test_hash_depends_on_values_and_not_on_sources(tmp_path):
    base = load_config("rtx_a6000")
    mine = tmp_path / "same.toml"
    mine.write_text(f'inherits = "rtx_a6000"\n[l1d]\nmshrs = {base.l1d.mshrs}\n')
    same = load_config(mine)
    assert same.sources != base.sources
    assert config_hash(same) == config_hash(base)
    hashes = {config_hash(load_config(n)) for n in list_configs()}
    hashes.add(config_hash(load_config("rtx_a6000", settings=["l1d.mshrs=385"])))
    assert len(hashes) == len(list_configs()) + 1


def test_hash_is_the_sha256_of_the_sorted_values():
    import hashlib
    import json
    import tomllib

    tables = tomllib.loads(to_toml(load_config("v100")))
    flat = {f"{s}.{k}": v["value"] for s, t in tables.items() for k, v in t.items()}
    expected = hashlib.sha256(json.dumps(flat, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert config_hash(load_config("v100")) == expected
