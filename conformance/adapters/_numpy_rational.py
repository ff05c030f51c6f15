"""Activations of straight and rational pieces in plain NumPy; a part of `numpy_loops`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def hardtanh(Z: Array, min_val: float = -1.0, max_val: float = 1.0) -> tuple[Array, Array]:
    """``min(max(Z, min_val), max_val)``."""
    return np.clip(Z, Z.dtype.type(min_val), Z.dtype.type(max_val)), Z


def hardtanh_backward(dA: Array, cache: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """DA between the ends."""
    low, high = cache.dtype.type(min_val), cache.dtype.type(max_val)
    return np.where((cache > low) & (cache < high), dA, np.zeros_like(dA))


def relu6(Z: Array) -> tuple[Array, Array]:
    """``min(max(Z, 0), 6)``."""
    return hardtanh(Z, 0, 6)


def relu6_backward(dA: Array, cache: Array) -> Array:
    """DA between 0 and 6."""
    return hardtanh_backward(dA, cache, 0, 6)


def hardsigmoid(Z: Array) -> tuple[Array, Array]:
    """``min(max(Z + 3, 0), 6) / 6``."""
    return np.clip(Z + 3, 0, 6) / 6, Z


def hardsigmoid_backward(dA: Array, cache: Array) -> Array:
    """``dA / 6`` between -3 and 3."""
    return hardtanh_backward(dA / 6, cache, -3, 3)


def hardswish(Z: Array) -> tuple[Array, Array]:
    """``Z min(max(Z + 3, 0), 6) / 6``."""
    return Z * (np.clip(Z + 3, 0, 6) / 6), Z


def hardswish_backward(dA: Array, cache: Array) -> Array:
    """``dA (Z/3 + 1/2)`` between -3 and 3, 0 to the left, dA to the right."""
    slope = cache / 3 + cache.dtype.type(0.5)
    return np.where(cache <= -3, np.zeros_like(dA), np.where(cache >= 3, dA, dA * slope))


def softsign(Z: Array) -> tuple[Array, Array]:
    """``Z / (1 + |Z|)``."""
    return Z / (1 + np.abs(Z)), Z


def softsign_backward(dA: Array, cache: Array) -> Array:
    """``dA / (1 + |Z|)^2``."""
    d = 1 + np.abs(cache)
    result: Array = dA / d / d
    return result
