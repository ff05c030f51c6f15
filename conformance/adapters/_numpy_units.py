"""Activations, normalization and global pooling in plain NumPy; a part of `numpy_loops`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])


class BatchNormCache(NamedTuple):
    """What batch_norm_backward needs, and the new running statistics."""

    A_prev: Array
    gamma: Array
    mean: Array
    variance: Array
    running_mean: Array
    running_var: Array
    hparameters: Mapping[str, Any]


class LayerNormCache(NamedTuple):
    """What layer_norm_backward needs."""

    A_prev: Array
    gamma: Array
    hparameters: Mapping[str, Any]


class RMSNormCache(NamedTuple):
    """What rms_norm_backward needs."""

    A_prev: Array
    gamma: Array
    hparameters: Mapping[str, Any]


def logistic(Z: Array) -> Array:
    """``1 / (1 + exp(-Z))``, with exp of a negative number only, which cannot overflow."""
    e = np.exp(-np.abs(Z))
    return np.where(Z < 0, e / (1 + e), 1 / (1 + e))


def tanh(Z: Array) -> tuple[Array, Array]:
    """``tanh(Z)``."""
    return np.tanh(Z), Z


def tanh_backward(dA: Array, cache: Array) -> Array:
    """``dA (1 - tanh^2)``."""
    y = np.tanh(cache)
    result: Array = dA * (1 - y * y)
    return result


def silu(Z: Array) -> tuple[Array, Array]:
    """``Z sigmoid(Z)``."""
    return Z * logistic(Z), Z


def silu_backward(dA: Array, cache: Array) -> Array:
    """``dA s (1 + Z (1 - s))``."""
    s = logistic(cache)
    result: Array = dA * (s * (1 + cache * (1 - s)))
    return result


def _constant(value: float, like: Array) -> Any:
    return like.dtype.type(value)


def _erf_of(Z: Array) -> Array:
    return np.asarray(_erf(np.asarray(Z, np.float64) * math.sqrt(0.5)) if Z.size else Z, Z.dtype)


def _inner(Z: Array) -> Array:
    inner: Array = _constant(math.sqrt(2 / math.pi), Z) * (Z + _constant(0.044715, Z) * Z * Z * Z)
    return inner


def gelu(Z: Array, approximate: str = "none") -> tuple[Array, Array]:
    """``Z Phi(Z)``, or ``0.5 Z (1 + tanh(sqrt(2 / pi) (Z + 0.044715 Z^3)))``."""
    curve = np.tanh(_inner(Z)) if approximate == "tanh" else _erf_of(Z)
    return _constant(0.5, Z) * Z * (1 + curve), Z


def gelu_backward(dA: Array, cache: Array, approximate: str = "none") -> Array:
    """The derivative of either form times dA."""
    Z, half = cache, _constant(0.5, cache)
    if approximate == "tanh":
        t = np.tanh(_inner(Z))
        slope = _constant(math.sqrt(2 / math.pi), Z) * (1 + 3 * _constant(0.044715, Z) * Z * Z)
        # The slope may overflow only where 1 - t^2 is 0.
        rest = np.where(np.abs(t) == 1, 0, half * Z * (1 - t * t) * slope)
        result: Array = dA * (half * (1 + t) + rest)
        return result
    density = _constant(1 / math.sqrt(2 * math.pi), Z) * np.exp(-half * Z * Z)
    rest = np.where(density == 0, 0, Z * density)
    return np.asarray(dA * (half * (1 + _erf_of(Z)) + rest))


def leaky_relu(Z: Array, negative_slope: float = 0.01) -> tuple[Array, Array]:
    """Z where it is above 0, else ``negative_slope Z``."""
    return np.where(Z > 0, Z, Z * _constant(negative_slope, Z)), Z


def leaky_relu_backward(dA: Array, cache: Array, negative_slope: float = 0.01) -> Array:
    """DA where Z is above 0, else ``negative_slope dA``."""
    return np.where(cache > 0, dA, dA * _constant(negative_slope, dA))


class PReLUCache(NamedTuple):
    """What prelu_backward needs."""

    Z: Array
    slopes: Array


def prelu(Z: Array, slopes: Array) -> tuple[Array, PReLUCache]:
    """Z where it is above 0, else ``slopes Z``."""
    return np.where(Z > 0, Z, slopes * Z), PReLUCache(Z, slopes)


def prelu_backward(dA: Array, cache: PReLUCache) -> tuple[Array, Array]:
    """DA where Z is above 0, else ``slopes dA``; the sum of ``dA Z`` there."""
    Z, slopes = cache
    axes = tuple(axis for axis in range(4) if slopes.shape[axis] == 1 or axis < 3)
    terms = np.where(Z > 0, 0, dA * Z)
    return np.where(Z > 0, dA, slopes * dA), terms.sum(axes, keepdims=True, dtype=Z.dtype)


def global_average_pool_forward(A_prev: Array) -> tuple[Array, Array]:
    """The mean of each channel of each image."""
    return A_prev.mean(axis=(1, 2), keepdims=True, dtype=A_prev.dtype), A_prev


def global_average_pool_backward(dA: Array, cache: Array) -> Array:
    """An equal share for each pixel."""
    share: Array = dA / dA.dtype.type(cache.shape[1] * cache.shape[2])
    return np.array(np.broadcast_to(share, cache.shape))


def batch_norm_forward(
    A_prev: Array,
    gamma: Array,
    beta: Array,
    running_mean: Array,
    running_var: Array,
    hparameters: Mapping[str, Any],
) -> tuple[Array, BatchNormCache]:
    """``gamma (A_prev - mean) / sqrt(variance + epsilon) + beta``."""
    mean, variance = running_mean, running_var
    values = A_prev.shape[0] * A_prev.shape[1] * A_prev.shape[2]
    if hparameters["training"] and values:
        mean = A_prev.mean(axis=(0, 1, 2), keepdims=True)
        apart = A_prev - mean
        variance = (apart * apart).mean(axis=(0, 1, 2), keepdims=True)
        part, number = hparameters["momentum"], A_prev.dtype.type(values)
        running_mean = (1 - part) * running_mean + part * mean
        running_var = (1 - part) * running_var + part * (variance * number / (number - 1))
    A = gamma * ((A_prev - mean) / np.sqrt(variance + hparameters["epsilon"])) + beta
    return A, BatchNormCache(A_prev, gamma, mean, variance, running_mean, running_var, dict(hparameters))


def batch_norm_backward(dA: Array, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """Through the statistics of the batch in training, else along the fixed ones."""
    A_prev, gamma, mean, variance, _, _, hparameters = cache
    inverse = 1 / np.sqrt(variance + hparameters["epsilon"])
    normal = (A_prev - mean) * inverse
    dbeta = dA.sum(axis=(0, 1, 2), keepdims=True)
    dgamma = (dA * normal).sum(axis=(0, 1, 2), keepdims=True)
    if not hparameters["training"]:
        return gamma * inverse * dA, dgamma, dbeta
    number = dA.dtype.type(max(dA.size // max(dA.shape[3], 1), 1))
    return gamma * inverse * (dA - dbeta / number - normal * (dgamma / number)), dgamma, dbeta


def _each_pixel(A_prev: Array, hparameters: Mapping[str, Any]) -> tuple[Array, Array]:
    """The normalized values of each pixel, and 1 over their deviation."""
    apart = A_prev - A_prev.mean(axis=3, keepdims=True)
    inverse = 1 / np.sqrt((apart * apart).mean(axis=3, keepdims=True) + hparameters["epsilon"])
    return apart * inverse, inverse


def layer_norm_forward(
    A_prev: Array, gamma: Array, beta: Array, hparameters: Mapping[str, Any]
) -> tuple[Array, LayerNormCache]:
    """``gamma (A_prev - mean) / sqrt(variance + epsilon) + beta`` of each pixel's channels."""
    cache = LayerNormCache(A_prev, gamma, dict(hparameters))
    return (gamma * _each_pixel(A_prev, hparameters)[0] + beta if A_prev.size else A_prev.copy()), cache


def layer_norm_backward(dA: Array, cache: LayerNormCache) -> tuple[Array, Array, Array]:
    """Through the statistics of each pixel."""
    A_prev, gamma, hparameters = cache
    dbeta = dA.sum(axis=(0, 1, 2), keepdims=True)
    if not dA.size:
        return dA.copy(), dbeta, dbeta.copy()
    normal, inverse = _each_pixel(A_prev, hparameters)
    h = gamma * dA
    through = h.mean(axis=3, keepdims=True) + normal * (h * normal).mean(axis=3, keepdims=True)
    return inverse * (h - through), (dA * normal).sum(axis=(0, 1, 2), keepdims=True), dbeta


def rms_norm_forward(
    A_prev: Array, gamma: Array, hparameters: Mapping[str, Any]
) -> tuple[Array, RMSNormCache]:
    """``gamma A_prev / sqrt(mean of A_prev^2 + epsilon)`` of each pixel's channels."""
    cache = RMSNormCache(A_prev, gamma, dict(hparameters))
    return (gamma * A_prev * _root_mean_square(cache) if A_prev.size else A_prev.copy()), cache


def rms_norm_backward(dA: Array, cache: RMSNormCache) -> tuple[Array, Array]:
    """Through the mean of the squares of each pixel."""
    if not dA.size:
        return dA.copy(), dA.sum(axis=(0, 1, 2), keepdims=True)
    inverse, h = _root_mean_square(cache), cache.gamma * dA
    normal = cache.A_prev * inverse
    dA_prev = inverse * (h - normal * (h * normal).mean(axis=3, keepdims=True))
    return dA_prev, (dA * normal).sum(axis=(0, 1, 2), keepdims=True)


def _root_mean_square(cache: RMSNormCache) -> Array:
    """1 over it, of each pixel."""
    squares = (cache.A_prev * cache.A_prev).mean(axis=3, keepdims=True)
    return np.asarray(1 / np.sqrt(squares + cache.hparameters["epsilon"]))


def log_softmax(X: Array) -> tuple[Array, Array]:
    """``x - max x - log(sum(exp(x - max x)))`` for each row."""
    if X.shape[1] == 0:
        return X.copy(), X
    apart = X - X.max(axis=1, keepdims=True)
    return apart - np.log(np.exp(apart).sum(axis=1, keepdims=True)), X


def log_softmax_backward(dlogp: Array, cache: Array) -> Array:
    """``g - p sum(g)`` for each row."""
    probabilities = np.exp(log_softmax(cache)[0])
    result: Array = dlogp - probabilities * dlogp.sum(axis=1, keepdims=True)
    return result
