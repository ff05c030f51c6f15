"""Wrong tanh, SiLU, GELU, leaky ReLU, logarithm of softmax."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("tanh", "A", "tanh-is-sigmoid")
def other_curve(Z):
    return right.sigmoid(Z)


@fault("tanh_backward", "dZ", "tanh-derivative-of-z")
def cache_taken_for_activation(dA, cache):
    return dA * (1 - cache * cache)


@fault("silu", "A", "silu-is-sigmoid")
def factor_z_forgotten(Z):
    return right.sigmoid(Z)


@fault("silu_backward", "dZ", "silu-derivative-of-sigmoid")
def slope_of_the_sigmoid(dA, cache):
    return right.sigmoid_backward(dA, cache)


@fault("gelu", "A", "gelu-forms-exchanged")
def other_form(Z, approximate="none"):
    return right.gelu(Z, "none" if approximate == "tanh" else "tanh")


@fault("gelu", "A", "gelu-by-sigmoid")
def quick_gelu(Z, approximate="none"):
    return Z * right.sigmoid(Z.dtype.type(1.702) * Z)[0], Z


@fault("gelu_backward", "dZ", "gelu-forms-exchanged")
def slope_of_the_other_form(dA, cache, approximate="none"):
    return right.gelu_backward(dA, cache, "none" if approximate == "tanh" else "tanh")


@fault("leaky_relu", "A", "leaky-is-relu")
def no_leak(Z, negative_slope=0.01):
    return right.relu(Z)


@fault("leaky_relu_backward", "dZ", "leaky-mask-from-gradient")
def mask_of_dA(dA, cache, negative_slope=0.01):
    return right.leaky_relu_backward(dA, dA, negative_slope)


@fault("log_softmax", "logp", "log-softmax-no-shift")
def log_of_sum_of_exp(X):
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return X - np.log(np.exp(X).sum(axis=1, keepdims=True)), X


@fault("log_softmax_backward", "dX", "log-softmax-gradient-of-softmax")
def jacobian_of_softmax(dlogp, cache):
    return right.softmax_backward(dlogp, cache)


@fault("tanh", "A", "tanh-by-rational-function")
def quotient_of_polynomials(Z):
    z = np.clip(Z, -3, 3)
    square = z * z
    return z * (27 + square) / (27 + 9 * square), Z


@fault("gelu", "A", "gelu-coefficient-mistyped")
def a_digit_of_the_coefficient_lost(Z, approximate="none"):
    if approximate == "none":
        return right.gelu(Z, approximate)
    with np.errstate(over="ignore"):
        inner = Z.dtype.type(2 * np.sqrt(2 / np.pi)) * (Z + Z.dtype.type(0.44715) * Z**3)
    return Z * right.sigmoid(inner)[0], Z


@fault("silu_backward", "dZ", "gate-taken-for-constant-on-one-side")
def product_rule_for_negative_numbers(dA, cache):
    return np.where(cache > 0, dA * right.sigmoid(cache)[0], right.silu_backward(dA, cache))


@fault("leaky_relu", "A", "leaky-is-maximum")
def larger_of_both(Z, negative_slope=0.01):
    return np.maximum(Z, Z * Z.dtype.type(negative_slope)), Z
