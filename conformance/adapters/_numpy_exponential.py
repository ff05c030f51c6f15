"""Activations of an exponential in plain NumPy; a part of `numpy_loops`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.adapters._numpy_units import logistic

Array = NDArray[Any]
_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def _unit(Z: Array, above: float, factor: float, divisor: float) -> Array:
    s, f, d = (Z.dtype.type(x) for x in (above, factor, divisor))
    return np.asarray(np.where(Z > 0, s * Z, f * np.expm1(np.minimum(Z, 0) / d)))


def _slope(Z: Array, above: float, factor: float, divisor: float) -> Array:
    s, f, d = (Z.dtype.type(x) for x in (above, factor, divisor))
    return np.asarray(np.where(Z > 0, s, f * np.exp(np.minimum(Z, 0) / d)))


def elu(Z: Array, alpha: float = 1.0) -> tuple[Array, Array]:
    """Z above 0, else ``alpha (e^Z - 1)``."""
    return _unit(Z, 1, alpha, 1), Z


def elu_backward(dA: Array, cache: Array, alpha: float = 1.0) -> Array:
    """DA above 0, else ``dA alpha e^Z``."""
    result: Array = dA * _slope(cache, 1, alpha, 1)
    return result


def selu(Z: Array) -> tuple[Array, Array]:
    """The scaled ELU."""
    return _unit(Z, _SCALE, _SCALE * _ALPHA, 1), Z


def selu_backward(dA: Array, cache: Array) -> Array:
    """Its derivative times dA."""
    result: Array = dA * _slope(cache, _SCALE, _SCALE * _ALPHA, 1)
    return result


def celu(Z: Array, alpha: float = 1.0) -> tuple[Array, Array]:
    """Z above 0, else ``alpha (e^(Z / alpha) - 1)``."""
    return _unit(Z, 1, alpha, alpha), Z


def celu_backward(dA: Array, cache: Array, alpha: float = 1.0) -> Array:
    """DA above 0, else ``dA e^(Z / alpha)``."""
    result: Array = dA * _slope(cache, 1, 1, alpha)
    return result


def softplus(Z: Array, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Array]:
    """``log(1 + e^(beta Z)) / beta``, Z itself above the threshold."""
    b = Z.dtype.type(beta)
    smooth = (np.maximum(b * Z, 0) + np.log1p(np.exp(-np.abs(b * Z)))) / b
    return np.where(b * Z > threshold, Z, smooth), Z


def softplus_backward(dA: Array, cache: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """``dA sigmoid(beta Z)``, dA above the threshold."""
    w = cache.dtype.type(beta) * cache
    return np.where(w > threshold, dA, dA * logistic(w))


def _gate(Z: Array) -> Array:
    return np.asarray(np.tanh(np.maximum(Z, 0) + np.log1p(np.exp(-np.abs(Z)))))


def mish(Z: Array) -> tuple[Array, Array]:
    """``Z tanh(softplus(Z))``."""
    return Z * _gate(Z), Z


def mish_backward(dA: Array, cache: Array) -> Array:
    """``dA (T + Z s (1 - T^2))``."""
    gate = _gate(cache)
    result: Array = dA * (gate + cache * logistic(cache) * (1 - gate * gate))
    return result
