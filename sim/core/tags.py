"""Set-associative tag arrays with least-recently-used replacement: one search and one fill for every small cache."""

from sim.jit import routine, stage


@stage
def find_tag(tags, used_at, sets, ways, line, now):
    """Slot of `line`, marked as used, or -1."""
    first = line % sets * ways
    for slot in range(first, first + ways):
        if tags[slot] == line:
            used_at[slot] = now
            return slot
    return -1


@routine
def fill_tag(tags, used_at, sets, ways, line, now):
    """Store `line` in place of an empty slot of its set or the least recently used one. Returns the slot."""
    first = line % sets * ways
    victim = first
    for slot in range(first, first + ways):
        if tags[slot] < 0:
            victim = slot
            break
        if used_at[slot] < used_at[victim]:
            victim = slot
    tags[victim] = line
    used_at[victim] = now
    return victim
