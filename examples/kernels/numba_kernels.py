"""Max pooling in numba, in the contract's form: NHWC, hyperparameters one by one."""

import numpy as np
from numba import njit


@njit(cache=False)
def _forward(x, f, s):
    m, h, w, c = x.shape
    rows, columns = (h - f) // s + 1, (w - f) // s + 1
    out = np.empty((m, rows, columns, c), x.dtype)
    place = np.empty((m, rows, columns, c), np.int64)
    for i in range(m):
        for r in range(rows):
            for q in range(columns):
                for k in range(c):
                    best = 0
                    for t in range(1, f * f):
                        value = x[i, r * s + t // f, q * s + t % f, k]
                        top = x[i, r * s + best // f, q * s + best % f, k]
                        if value > top or np.isnan(value):
                            best = t
                    place[i, r, q, k] = best
                    out[i, r, q, k] = x[i, r * s + best // f, q * s + best % f, k]
    return out, place


@njit(cache=False)
def _backward(dA, place, shape, f, s):
    out = np.zeros(shape, dA.dtype)
    m, rows, columns, c = dA.shape
    for i in range(m):
        for r in range(rows):
            for q in range(columns):
                for k in range(c):
                    t = place[i, r, q, k]
                    out[i, r * s + t // f, q * s + t % f, k] += dA[i, r, q, k]
    return out


def pool_forward(A_prev, f, stride):
    """Maxima; the first of equals, the last NaN."""
    out, place = _forward(A_prev, f, stride)
    return out, (place, A_prev.shape, f, stride)


def pool_backward(dA, cache):
    """All of the gradient to where the maximum was."""
    return _backward(dA, *cache)
