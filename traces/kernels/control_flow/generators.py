"""Input arrays for kernels of irregular control flow."""


def bytecode(shape, dtype, random, options):
    """Pairs of an opcode (of twelve) and an operand."""
    return random.integers(0, [12, 1 << 16], shape).astype(dtype)
