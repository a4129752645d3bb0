"""Event wheel: what falls due in one cycle comes in the order in which it was entered, however far ahead that was."""

import pytest

from isa.jit import standalone
from sim.core.events import INTERNAL, find_next_event, pop_event, push_event
from sim.state import WHEEL, new_sms

_push, _pop, _find = standalone(push_event), standalone(pop_event), standalone(find_next_event)


def drain(entries):
    """(cycle, name) of everything entered as (now, at, name), in the order in which it comes out."""
    sm = new_sms(1, 1, 1)[0]
    waiting = sorted(entries, key=lambda entry: entry[0])
    came: list[tuple[int, int]] = []
    now = 0
    while len(came) < len(entries):
        while (node := _pop(sm, INTERNAL, now)) >= 0:
            came.append((now, int(sm["event_a"][node])))
        while waiting and waiting[0][0] == now:
            _push(sm, INTERNAL, now, waiting[0][1], 0, waiting[0][2], 0)
            waiting.pop(0)
        _find(sm, now)
        now = min([int(sm["next_event_at"]), *(entry[0] for entry in waiting[:1])])
    return came


@pytest.mark.parametrize("at", [WHEEL - 1, WHEEL, WHEEL + 7, 5 * WHEEL + 3])
def test_an_event_from_far_ahead_comes_before_later_entries(at):
    assert drain([(0, at, 1), (2, at, 2), (at - 5, at, 3), (at - 1, at, 4)]) == [(at, n) for n in (1, 2, 3, 4)]


def test_events_come_at_their_cycles():
    far = 3 * WHEEL
    assert drain([(0, far, 1), (0, 9, 2), (5, far - 1, 3), (9, 10, 4)]) == [(9, 2), (10, 4), (far - 1, 3), (far, 1)]
