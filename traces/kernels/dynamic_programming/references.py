"""Tables filled by recurrences: what the kernels beside this file compute, cell by cell."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def edit_distance(inputs: Inputs) -> Outputs:
    distances = []
    for a, b in zip(inputs["a"].tolist(), inputs["b"].tolist(), strict=True):
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            above, row = row, [i]
            for j, y in enumerate(b, 1):
                row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        distances.append(row[-1])
    return {"distance": np.array(distances, np.int32)}


def smith_waterman(inputs: Inputs) -> Outputs:
    match, mismatch, start, extend = (int(inputs[name]) for name in ("match", "mismatch", "open", "extend"))
    targets = inputs["sequence"].astype(int)
    count, length = targets.shape
    h, f = np.zeros((length + 1, count), int), np.full((length + 1, count), -10000)
    best = np.zeros(count, int)
    for residue in inputs["query"].tolist():
        row, e = np.zeros((length + 1, count), int), np.full(count, -10000)
        for j in range(1, length + 1):
            e = np.maximum(e - extend, row[j - 1] - start)
            f[j] = np.maximum(f[j] - extend, h[j] - start)
            pair = h[j - 1] + np.where(targets[:, j - 1] == residue, match, -mismatch)
            row[j] = np.maximum.reduce([pair, e, f[j], np.zeros(count, int)])
        h = row
        best = np.maximum(best, h.max(axis=0))
    return {"score": best.astype(np.int32)}


def needleman_wunsch(inputs: Inputs) -> Outputs:
    similarity, table, penalty = inputs["similarity"], inputs["table"].copy(), int(inputs["penalty"])
    last = int(inputs["diagonal"])
    for tile_x in range(last + 1):
        for y in range((last - tile_x) * 16 + 1, (last - tile_x) * 16 + 17):
            for x in range(tile_x * 16 + 1, tile_x * 16 + 17):
                gap = max(table[y, x - 1], table[y - 1, x]) - penalty
                table[y, x] = max(table[y - 1, x - 1] + similarity[y, x], gap)
    return {"table": table}


def pathfinder(inputs: Inputs) -> Outputs:
    row = inputs["source"]
    for cost in inputs["wall"]:
        padded = np.pad(row, 1, mode="edge")
        row = np.minimum(np.minimum(padded[:-2], padded[2:]), row) + cost
    return {"result": row}
