"""Wrong pooling, masks and spread values."""

from __future__ import annotations

import numpy as np

from conformance.adapters.numpy_loops import PoolCache
from tests.planted.fault import fault


def _forward(A_prev, hp, step, mode, other=None):
    f, s = hp["f"], hp["stride"]
    m, h, w, c = A_prev.shape
    A = np.zeros((m, (h - f) // s + 1, (w - f) // s + 1, c), A_prev.dtype)
    for i, y, x, k in np.ndindex(*A.shape):
        A[i, y, x, k] = step(A_prev[i, y * s : y * s + f, x * s : x * s + f, k], mode)
    return A, PoolCache(A_prev, hp)


def _pick(window):
    """Row and column of the maximum: the first, or the last NaN."""
    place = np.flatnonzero(np.isnan(window))[-1] if np.isnan(window).any() else window.argmax()
    return np.unravel_index(place, window.shape)


def _backward(dA, cache, mode, spread, at=lambda y, s: y * s, assign=False):
    A_prev, hp = cache
    f, s = hp["f"], hp["stride"]
    out = np.zeros_like(A_prev)
    for i, y, x, k in np.ndindex(*dA.shape):
        place = (i, slice(at(y, s), at(y, s) + f), slice(at(x, s), at(x, s) + f), k)
        part = spread(A_prev[place], dA[i, y, x, k], mode)
        out[place] = part if assign else out[place] + part
    return out


def _right(window, g, mode):
    part = np.zeros_like(window)
    if mode == "max":
        part[_pick(window)] = g
    else:
        part[:] = g / window.size
    return part


@fault("pool_forward", "A", "pool-max-starts-at-zero")
def maximum_from_zero(A_prev, hparameters, mode="max"):
    def step(window, mode):
        best = window.dtype.type(0)
        for value in window.flat:
            best = value if value > best or value != value else best
        return best if mode == "max" else window.mean()

    return _forward(A_prev, hparameters, step, mode)


@fault("pool_forward", "A", "pool-max-of-absolute-values")
def largest_in_size(A_prev, hparameters, mode="max"):
    def step(window, mode):
        return window.mean() if mode == "average" else window.flat[np.abs(window).argmax()]

    return _forward(A_prev, hparameters, step, mode)


@fault("pool_forward", "A", "pool-minimum")
def comparison_turned_round(A_prev, hparameters, mode="max"):
    return _forward(A_prev, hparameters, lambda w, mode: w.min() if mode == "max" else w.mean(), mode)


@fault("pool_forward", "A", "pool-nan-ignored")
def comparison_false_for_nan(A_prev, hparameters, mode="max"):
    def step(window, mode):
        best = window.dtype.type(-np.inf)
        for value in window.flat:
            if value > best:
                best = value
        return best if mode == "max" else window.mean()

    return _forward(A_prev, hparameters, step, mode)


@fault("pool_forward", "A", "pool-mode-ignored")
def average_only(A_prev, hparameters, mode="max"):
    return _forward(A_prev, hparameters, lambda window, mode: window.mean(), mode)


@fault("pool_forward", "A", "average-not-divided")
def sum_of_the_window(A_prev, hparameters, mode="max"):
    return _forward(A_prev, hparameters, lambda w, mode: w.max() if mode == "max" else w.sum(), mode)


@fault("pool_forward", "A", "stride-ignored")
def windows_side_by_side(A_prev, hparameters, mode="max"):
    f, s = hparameters["f"], hparameters["stride"]
    m, h, w, c = A_prev.shape
    A = np.zeros((m, (h - f) // s + 1, (w - f) // s + 1, c), A_prev.dtype)
    for i, y, x, k in np.ndindex(*A.shape):
        window = A_prev[i, y : y + f, x : x + f, k]
        A[i, y, x, k] = window.max() if mode == "max" else window.mean()
    return A, PoolCache(A_prev, hparameters)


@fault("pool_backward", "dA_prev", "pool-ties-all")
def mask_by_equality(dA, cache, mode="max"):
    def spread(window, g, mode):
        if mode == "max" and not np.isnan(window).any():
            return (window == window.max()) * g
        return _right(window, g, mode)

    return _backward(dA, cache, mode, spread)


@fault("pool_backward", "dA_prev", "pool-ties-last")
def greater_or_equal(dA, cache, mode="max"):
    def spread(window, g, mode):
        if mode != "max" or np.isnan(window).any():
            return _right(window, g, mode)
        best, part = (0, 0), np.zeros_like(window)
        for place in np.ndindex(*window.shape):
            if window[place] >= window[best]:
                best = place
        part[best] = g
        return part

    return _backward(dA, cache, mode, spread)


@fault("pool_backward", "dA_prev", "pool-ties-shared")
def divided_among_the_maxima(dA, cache, mode="max"):
    def spread(window, g, mode):
        if mode != "max" or np.isnan(window).any():
            return _right(window, g, mode)
        best = window == window.max()
        return best * (g / window.dtype.type(np.count_nonzero(best)))

    return _backward(dA, cache, mode, spread)


@fault("pool_backward", "dA_prev", "overlap-overwritten")
def assigned(dA, cache, mode="max"):
    return _backward(dA, cache, mode, _right, assign=True)


@fault("pool_backward", "dA_prev", "average-not-divided")
def average_gradient_undivided(dA, cache, mode="max"):
    def spread(window, g, mode):
        return _right(window, g, mode) if mode == "max" else np.full_like(window, g)

    return _backward(dA, cache, mode, spread)


@fault("pool_backward", "dA_prev", "stride-ignored")
def stride_of_one(dA, cache, mode="max"):
    return _backward(dA, cache, mode, _right, at=lambda y, s: y)


@fault("pool_backward", "dA_prev", "upstream-ignored")
def the_mask_itself(dA, cache, mode="max"):
    return _backward(np.ones_like(dA), cache, mode, _right)


@fault("pool_backward", "dA_prev", "pool-gradient-to-every-entry")
def no_mask(dA, cache, mode="max"):
    def spread(window, g, mode):
        return np.full_like(window, g) if mode == "max" else _right(window, g, mode)

    return _backward(dA, cache, mode, spread)


@fault("create_mask_from_window", "mask", "mask-ties-all")
def equality(x):
    if np.isnan(x).any():
        return _right(x, x.dtype.type(1), "max")
    return (x == np.max(x)).astype(x.dtype)


@fault("create_mask_from_window", "mask", "mask-ties-last")
def last_of_equals(x):
    mask = np.zeros_like(x)
    order = np.flatnonzero(np.isnan(x) if np.isnan(x).any() else x == x.max())
    mask.flat[order[-1]] = 1
    return mask


@fault("create_mask_from_window", "mask", "mask-nan-first")
def argmax_of_numpy(x):
    mask = np.zeros_like(x)
    mask[np.unravel_index(np.argmax(x), x.shape)] = 1
    return mask


@fault("create_mask_from_window", "mask", "mask-holds-values")
def value_kept(x):
    mask = np.zeros_like(x)
    mask[_pick(x)] = x[_pick(x)]
    return mask


@fault("create_mask_from_window", "mask", "mask-first-by-columns")
def fortran_order(x):
    mask = np.zeros(x.shape, x.dtype, order="F")
    column_by_column = x.ravel(order="F")
    nan = np.isnan(column_by_column)
    place = np.flatnonzero(nan)[-1] if nan.any() else column_by_column.argmax()
    mask[np.unravel_index(place, x.shape, order="F")] = 1
    return np.ascontiguousarray(mask)


@fault("distribute_value", "a", "average-not-divided")
def value_everywhere(dz, shape):
    return np.full(shape, np.float64(dz))


@fault("distribute_value", "a", "average-divided-by-one-extent")
def divided_by_the_rows(dz, shape):
    return np.ones(shape) * (np.float64(dz) / shape[0])


@fault("pool_backward", "dA_prev", "pool-ties-by-columns")
def first_down_the_columns(dA, cache, mode="max"):
    def spread(window, g, mode):
        return _right(window.T, g, mode).T

    return _backward(dA, cache, mode, spread)
