"""Wrong convolutions, forward."""

from __future__ import annotations

import numpy as np

from conformance.adapters.numpy_loops import ConvCache
from tests.planted.fault import fault


def _extents(A, W, hp, pad=None):
    p = hp["pad"] if pad is None else pad
    f, s = W.shape[0], hp["stride"]
    return (A.shape[1] + 2 * p - f) // s + 1, (A.shape[2] + 2 * p - f) // s + 1


def _padded(A, p):
    out = np.zeros((A.shape[0], A.shape[1] + 2 * p, A.shape[2] + 2 * p, A.shape[3]), A.dtype)
    out[:, p : p + A.shape[1], p : p + A.shape[2]] = A
    return out


def _loop(A, W, b, hp, step, padded=None, start=0, place=None):
    """The post's loops; `step` computes one output from one slice of the padded input."""
    rows, cols = _extents(A, W, hp)
    f, s = W.shape[0], hp["stride"]
    X = _padded(A, hp["pad"]) if padded is None else padded
    Z = np.zeros((A.shape[0], rows, cols, W.shape[3]), A.dtype)
    for i in range(A.shape[0]):
        for y in range(rows):
            for x in range(cols):
                t, u = (y * s + start, x * s + start) if place is None else (place(y), place(x))
                piece = X[i, t : t + f, u : u + f]
                for k in range(W.shape[3]):
                    Z[i, y, x, k] = step(piece, W[..., k], b[0, 0, 0, k], k)
    return Z


def _right(piece, w, b, k):
    return (piece * w).sum() + b


def _cache(A_prev, W, b, hparameters):
    return ConvCache(A_prev, W, b, dict(hparameters))


def plant(slip, name, dtype="f32"):
    """Register ``f(A_prev, W, b, hparameters) -> Z`` as a wrong conv_forward."""

    def register(compute):
        def conv_forward(A_prev, W, b, hparameters):
            return compute(A_prev, W, b, hparameters), _cache(A_prev, W, b, hparameters)

        conv_forward.__name__ = name
        fault("conv_forward", "Z", slip, dtype)(conv_forward)
        return compute

    return register


@plant("conv-bias-per-tap", "bias_inside_the_sum")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, b, k: np.sum(piece * w + b))


@plant("bias-forgotten", "no_bias")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, b, k: np.sum(piece * w))


@plant("bias-of-first-channel", "bias_index_stuck")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, _, k: np.sum(piece * w) + b.flat[0])


@plant("bias-twice", "bias_initialises_and_is_added")
def _(A, W, b, hp):
    def step(piece, w, b, k):
        total = b
        total = total + np.sum(piece * w)
        return total + b

    return _loop(A, W, b, hp, step)


@plant("filter-flipped", "textbook_convolution")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, b, k: np.sum(np.rot90(piece, 2) * w) + b)


@plant("filter-transposed", "rows_and_columns_of_the_filter")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, b, k: np.einsum("ijc,jic->", piece, w) + b)


@plant("filter-read-as-oihw", "filter_of_torch")
def _(A, W, b, hp):
    f, _, c, n = W.shape
    return _loop(A, np.ascontiguousarray(np.moveaxis(W.reshape(n, c, f, f), (0, 1), (3, 2))), b, hp, _right)


@plant("stride-ignored", "window_not_moved_by_the_stride")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, _right, place=lambda y: y)


@plant("padding-one-sided", "padding_at_the_end")
def _(A, W, b, hp):
    p = hp["pad"]
    return _loop(A, W, b, hp, _right, padded=np.pad(A, ((0, 0), (0, 2 * p), (0, 2 * p), (0, 0))))


@plant("padding-off-by-one", "window_one_pixel_late")
def _(A, W, b, hp):
    p = hp["pad"]
    return _loop(A, W, b, hp, _right, np.pad(A, ((0, 0), (p, p + 1), (p, p + 1), (0, 0))), start=1)


@plant("padding-replicated", "border_of_the_edge")
def _(A, W, b, hp):
    p = hp["pad"]
    sides = ((0, 0), (p, p), (p, p), (0, 0))
    return _loop(A, W, b, hp, _right, padded=np.pad(A, sides, "edge") if A.size else None)


@plant("padding-wrapped", "border_of_a_torus")
def _(A, W, b, hp):
    p = hp["pad"]
    sides = ((0, 0), (p, p), (p, p), (0, 0))
    return _loop(A, W, b, hp, _right, padded=np.pad(A, sides, "wrap") if A.size else None)


@plant("padding-forgotten", "no_padding")
def _(A, W, b, hp):
    f, s = W.shape[0], hp["stride"]
    rows, cols = _extents(A, W, hp, pad=0)
    Z = np.zeros((A.shape[0], max(rows, 0), max(cols, 0), W.shape[3]), A.dtype)
    for y in range(rows):
        for x in range(cols):
            Z[:, y, x] = np.tensordot(A[:, y * s : y * s + f, x * s : x * s + f], W, 3) + b.reshape(-1)
    return Z


@plant("filter-last-row-missing", "rows_of_the_window_one_short")
def _(A, W, b, hp):
    def step(piece, w, b, k):
        total = b
        for i in range(w.shape[0] - 1):
            for j in range(w.shape[1]):
                total = total + piece[i, j] @ w[i, j]
        return total

    return _loop(A, W, b, hp, step)


@plant("input-channels-only-first", "channels_not_summed")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, b, k: (piece * w)[..., :1].sum() + b)


@plant("last-input-channel-not-summed", "channels_one_short")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, lambda piece, w, b, k: (piece[..., :-1] * w[..., :-1]).sum() + b)


@plant("accumulator-kept-between-channels", "total_not_reset")
def _(A, W, b, hp):
    carried = [0.0]

    def step(piece, w, b, k):
        if k == 0:
            carried[0] = A.dtype.type(0)
        carried[0] = carried[0] + np.sum(piece * w) + b
        return carried[0]

    return _loop(A, W, b, hp, step)


@plant("output-written-as-nchw", "memory_channels_first")
def _(A, W, b, hp):
    Z = _loop(A, W, b, hp, _right)
    m, rows, cols, k = Z.shape
    memory = np.empty(Z.size, Z.dtype)
    for i in range(m):
        for o in range(k):
            begin = (i * k + o) * rows * cols
            memory[begin : begin + rows * cols] = Z[i, :, :, o].reshape(-1)
    return memory.reshape(Z.shape)


@plant("height-width-exchanged", "extents_of_the_input_exchanged")
def _(A, W, b, hp):
    m, h, w, c = A.shape
    memory = A.reshape(m, h * w, c)
    X = np.empty_like(A)
    for y in range(h):
        for x in range(w):
            X[:, y, x] = memory[:, x * h + y]
    return _loop(X, W, b, hp, _right)


@plant("last-row-missing", "last_row_left_out")
def _(A, W, b, hp):
    Z = np.zeros_like(full := _loop(A, W, b, hp, _right))
    for y in range(Z.shape[1] - 1):
        Z[:, y] = full[:, y]
    return Z


@plant("last-channels-missing", "blocks_of_four_without_a_tail")
def _(A, W, b, hp):
    full = _loop(A, W, b, hp, _right)
    Z = np.zeros_like(full)
    for block in range(full.shape[3] // 4):
        Z[..., 4 * block : 4 * block + 4] = full[..., 4 * block : 4 * block + 4]
    return Z


@plant("last-sample-missing", "last_sample_left_out")
def _(A, W, b, hp):
    Z = _loop(A, W, b, hp, _right)
    Z[len(Z) - 1 :] = np.nan
    return Z


@plant("first-sample-repeated", "sample_index_stuck")
def _(A, W, b, hp):
    return _loop(A, W, b, hp, _right) if len(A) == 0 else np.repeat(_loop(A[:1], W, b, hp, _right), len(A), 0)


def _bfloat16(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    nearest = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    return np.where(np.isfinite(x), nearest.astype(np.uint32).view(np.float32), x)


@plant("inputs-bfloat16", "bfloat16_operands")
def _(A, W, b, hp):
    return _loop(_bfloat16(A), _bfloat16(W), _bfloat16(b), hp, _right)


@plant("inputs-tf32", "tf32_operands")
def _(A, W, b, hp):
    def cut(x):
        return (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

    return _loop(cut(A), cut(W), cut(b), hp, _right)


@plant("computed-in-float32", "float32_inside", dtype="f64")
def _(A, W, b, hp):
    narrow = [x.astype(np.float32) for x in (A, W, b)]
    return _loop(*narrow, hp, _right).astype(np.float64)


@fault("conv_single_step", "Z", "conv-bias-per-tap")
def bias_for_every_product(a_slice_prev, W, b):
    total = 0.0
    for a, w in zip(a_slice_prev.flat, W.flat, strict=True):
        total += float(a) * float(w) + float(b)
    return total


@fault("conv_single_step", "Z", "bias-subtracted")
def bias_of_the_wrong_sign(a_slice_prev, W, b):
    return float(np.vdot(a_slice_prev, W) - b)
