"""Layers of neural networks: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def softmax(inputs: Inputs) -> Outputs:
    x = inputs["in"].astype(np.float64)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return {"out": (e / e.sum(axis=1, keepdims=True)).astype(np.float32)}


def layernorm(inputs: Inputs) -> Outputs:
    x = inputs["in"].astype(np.float64)
    factor = 1 / np.sqrt(x.var(axis=1, keepdims=True) + float(inputs["epsilon"]))
    normal = (x - x.mean(axis=1, keepdims=True)) * factor
    return {"out": (normal * inputs["scale"] + inputs["shift"]).astype(np.float32)}


def rmsnorm(inputs: Inputs) -> Outputs:
    total = inputs["in"] + inputs["residual"]
    x = total.astype(np.float64)
    factor = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + float(inputs["epsilon"]))
    return {"residual": total, "out": (x * factor * inputs["weight"]).astype(np.float16)}


def rope(inputs: Inputs) -> Outputs:
    x = inputs["x"].astype(np.float64)
    angle = inputs["position"][:, None, None] * 10000.0 ** (-np.arange(32) / 32)
    a, b = x[..., :32], x[..., 32:]
    turned = [a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)]
    return {"x": np.concatenate(turned, axis=-1).astype(np.float16)}


def embedding_gather(inputs: Inputs) -> Outputs:
    return {"out": inputs["table"][inputs["token"]].sum(axis=1, dtype=np.float64).astype(np.float32)}


def cross_entropy(inputs: Inputs) -> Outputs:
    x, label = inputs["logits"].astype(np.float64), inputs["label"]
    rows = np.arange(len(x))
    e = np.exp(x - x.max(axis=1, keepdims=True))
    gradient = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(gradient[rows, label])
    gradient[rows, label] -= 1
    return {"loss": loss.astype(np.float32), "gradient": gradient.astype(np.float32)}


def adam_step(inputs: Inputs) -> Outputs:
    parameter, first, second, gradient = (
        inputs[name].astype(np.float64) for name in ("parameter", "first", "second", "gradient")
    )
    rate, b1, b2, step = (float(inputs[name]) for name in ("rate", "b1", "b2", "step"))
    first = b1 * first + (1 - b1) * gradient
    second = b2 * second + (1 - b2) * gradient**2
    parameter -= rate * first / (1 - b1**step) / (np.sqrt(second / (1 - b2**step)) + 1e-8)
    return {name: x.astype(np.float32) for name, x in (("parameter", parameter), ("first", first), ("second", second))}


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_cell(inputs: Inputs) -> Outputs:
    i, f, g, o = (inputs["gates"].astype(np.float64) + inputs["bias"]).transpose(1, 0, 2)
    cell = _sigmoid(f) * inputs["cell"] + _sigmoid(i) * np.tanh(g)
    return {"cell": cell.astype(np.float32), "hidden": (_sigmoid(o) * np.tanh(cell)).astype(np.float32)}


def gru_cell(inputs: Inputs) -> Outputs:
    h = inputs["hidden"].astype(np.float64)
    x = inputs["x"] @ inputs["input_weight"].astype(np.float64)
    y = h @ inputs["hidden_weight"]
    reset, update = _sigmoid(x[0] + y[0]), _sigmoid(x[1] + y[1])
    return {"hidden": ((1 - update) * np.tanh(x[2] + reset * y[2]) + update * h).astype(np.float32)}


def dequantise_mxfp4(inputs: Inputs) -> Outputs:
    sizes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    codes = (inputs["codes"][:, None] >> np.arange(0, 32, 4, dtype=np.uint32) & 15).ravel()
    values = np.concatenate([sizes, -sizes])[codes] * 2.0 ** np.repeat(inputs["exponent"].astype(int) - 127, 32)
    return {"out": values.astype(np.float32)}


def _attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, scale: float) -> np.ndarray:
    """Over the last two axes, in FP64."""
    scores = query.astype(np.float64) @ np.swapaxes(key, -1, -2).astype(np.float64) * scale
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value.astype(np.float64)


def flash_attention(inputs: Inputs) -> Outputs:
    result = _attention(inputs["query"], inputs["key"], inputs["value"], float(inputs["scale"]))
    return {"out": result.astype(np.float16)}


def attention_decode(inputs: Inputs) -> Outputs:
    def cached(pages: np.ndarray) -> np.ndarray:
        """batch, heads, tokens, 64"""
        gathered = pages[inputs["page"]]
        return gathered.reshape(len(gathered), -1, *pages.shape[2:]).swapaxes(1, 2)

    query = inputs["query"][:, :, None]
    result = _attention(query, cached(inputs["key"]), cached(inputs["value"]), float(inputs["scale"]))
    return {"out": result[:, :, 0].astype(np.float32)}


def neighbourhood_attention(inputs: Inputs) -> Outputs:
    height, width, _ = inputs["query"].shape
    out = np.zeros_like(inputs["out"])
    for y, x in np.ndindex(height, width):
        top, left = min(max(y - 2, 0), height - 5), min(max(x - 2, 0), width - 5)
        key, value = (inputs[name][top : top + 5, left : left + 5].reshape(25, 32) for name in ("key", "value"))
        out[y, x] = _attention(inputs["query"][y, x][None], key, value, float(inputs["scale"]))[0]
    return {"out": out}


def fused_mlp(inputs: Inputs) -> Outputs:
    state = inputs["in"]
    for weight in inputs["weight"]:
        state = np.maximum(state.astype(np.float64) @ weight, 0).astype(np.float16)
    return {"out": state}


def flash_attention_causal(inputs: Inputs) -> Outputs:
    """As `flash_attention`; with `causal`, a query sees the keys up to its own position."""
    query, key, value = (inputs[name].astype(np.float64) for name in ("query", "key", "value"))
    scores = query @ key.transpose(0, 2, 1) * np.float64(inputs["scale"])
    if inputs["causal"]:
        scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return {"out": (weights / weights.sum(axis=-1, keepdims=True) @ value).astype(np.float16)}
