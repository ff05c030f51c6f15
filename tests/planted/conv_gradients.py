"""Wrong gradients of the convolution."""

from __future__ import annotations

import numpy as np

from tests.planted.conv import _padded
from tests.planted.fault import fault


def _gradients(dZ, cache, *, at=lambda y, s: y * s, taken=slice(None), overwrite=False, flip=False):
    """The post's loops, with the places open that the faults below get wrong; dA_prev still padded."""
    A_prev, W, _, hp = cache
    f, s = W.shape[0], hp["stride"]
    X = _padded(A_prev, hp["pad"])
    dX, dW, db = np.zeros_like(X), np.zeros_like(W), np.zeros((1, 1, 1, W.shape[3]), W.dtype)
    m, rows, cols, n = dZ.shape
    for i in range(m)[taken]:
        for y in range(rows):
            for x in range(cols):
                t, u = at(y, s), at(x, s)
                part = sum(W[..., k] * dZ[i, y, x, k] for k in range(n))
                if flip:
                    part = part[::-1, ::-1]
                if overwrite:
                    dX[i, t : t + f, u : u + f] = part
                else:
                    dX[i, t : t + f, u : u + f] += part
                for k in range(n):
                    dW[..., k] += X[i, t : t + f, u : u + f] * dZ[i, y, x, k]
                    db[0, 0, 0, k] += dZ[i, y, x, k]
    return dX, dW, db


def _inner(dX, cache):
    p = cache[3]["pad"]
    return dX[:, p : dX.shape[1] - p, p : dX.shape[2] - p]


def _finish(dX, dW, db, cache):
    return np.ascontiguousarray(_inner(dX, cache)), dW, db


@fault("conv_backward", "dA_prev", "filter-flipped")
def filter_turned_once_too_often(dZ, cache):
    return _finish(*_gradients(dZ, cache, flip=True), cache)


@fault("conv_backward", "dA_prev dW", "stride-ignored")
def stride_forgotten(dZ, cache):
    return _finish(*_gradients(dZ, cache, at=lambda y, s: y), cache)


@fault("conv_backward", "dA_prev", "padding-kept")
def gradient_of_the_padded_input(dZ, cache):
    return _gradients(dZ, cache)


@fault("conv_backward", "dA_prev", "padding-one-sided")
def padding_cut_at_the_end_only(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    return dX[:, : cache[0].shape[1], : cache[0].shape[2]].copy(), dW, db


@fault("conv_backward", "dA_prev", "crop-empty-at-padding-zero")
def negative_slice(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    p = cache[3]["pad"]
    return dX[:, p:-p, p:-p].copy(), dW, db


@fault("conv_backward", "dA_prev", "overlap-overwritten")
def windows_assigned(dZ, cache):
    return _finish(*_gradients(dZ, cache, overwrite=True), cache)


@fault("conv_backward", "dW db", "gradient-of-last-sample")
def sums_started_anew_for_each_sample(dZ, cache):
    dX, _, _ = _gradients(dZ, cache)
    _, dW, db = _gradients(dZ, cache, taken=slice(len(dZ) - 1, None))
    return _finish(dX, dW, db, cache)


@fault("conv_backward", "dW db", "gradient-divided-by-m")
def mean_over_the_batch(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    scale = dW.dtype.type(1) / dW.dtype.type(max(len(dZ), 1))
    return _finish(dX, dW * scale, db * scale, cache)


@fault("conv_backward", "db", "bias-gradient-not-summed-over-batch")
def bias_gradient_by_sample(dZ, cache):
    dX, dW, _ = _gradients(dZ, cache)
    return _finish(dX, dW, dZ.sum(axis=(1, 2), keepdims=True), cache)


@fault("conv_backward", "db", "shape-flattened")
def bias_gradient_without_leading_ones(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    return _finish(dX, dW, db[0, 0, 0], cache)


@fault("conv_backward", "db", "bias-gradient-per-tap")
def bias_gradient_of_the_post_forward(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    for _ in range(cache[1][..., 0].size - 1):
        db = db + dZ.sum((0, 1, 2)).reshape(db.shape)
    return _finish(dX, dW, db, cache)


@fault("conv_backward", "db", "bias-gradient-total")
def bias_gradient_over_all_axes(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    db[:] = dZ.sum()
    return _finish(dX, dW, db, cache)


@fault("conv_backward", "dW", "weight-gradient-transposed")
def filter_gradient_outputs_first(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    return _finish(dX, np.einsum("ijck->ijkc", dW).copy(), db, cache)


@fault("conv_backward", "dW", "filter-transposed")
def filter_gradient_rows_and_columns(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    return _finish(dX, np.einsum("ijck->jick", dW).copy(), db, cache)


@fault("conv_backward", "dA_prev dW db", "upstream-ignored")
def gradient_of_the_sum(dZ, cache):
    return _finish(*_gradients(np.full(dZ.shape, 1, dZ.dtype), cache), cache)


@fault("conv_backward", "dA_prev dW db", "last-output-row-not-visited")
def rows_one_short(dZ, cache):
    return _finish(*_gradients(dZ[:, : dZ.shape[1] - 1], cache), cache)


@fault("conv_backward", "dA_prev", "input-gradient-divided-by-m")
def input_gradient_of_the_mean(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    return _finish(dX / dX.dtype.type(max(len(dX), 1)), dW, db, cache)


_buffers: dict[tuple[object, ...], np.ndarray] = {}


@fault("conv_backward", "dW", "accumulator-kept-between-calls")
def filter_gradient_in_a_buffer_never_cleared(dZ, cache):
    dX, dW, db = _gradients(dZ, cache)
    buffer = _buffers.setdefault((dW.shape, dW.dtype), np.full_like(dW, 0.5))
    buffer += dW
    return _finish(dX, buffer.copy(), db, cache)
