"""Wrong losses of each element and its target."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("mse_loss", "loss", "loss-divided-by-rows-alone")
def mean_of_row_sums(X, T):
    total = sum(float(((x - t) ** 2).sum(dtype=X.dtype)) for x, t in zip(X, T, strict=True))
    return total / len(X) if len(X) else float("nan"), right.LossCache(X, T)


@fault("mse_loss", "loss", "mse-root")
def root_mean_square(X, T):
    difference = X - T
    return float(np.sqrt(np.mean(difference * difference))), right.LossCache(X, T)


@fault("mse_loss", "loss", "loss-without-last-row")
def stops_one_row_early(X, T):
    total = X.dtype.type(0)
    for i in range(len(X) - 1):
        total += ((X[i] - T[i]) ** 2).sum(dtype=X.dtype)
    return float(total / X.size) if X.size else float("nan"), right.LossCache(X, T)


@fault("mse_loss_backward", "dX", "mse-halved")
def without_the_two(cache):
    return (cache.X - cache.T) / cache.X.dtype.type(max(cache.X.size, 1))


@fault("mse_loss_backward", "dX", "sign-flipped")
def targets_first(cache):
    return 2 * (cache.T - cache.X) / cache.X.dtype.type(max(cache.X.size, 1))
