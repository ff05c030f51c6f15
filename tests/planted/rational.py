"""Wrong ReLU6, hard tanh, hard sigmoid, hard swish, softsign."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("relu6", "A", "relu6-without-end")
def no_end(Z):
    return right.relu(Z)


@fault("relu6", "A", "relu6-by-difference")
def difference_of_two(Z):
    return right.relu(Z)[0] - right.relu(Z - 6)[0], Z


@fault("relu6_backward", "dZ", "clip-gradient-at-ends")
def passes_at_6(dA, cache):
    return np.where((cache >= 0) & (cache <= 6), dA, 0).astype(dA.dtype)


@fault("hardtanh", "A", "hardtanh-ends-ignored")
def always_1(Z, min_val=-1.0, max_val=1.0):
    return right.hardtanh(Z)


@fault("hardtanh_backward", "dZ", "clip-gradient-not-cut")
def cut_below_alone(dA, cache, min_val=-1.0, max_val=1.0):
    return right.hardtanh_backward(dA, cache, min_val, np.inf)


@fault("hardsigmoid", "A", "hardsigmoid-other-slope")
def a_fifth(Z):
    return np.clip(Z * Z.dtype.type(0.2) + Z.dtype.type(0.5), 0, 1), Z


@fault("hardsigmoid_backward", "dZ", "hardsigmoid-gradient-not-cut")
def a_sixth_everywhere(dA, cache):
    return dA / 6


@fault("hardswish", "A", "hardswish-is-hardsigmoid")
def gate_alone(Z):
    return right.hardsigmoid(Z)


@fault("hardswish_backward", "dZ", "hardswish-gradient-at-ends")
def line_at_the_ends(dA, cache):
    slope = cache / 3 + cache.dtype.type(0.5)
    return np.where(cache < -3, np.zeros_like(dA), np.where(cache > 3, dA, dA * slope))


@fault("hardswish_backward", "dZ", "hardswish-gate-for-constant")
def gate_held(dA, cache):
    return dA * right.hardsigmoid(cache)[0]


@fault("softsign", "A", "softsign-without-size")
def divided_by_1_and_z(Z):
    with np.errstate(divide="ignore"):
        return Z / (1 + Z), Z


@fault("softsign_backward", "dZ", "softsign-derivative-not-squared")
def divided_once(dA, cache):
    return dA / (1 + np.abs(cache))


@fault("relu6_backward", "dZ", "clip-gradient-at-ends")
def passes_at_6_alone(dA, cache):
    return np.where((cache > 0) & (cache <= 6), dA, 0).astype(dA.dtype)
