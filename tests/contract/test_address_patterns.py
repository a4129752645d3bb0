"""Lists of lane addresses are kept once per pattern: what a kernel reads from them must not change."""

import numpy as np
import pytest

import sim.lists
from sim.lists import lay_patterns, shared_lists
from sim.run import ACCESS
from sim.threads import Threads


def chunk(lists):
    """(ACCESS records, lane addresses) with one record per list; None is an access without a list."""
    accesses = np.zeros(len(lists), ACCESS)
    at = 0
    for record, addresses in zip(accesses, lists, strict=True):
        record["list_at"] = -1 if addresses is None else at
        record["origin"], record["stride"] = (77, 4) if addresses is None else (0, 0)
        at += 0 if addresses is None else len(addresses)
    joined = [np.asarray(addresses, np.int64) for addresses in lists if addresses is not None]
    return accesses, np.concatenate([np.zeros(0, np.int64), *joined])


def share(accesses, addresses, threads=1):
    """(accesses, patterns) as the arena holds them."""
    placed, pool = np.zeros_like(accesses), Threads(threads)
    parts = shared_lists(accesses, addresses, placed, pool)
    patterns = np.zeros(sum(len(part[2]) for part in parts), np.int64)
    lay_patterns(parts, placed, patterns, 0, pool)
    return placed, patterns


def read(accesses, patterns, lists):
    """The lists as a kernel reads them: origin of the access + pattern."""
    return [
        None if addresses is None else
        [int(record["origin"]) + int(patterns[record["list_at"] + i]) for i in range(len(addresses))]
        for record, addresses in zip(accesses, lists, strict=True)
    ]  # fmt: skip


def test_patterns_at_other_lines_are_kept_once():
    pattern = [0, 4, 8, 64, 1000]
    lists = [[0x7F00_0000_0000 + 128 * i + offset for offset in pattern] for i in range(50)]
    accesses, addresses = chunk(lists)
    accesses, patterns = share(accesses, addresses)
    assert len(patterns) == len(pattern)
    assert read(accesses, patterns, lists) == lists


def test_another_place_in_the_line_or_another_length_is_another_pattern():
    lists = [[256, 260], [260, 264], [256, 260, 264], [384, 388]]
    accesses, addresses = chunk(lists)
    accesses, patterns = share(accesses, addresses)
    assert len(patterns) == 2 + 2 + 3
    assert read(accesses, patterns, lists) == lists


@pytest.mark.parametrize("threads", (1, 2, 5))
@pytest.mark.parametrize("seed", range(5))
def test_random_lists_are_read_back(seed, threads, monkeypatch):
    monkeypatch.setattr(sim.lists, "_ACCESSES_OF_A_PART", 64)
    generator = np.random.default_rng(seed)
    kinds = [generator.integers(0, 1 << 46, generator.integers(1, 33)).tolist() for _ in range(6)]
    lists = []
    for _ in range(400):
        kind = generator.integers(-1, len(kinds))
        shift = int(generator.integers(-1000, 1000)) * 32
        lists.append(None if kind < 0 else [address + shift for address in kinds[kind]])
    accesses, addresses = chunk(lists)
    accesses, patterns = share(accesses, addresses, threads)
    assert len(patterns) < threads * len(addresses) / 4, "every pattern occurs at four places in its line at most"
    assert read(accesses, patterns, lists) == lists
    untouched = accesses[[addresses is None for addresses in lists]]
    assert (untouched["origin"] == 77).all() and (untouched["list_at"] == -1).all()


def test_lists_that_share_or_reorder_addresses_stay_as_they_are():
    for starts in ([0, 0], [2, 0]):
        accesses, addresses = chunk([[5, 6], [900, 901]])
        accesses["list_at"] = starts
        expected = [[int(addresses[at]), int(addresses[at + 1])] for at in starts]
        accesses, patterns = share(accesses, addresses)
        assert read(accesses, patterns, expected) == expected
