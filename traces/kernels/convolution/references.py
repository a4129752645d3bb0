"""Convolutions: what the kernels beside this file compute, in numpy."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def convolution_3x3(inputs: Inputs) -> Outputs:
    weights = np.frombuffer(inputs["weights"], np.float32).reshape(3, 3).astype(np.float64)
    image = np.pad(inputs["in"].astype(np.float64), 1)
    height, width = inputs["in"].shape
    total = sum(weights[y, x] * image[y : y + height, x : x + width] for y in range(3) for x in range(3))
    return {"out": np.asarray(total, np.float32)}


def convolution_separable(inputs: Inputs) -> Outputs:
    weights = np.frombuffer(inputs["weights"], np.float32).astype(np.float64)
    rows = [np.convolve(row, weights[::-1], mode="same") for row in inputs["in"].astype(np.float64)]
    return {"out": np.array(rows, np.float32)}


def _windows(images: np.ndarray) -> np.ndarray:
    """Views of all 3 x 3 windows: last two axes are the window's row and column."""
    return np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), axis=(2, 3))


def convolution_nchw(inputs: Inputs) -> Outputs:
    return {"out": np.einsum("nchwyx,fcyx->nfhw", _windows(inputs["in"]), inputs["filter"]).astype(np.float32)}


def convolution_im2win(inputs: Inputs) -> Outputs:
    """Windows are n, c, output row, column, row under the filter; filters f, c, column, row."""
    views = np.lib.stride_tricks.sliding_window_view(inputs["windows"].astype(np.float64), 3, axis=3)
    return {"out": np.einsum("nchwyx,fcxy->nfhw", views, inputs["filter"]).astype(np.float32)}


def convolution_depthwise(inputs: Inputs) -> Outputs:
    padded = np.pad(inputs["in"].transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return {"out": np.einsum("nchwyx,yxc->nhwc", _windows(padded), inputs["filter"]).astype(np.float32)}
