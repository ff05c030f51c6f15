"""The losses of each element and its target, in NumPy, a few lines each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class LossCache(NamedTuple):
    """What the gradient of a loss needs."""

    X: Array
    T: Array


def _pair(name: str, value: Callable[..., Array], slope: Callable[..., Array], rows: bool = False) -> Any:
    """A loss and its gradient, of what they are at each element; `rows` alone divide."""

    def count(X: Array) -> int:
        return len(X) if rows else X.size

    def forward(X: Array, T: Array, *options: float) -> tuple[float, LossCache]:
        total = value(X, T, *(X.dtype.type(option) for option in options)).sum(dtype=X.dtype)
        return float(total / count(X)) if count(X) else float("nan"), LossCache(X, T)

    def backward(cache: LossCache, *options: float) -> Array:
        X, T = cache
        found = slope(X, T, *(X.dtype.type(option) for option in options))
        return np.asarray(found / X.dtype.type(max(count(X), 1)), X.dtype)

    forward.__name__, backward.__name__ = name, f"{name}_backward"
    return forward, backward


mse_loss, mse_loss_backward = _pair("mse_loss", lambda x, t: (x - t) ** 2, lambda x, t: 2 * (x - t))
