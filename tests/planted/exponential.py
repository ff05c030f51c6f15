"""Wrong ELU, SELU, CELU, softplus and Mish."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("elu", "A", "elu-alpha-ignored")
def alpha_of_1(Z, alpha=1.0):
    return right.elu(Z)


@fault("elu_backward", "dZ", "elu-derivative-by-activation")
def slope_is_activation(dA, cache, alpha=1.0):
    return dA * np.where(cache > 0, cache.dtype.type(1), right.elu(cache, alpha)[0])


@fault("selu", "A", "selu-not-scaled")
def unscaled(Z):
    return right.elu(Z, 1.6732632423543772)


@fault("selu_backward", "dZ", "elu-derivative-at-activation")
def derivative_of_the_result(dA, cache):
    return right.selu_backward(dA, right.selu(cache)[0])


@fault("celu", "A", "elu-is-celu")
def z_not_divided(Z, alpha=1.0):
    return right.elu(Z, alpha)


@fault("celu_backward", "dZ", "elu-is-celu")
def slope_of_elu(dA, cache, alpha=1.0):
    return right.elu_backward(dA, cache, alpha)


@fault("softplus", "A", "softplus-overflows")
def exp_as_it_is(Z, beta=1.0, threshold=20.0):
    if threshold != 20:
        return right.softplus(Z, beta, threshold)
    b = Z.dtype.type(beta)
    with np.errstate(over="ignore"):
        return np.log1p(np.exp(b * Z)) / b, Z


@fault("softplus", "A", "softplus-beta-ignored")
def beta_of_1(Z, beta=1.0, threshold=20.0):
    return right.softplus(Z, 1.0, threshold)


@fault("softplus_backward", "dZ", "softplus-derivative-of-sigmoid")
def second_derivative(dA, cache, beta=1.0, threshold=20.0):
    b = cache.dtype.type(beta)
    return np.where(b * cache > threshold, dA, right.sigmoid_backward(dA, b * cache))


@fault("mish", "A", "mish-without-tanh")
def times_softplus(Z):
    return Z * right.softplus(Z)[0], Z


@fault("mish_backward", "dZ", "mish-gate-for-constant")
def gate_held(dA, cache):
    return dA * np.tanh(right.softplus(cache)[0])
