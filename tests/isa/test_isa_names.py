"""Names of mangled kernels."""

import pytest

from isa.names import find_names, plain_name, shown_names


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("k", "k"),
        ("_Z1kPi", "k"),
        ("_ZL5saxpyifPKfPf", "saxpy"),
        ("_Z6kernelIfLi4EEvPT_", "kernel"),
        ("_ZN5tools5scaleEPfi", "tools::scale"),
        ("_ZN7cutlass6KernelINS_4gemm6kernel4GemmEEEvNT_6ParamsE", "cutlass::Kernel"),
        ("_ZN12_GLOBAL__N_14stepEv", "step"),
        ("_Z", "_Z"),
        ("_Z99short", "_Z99short"),
        ("_Z99999999999999999999k", "_Z99999999999999999999k"),
    ],
)
def test_plain_name(symbol, name):
    assert plain_name(symbol) == name


def test_a_symbol_wins_over_the_plain_name_of_another():
    assert find_names(["_Z1kPi", "k"], "k") == ["k"]
    assert find_names(["_ZN1a1kEv", "_ZN1b1kEv"], "k") == ["_ZN1a1kEv", "_ZN1b1kEv"]
    assert find_names(["_ZN1a1kEv", "_ZN1b1kEv"], "b::k") == ["_ZN1b1kEv"]
    assert find_names(["_ZN1a1kEv"], "a") == []


def test_lists_are_short_and_unambiguous():
    assert shown_names(["_Z1kPi", "_Z1kPf", "_Z1mv"]) == "_Z1kPi, _Z1kPf, m"
    assert shown_names([f"_Z3k{n}v" for n in range(10, 30)]).endswith("k21, and 8 more")
    assert shown_names([]) == "(none)"
