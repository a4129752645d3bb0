"""Images and scenes: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def mandelbrot(inputs: Inputs) -> Outputs:
    height, width = inputs["count"].shape
    single = np.float32
    cx = (single(3) * np.arange(width, dtype=single) / single(width) + single(-2))[None, :]
    cy = (single(3) * np.arange(height, dtype=single) / single(height) + single(-1.5))[:, None]
    x = y = xx = yy = np.zeros((height, width), single)
    count = np.zeros((height, width), np.int32)
    for _ in range(int(inputs["limit"])):
        live = xx + yy <= 4
        count += live
        y = np.where(live, (x + x) * y + cy, y)
        x = np.where(live, xx - yy + cx, x)
        xx, yy = x * x, y * y
    return {"count": count}


def gaussian_splat(inputs: Inputs) -> Outputs:
    image = np.zeros(inputs["image"].shape)
    _, height, width = image.shape
    centre, conic, colour = (inputs[name].astype(np.float64) for name in ("centre", "conic_opacity", "colour"))
    across = -(-width // 16)
    for tile, splats in enumerate(inputs["splat"]):
        ys, xs = np.mgrid[tile // across * 16 : min(tile // across * 16 + 16, height), :width]
        part = slice(tile % across * 16, tile % across * 16 + 16)
        ys, xs = ys[:, part], xs[:, part]
        left, done, sums = np.ones(xs.shape), np.zeros(xs.shape, bool), np.zeros((3, *xs.shape))
        for s in splats:
            dx, dy = centre[s, 0] - xs, centre[s, 1] - ys
            power = -0.5 * (conic[s, 0] * dx**2 + conic[s, 2] * dy**2) - conic[s, 1] * dx * dy
            alpha = np.minimum(0.99, conic[s, 3] * np.exp(power))
            hit = ~done & (power <= 0) & (alpha >= 1 / 255)
            done |= hit & (left * (1 - alpha) < 1e-4)
            share = np.where(hit & ~done, alpha, 0)
            sums += colour[s][:, None, None] * share * left
            left = left * (1 - share)
        image[:, ys[0, 0] : ys[-1, 0] + 1, part] = sums
    return {"image": image.astype(np.float32)}


def hash_grid_encoding(inputs: Inputs) -> Outputs:
    table, growth = inputs["table"].astype(np.float64), float(inputs["growth"])
    entries = table.shape[1]
    levels = []
    for level, values in enumerate(table):
        scale = np.float32(2 ** (level * growth) * 16 - 1)
        x = scale.astype(np.float64) * inputs["position"] + 0.5
        cell = np.floor(x).astype(np.uint32)
        total: np.ndarray = np.zeros((x.shape[1], 2))
        for corner in np.ndindex(2, 2, 2):
            up = np.array(corner, np.uint32)[:, None]
            hashed = (cell + up) * np.array([1, 2654435761, 805459861], np.uint32)[:, None]
            weight = np.where(up, x - cell, 1 - (x - cell)).prod(axis=0)
            total += weight[:, None] * values[np.bitwise_xor.reduce(hashed) % entries]
        levels.append(total)
    return {"feature": np.stack(levels, axis=1).astype(np.float16)}


def bilinear_resize(inputs: Inputs) -> Outputs:
    image = inputs["in"].astype(np.float64)

    def axis(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
        low = at.astype(int)
        return low, np.minimum(low + 1, size - 1), at - low

    y0, y1, fy = axis(inputs["out"].shape[0], image.shape[0])
    x0, x1, fx = axis(inputs["out"].shape[1], image.shape[1])
    rows = image[y0] * (1 - fy)[:, None, None] + image[y1] * fy[:, None, None]
    mixed = rows[:, x0] * (1 - fx)[:, None] + rows[:, x1] * fx[:, None]
    return {"out": np.rint(mixed).astype(np.uint8)}
