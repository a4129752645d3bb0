"""Stencils on regular grids: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def stencil_5point(inputs: Inputs) -> Outputs:
    grid = inputs["in"].astype(np.float64)
    out = inputs["in"].copy()
    inner = grid[1:-1, 1:-1] + grid[1:-1, :-2] + grid[1:-1, 2:] + grid[:-2, 1:-1] + grid[2:, 1:-1]
    out[1:-1, 1:-1] = 0.2 * inner
    return {"out": out}


def stencil_7point(inputs: Inputs) -> Outputs:
    grid = inputs["in"].astype(np.float64)
    inner = np.zeros_like(grid)
    for axis in range(3):
        inner += np.roll(grid, 1, axis) + np.roll(grid, -1, axis)
    out = inputs["in"].copy()
    new = float(inputs["centre"]) * grid + float(inputs["side"]) * inner
    out[1:-1, 1:-1, 1:-1] = new[1:-1, 1:-1, 1:-1]
    return {"out": out}


def stencil_9point(inputs: Inputs) -> Outputs:
    image = inputs["in"].astype(np.float64)
    for axis in range(2):
        image = (np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)) / 4
    return {"out": image.astype(np.float32)}


def game_of_life(inputs: Inputs) -> Outputs:
    height = len(inputs["in"])
    cells = np.unpackbits(inputs["in"].view(np.uint8), axis=1, bitorder="little").reshape(height, -1).astype(int)
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    neighbours = sum(np.roll(cells, shift, (0, 1)) for shift in shifts)
    alive = (neighbours == 3) | ((neighbours == 2) & (cells == 1))
    return {"out": np.packbits(alive, axis=1, bitorder="little").view(np.uint32)}


def hotspot(inputs: Inputs) -> Outputs:
    now, power = inputs["temperature"].astype(np.float64), inputs["power"]
    cx, cy, cz, ambient, step = (float(inputs[name]) for name in ("cx", "cy", "cz", "ambient", "step"))
    for _ in range(2):
        p = np.pad(now, 1, mode="edge")
        vertical = p[2:, 1:-1] + p[:-2, 1:-1] - 2 * now
        horizontal = p[1:-1, 2:] + p[1:-1, :-2] - 2 * now
        now = now + step * (power + vertical * cy + horizontal * cx + (ambient - now) * cz)
    return {"out": now.astype(np.float32)}


def srad(inputs: Inputs) -> Outputs:
    image, q0 = inputs["image"].astype(np.float64), float(inputs["q0_squared"])
    p = np.pad(image, 1, mode="edge")
    sides = {"north": p[:-2, 1:-1], "south": p[2:, 1:-1], "west": p[1:-1, :-2], "east": p[1:-1, 2:]}
    differences = {name: side - image for name, side in sides.items()}
    gradient = sum(d**2 for d in differences.values()) / image**2
    laplacian = sum(differences.values()) / image
    q = (gradient / 2 - laplacian**2 / 16) / (1 + laplacian / 4) ** 2
    coefficient = np.clip(1 / (1 + (q - q0) / (q0 * (1 + q0))), 0, 1)
    return {name: d.astype(np.float32) for name, d in {**differences, "coefficient": coefficient}.items()}


def lbm_d2q9(inputs: Inputs) -> Outputs:
    velocities = [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (-1, -1), (1, -1)]
    weights = np.array([16, 4, 4, 4, 4, 1, 1, 1, 1]) / 36
    f = np.stack([np.roll(p, (vy, vx), (0, 1)) for p, (vx, vy) in zip(inputs["in"], velocities, strict=True)])
    f = f.astype(np.float64)
    density = f.sum(axis=0)
    u = np.tensordot(np.array(velocities, float).T, f, 1) / density
    along = 3 * np.tensordot(np.array(velocities, float), u, 1)
    equilibrium = weights[:, None, None] * density * (1 + along + along**2 / 2 - 1.5 * (u**2).sum(axis=0))
    return {"out": (f + float(inputs["omega"]) * (equilibrium - f)).astype(np.float32)}
