"""Wrong transposed convolutions."""

from __future__ import annotations

import numpy as np

from conformance.adapters.numpy_loops import ConvCache
from tests.planted.fault import fault


def _whole(A, W, s):
    """Every product added up, before anything is taken off or put on: the post's loops turned round."""
    m, h, w, _ = A.shape
    f = W.shape[0]
    out = np.zeros((m, (h - 1) * s + f, (w - 1) * s + f, W.shape[2]), A.dtype)
    for y in range(h):
        for x in range(w):
            out[:, y * s : y * s + f, x * s : x * s + f] += np.einsum("mk,ijck->mijc", A[:, y, x], W)
    return out


def _cut(image, p):
    return image[:, p : image.shape[1] - p, p : image.shape[2] - p]


def plant(slip, name):
    """Register ``f(A_prev, W, b, stride, pad) -> Z`` as a wrong conv_transpose_forward."""

    def register(compute):
        def conv_transpose_forward(A_prev, W, b, hparameters):
            Z = compute(A_prev, W, b, hparameters["stride"], hparameters["pad"])
            return np.ascontiguousarray(Z), ConvCache(A_prev, W, b, dict(hparameters))

        conv_transpose_forward.__name__ = name
        fault("conv_transpose_forward", "Z", slip)(conv_transpose_forward)
        return compute

    return register


@plant("filter-flipped", "convolution_of_the_gaps")
def _(A, W, b, s, p):
    return _cut(_whole(A, W[::-1, ::-1], s), p) + b


@plant("bias-forgotten", "no_bias_of_the_transpose")
def _(A, W, b, s, p):
    return _cut(_whole(A, W, s), p)


@plant("padding-one-sided", "cut_off_at_the_end")
def _(A, W, b, s, p):
    whole = _whole(A, W, s)
    return whole[:, : whole.shape[1] - 2 * p, : whole.shape[2] - 2 * p] + b


@plant("overlap-overwritten", "last_window_wins")
def _(A, W, b, s, p):
    m, h, w, _ = A.shape
    f = W.shape[0]
    out = np.zeros((m, (h - 1) * s + f, (w - 1) * s + f, W.shape[2]), A.dtype)
    for y in range(h):
        for x in range(w):
            out[:, y * s : y * s + f, x * s : x * s + f] = np.einsum("mk,ijck->mijc", A[:, y, x], W)
    return _cut(out, p) + b


def _gradients(dZ, cache):
    A, W, _, hp = cache
    s, p, f = hp["stride"], hp["pad"], W.shape[0]
    X = np.pad(dZ, ((0, 0), (p, p), (p, p), (0, 0)))
    dA, dW = np.zeros_like(A), np.zeros_like(W)
    for y in range(A.shape[1]):
        for x in range(A.shape[2]):
            window = X[:, y * s : y * s + f, x * s : x * s + f]
            dA[:, y, x] = np.einsum("mijc,ijck->mk", window, W)
            dW += np.einsum("mijc,mk->ijck", window, A[:, y, x])
    return dA, dW, dZ.sum((0, 1, 2)).reshape(1, 1, 1, -1)


@fault("conv_transpose_backward", "dW db", "gradient-divided-by-m")
def mean_of_the_transpose(dZ, cache):
    dA, dW, db = _gradients(dZ, cache)
    with np.errstate(all="ignore"):
        return dA, dW / dW.dtype.type(len(dZ)), db / db.dtype.type(len(dZ))


@fault("conv_transpose_backward", "dA_prev", "filter-flipped")
def gradient_through_the_turned_filter(dZ, cache):
    A, W, b, hp = cache
    _, dW, db = _gradients(dZ, cache)
    return _gradients(dZ, (A, W[::-1, ::-1], b, hp))[0], dW, db


@fault("conv_transpose_backward", "dW", "filter-transposed")
def rows_and_columns_of_the_gradient(dZ, cache):
    dA, dW, db = _gradients(dZ, cache)
    return dA, np.ascontiguousarray(dW.swapaxes(0, 1)), db
