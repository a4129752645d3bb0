"""Input arrays of launch files by generator name: deterministic functions of shape, dtype, seed and options."""

from __future__ import annotations

import numpy as np


def uniform(shape, dtype, random, options):
    low, high = options.get("range", [0, 1])
    if dtype.kind == "f":
        return random.uniform(low, high, shape).astype(dtype)
    return random.integers(low, high, shape, dtype=dtype)


def normal(shape, dtype, random, options):
    return (options.get("scale", 1) * random.standard_normal(shape)).astype(dtype)


def ascending(shape, dtype, random, options):
    """Uniform, ascending along the last axis."""
    return np.sort(uniform(shape, dtype, random, options), axis=-1)


def sorted_choice(shape, dtype, random, options):
    """Different integers of the range, ascending along the last axis."""
    low, high = options["range"]
    rows = [np.sort(random.choice(high - low, shape[-1], replace=False)) for _ in range(int(np.prod(shape[:-1])))]
    return (low + np.array(rows)).astype(dtype).reshape(shape)


def multiples(shape, dtype, random, options):
    return (np.arange(int(np.prod(shape))) * options.get("step", 1)).astype(dtype).reshape(shape)


def row_number(shape, dtype, random, options):
    return np.broadcast_to(np.arange(shape[0], dtype=dtype)[:, None], shape).copy()


def forest(shape, dtype, random, options):
    """Each element holds itself or a smaller element of its run of 16: roots and short chains to them."""
    place = np.arange(shape[0])
    return np.where(random.random(shape[0]) < 0.4, place, place - random.integers(0, place % 16 + 1)).astype(dtype)


def permutation(shape, dtype, random, options):
    return random.permutation(int(np.prod(shape))).astype(dtype).reshape(shape)


def bfloat16(shape, dtype, random, options):
    """Bit patterns of uniform bfloat16 numbers (cut, not rounded, from FP32); the type must be uint16."""
    return (uniform(shape, np.dtype(np.float32), random, options).view(np.uint32) >> 16).astype(dtype)


def positive_definite(shape, dtype, random, options):
    """Symmetric positive definite matrices in the last two axes."""
    factor = random.uniform(-1, 1, shape)
    return (factor @ np.swapaxes(factor, -1, -2) + shape[-1] * np.eye(shape[-1])).astype(dtype)


def filled(shape, dtype, random, options):
    return np.full(shape, options.get("value", 0), dtype)


def arange(shape, dtype, random, options):
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


def marked(shape, dtype, random, options):
    """-1 everywhere but 0 in the first `count` elements: distances of a search whose frontier is known."""
    array = np.full(shape, -1, dtype)
    array[: options["count"]] = 0
    return array


def cycle(shape, dtype, random, options):
    """A single random cycle through all elements: element i holds its successor."""
    order = random.permutation(shape[0])
    following = np.empty(shape[0], dtype)
    following[order] = np.roll(order, -1)
    return following
