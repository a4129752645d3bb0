"""What a sweep expands to, and how mistakes in a sweep file are reported."""

import pytest

from isa.errors import SubcoreError
from subcore.sweep.spec import STUDIES, list_studies, read_spec

BASE = """
gpus = ["rtx_a6000"]
{top}
[[workload]]
kernel = "saxpy"
parameters = {{ n = 256 }}
{rest}
"""
TWO_AXES = """
[[axis]]
knob = "l1d.mshrs"
values = [16, 64]
[[axis]]
overlays = ["", "scoreboard_1"]
"""


def spec(tmp_path, rest, top=""):
    path = tmp_path / "sweep.toml"
    path.write_text(BASE.format(rest=rest, top=top))
    return read_spec(path)


def chosen(points):
    return [(p.settings, p.overlays, dict(p.at)) for p in points]


def test_grid_varies_the_last_axis_fastest(tmp_path):
    points = spec(tmp_path, TWO_AXES, 'settings = ["gpu.sms=2"]').points()
    assert [p.number for p in points] == [0, 1, 2, 3]
    assert chosen(points)[1] == (
        ("gpu.sms=2", "l1d.mshrs=16"),
        ("scoreboard_1",),
        {"l1d.mshrs": 16, "overlay": "scoreboard_1"},
    )
    assert [p.settings[-1] for p in points] == ["l1d.mshrs=16"] * 2 + ["l1d.mshrs=64"] * 2


def test_list_takes_the_axes_in_step(tmp_path):
    points = spec(tmp_path, TWO_AXES, 'design = "list"').points()
    assert [dict(p.at) for p in points] == [
        {"l1d.mshrs": 16, "overlay": ""},
        {"l1d.mshrs": 64, "overlay": "scoreboard_1"},
    ]


def test_one_at_a_time_starts_with_the_baseline(tmp_path):
    points = spec(tmp_path, TWO_AXES, 'design = "one_at_a_time"').points()
    assert [p.settings for p in points] == [(), ("l1d.mshrs=16",), ("l1d.mshrs=64",), (), ()]
    assert dict(points[0].at) == {"l1d.mshrs": None, "overlay": None}


def test_linked_knobs_change_together(tmp_path):
    points = spec(tmp_path, '[[axis]]\nknobs = ["gpu.sms", "l2.slices"]\nvalues = [[84, 48], [42, 24]]').points()
    assert [p.settings for p in points] == [("gpu.sms=84", "l2.slices=48"), ("gpu.sms=42", "l2.slices=24")]


def test_sizes_of_kernels_are_an_axis(tmp_path):
    points = spec(tmp_path, '[[axis]]\nparameter = "n"\nvalues = [64, 128]').points()
    assert [p.workload.label for p in points] == ["saxpy n=64", "saxpy n=128"]


def test_excluded_combinations_are_left_out(tmp_path):
    points = spec(tmp_path, TWO_AXES + '[[exclude]]\n"l1d.mshrs" = 16\noverlay = "scoreboard_1"\n').points()
    assert [p.number for p in points] == [0, 1, 2], "numbers have no gap"
    assert {"l1d.mshrs": 16, "overlay": "scoreboard_1"} not in [dict(p.at) for p in points]


def test_excluding_everything_is_an_error(tmp_path):
    with pytest.raises(SubcoreError, match="no point"):
        spec(tmp_path, '[[axis]]\nknob = "l1d.mshrs"\nvalues = [16]\n[[exclude]]\n"l1d.mshrs" = 16\n').points()


@pytest.mark.parametrize(
    ("rest", "top", "line", "words"),
    [
        ('[[axis]]\nknob = "l1d.mshr"\nvalues = [1]', "", 8, ["l1d.mshr", "did you mean 'l1d.mshrs'"]),
        ('[[axis]]\nknob = "l1d.mshrs"\nvalue = [1]', "", 9, ["'value'", "did you mean 'values'"]),
        ('[[axis]]\noverlays = ["scoreboard_2"]', "", 8, ["overlay", "did you mean 'scoreboard_"]),
        (TWO_AXES, 'design = "gird"', 3, ["grid", "list", "one_at_a_time"]),
        (TWO_AXES + "[[exclude]]\nmshrs = 1", "", 14, ["on no axis"]),
        (TWO_AXES, 'gpu = "x"', 3, ["'gpu'", "did you mean 'gpus'"]),
        (TWO_AXES + "[[axis]]\nknob = 'l1d.mshrs'\nvalues = [1]", "", 14, ["two axes"]),
        ('[[axis]]\nknobs = ["gpu.sms", "l2.slices"]\nvalues = [84]', "", 7, ["one value for each"]),
        ("[[axis]]\nparameter = 'n'\nvalues = ['a']", "", 7, ["integers"]),
        (TWO_AXES + "[[workload]]\ntrace = 'none.sct'", "", 14, ["no such trace"]),
        (TWO_AXES + "[[workload]]\nkernel = 'saxpi'", "", 14, ["did you mean 'saxpy'"]),
    ],
)
def test_mistakes_name_their_line_and_what_was_meant(tmp_path, rest, top, line, words):
    with pytest.raises(SubcoreError) as error:
        spec(tmp_path, rest, top)
    message = str(error.value)
    assert f"sweep.toml:{line}:" in message, message
    assert all(word in message for word in words), message


def test_all_mistakes_are_reported_at_once(tmp_path):
    with pytest.raises(SubcoreError) as error:
        spec(tmp_path, '[[axis]]\nknob = "l1d.mshr"\nvalues = [1]\n[[axis]]\noverlays = ["x_y"]')
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("name", list_studies())
def test_shipped_studies_are_valid_and_say_what_they_are(name):
    study = read_spec(STUDIES / f"{name}.toml")
    assert study.title and 2 <= len(study.points()) <= 200
