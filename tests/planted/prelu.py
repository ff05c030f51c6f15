"""Wrong PReLU."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("prelu", "A", "prelu-slope-above")
def sides_exchanged(Z, slopes):
    A = Z.copy()
    for index in np.ndindex(Z.shape):
        if Z[index] > 0:
            A[index] *= slopes.flat[index[-1] % slopes.size]
    return A, right.PReLUCache(Z, slopes)


@fault("prelu", "A", "prelu-first-slope-for-all")
def first_channel_of_all(Z, slopes):
    return np.where(Z > 0, Z, slopes.flat[0] * Z) if slopes.size else Z.copy(), right.PReLUCache(Z, slopes)


@fault("prelu", "A", "prelu-is-maximum")
def larger_of_both(Z, slopes):
    return np.maximum(Z, slopes * Z), right.PReLUCache(Z, slopes)


@fault("prelu_backward", "dslopes", "prelu-slopes-not-masked")
def every_term(dA, cache):
    dZ, dslopes = right.prelu_backward(dA, cache)
    every = np.einsum("mhwc,mhwc->c", dA, cache.Z)
    return dZ, (every if dslopes.size == every.size else every.sum()).reshape(dslopes.shape)


@fault("prelu_backward", "dslopes", "gradient-of-last-sample")
def last_sample_overwrites(dA, cache):
    dZ, dslopes = right.prelu_backward(dA, cache)
    for i in range(len(dA)):
        one = right.PReLUCache(cache.Z[i : i + 1], cache.slopes)
        dslopes = right.prelu_backward(dA[i : i + 1], one)[1]
    return dZ, dslopes


@fault("prelu_backward", "dZ", "prelu-gradient-of-right-at-zero")
def not_below(dA, cache):
    dslopes = right.prelu_backward(dA, cache)[1]
    return np.where(cache.Z >= 0, dA, cache.slopes * dA), dslopes


@fault("prelu_backward", "dZ dslopes", "prelu-mask-from-output")
def mask_of_what_was_returned(dA, cache):
    positive = right.prelu(cache.Z, cache.slopes)[0] > 0
    terms = np.where(positive, 0, dA * cache.Z)
    axes = (0, 1, 2, 3) if cache.slopes.shape[3] == 1 else (0, 1, 2)
    return np.where(positive, dA, cache.slopes * dA), terms.sum(axes, keepdims=True)
