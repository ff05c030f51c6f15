"""Wrong activations."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("relu", "A", "relu-leaky")
def small_slope(Z):
    return np.where(Z > 0, Z, Z.dtype.type(0.01) * Z), Z


@fault("relu", "A", "relu-absolute")
def modulus(Z):
    return np.sqrt(Z * Z) if Z.dtype == np.float16 else np.fabs(Z), Z


@fault("relu", "A", "relu-nan-becomes-zero")
def product_with_the_mask(Z):
    out = np.zeros_like(Z)
    out[Z > 0] = Z[Z > 0]
    return out, Z


@fault("relu", "A", "input-modified")
def in_place(Z):
    Z[Z < 0] = 0
    return Z, Z


@fault("relu_backward", "dZ", "relu-gradient-at-zero")
def not_negative(dA, cache):
    dZ = dA.copy()
    dZ[cache < 0] = 0
    return dZ


@fault("relu_backward", "dZ", "relu-mask-from-gradient")
def mask_of_the_wrong_array(dA, cache):
    return np.maximum(dA, 0)


@fault("relu_backward", "dZ", "relu-gradient-is-the-mask")
def mask_alone(dA, cache):
    return (cache > 0).astype(dA.dtype)


@fault("relu_backward", "dZ", "relu-gradient-inverted")
def comparison_the_wrong_way(dA, cache):
    return np.where(cache < 0, dA, 0).astype(dA.dtype)


@fault("sigmoid", "A", "sigmoid-is-tanh")
def other_function(Z):
    return np.tanh(Z), Z


@fault("sigmoid", "A", "sigmoid-of-minus-z")
def exponent_of_the_wrong_sign(Z):
    return right.sigmoid(np.negative(Z))[0], Z


@fault("sigmoid", "A", "sigmoid-underflows-early")
def as_in_the_textbook(Z):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-Z)), Z


@fault("sigmoid_backward", "dZ", "sigmoid-underflows-early")
def product_of_the_textbook_sigmoid(dA, cache):
    s, _ = as_in_the_textbook(cache)
    return dA * (s * (1 - s))


@fault("sigmoid", "A", "sigmoid-overflows")
def quotient_of_exponentials(Z):
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(Z)
        return e / (e + 1), Z


@fault("sigmoid", "A", "sigmoid-argument-clipped")
def argument_clipped(Z):
    return (1 / (1 + np.exp(-np.clip(Z, -20, 20)))).astype(Z.dtype), Z


@fault("sigmoid_backward", "dZ", "sigmoid-derivative-of-z")
def cache_holds_the_argument(dA, cache):
    return dA * cache * (1 - cache)


@fault("sigmoid_backward", "dZ", "sigmoid-applied-twice")
def sigmoid_of_the_activation(dA, cache):
    once = right.sigmoid(cache)[0]
    twice = right.sigmoid(once)[0]
    return dA * twice * (1 - twice)


@fault("sigmoid_backward", "dZ", "sigmoid-derivative-is-s")
def factor_forgotten(dA, cache):
    return dA * right.sigmoid(cache)[0]
