"""Bounds of batch normalization and of global average pooling.

For N values x of a channel, with ``d = x - mean`` and sums of them in any order (`sums`, equation (1)):

* the mean is off by ``e_m = (N + 1) u mean|x|``;
* the variance v is off by ``e_v = (N + 4) u sqrt(v) sqrt(v + mean^2) + e_m^2``, the bound of Welford's update
  (Chan, Golub & LeVeque 1983), beside which that of two passes is small; the difference of two means has
  none;
* ``r = 1 / sqrt(v + epsilon)`` is off by ``e_r = sqrt((v + epsilon) / (v + epsilon - e_v)) - 1 + 3 u``,
  relatively.

In inference the statistics are given: e_m = e_v = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import curves
from conformance.bounds.arithmetic import Format, Limit
from conformance.calls_units import EPSILON, MOMENTUM
from conformance.case import Case

Arrays = Mapping[str, NDArray[Any]]
_AXES = (0, 1, 2)


@dataclass(frozen=True)
class _Statistics:
    """Of each channel, ``(1, 1, 1, C)``: number of values, mean, variance, their errors, r and its error."""

    n: int
    mean: Limit
    variance: Limit
    of_mean: Limit
    of_variance: Limit
    r: Limit
    of_r: Limit


def _mean(x: Limit) -> Limit:
    return np.asarray(x.mean(axis=_AXES, keepdims=True))


def _statistics(form: Format, case: Case, a: Arrays, stored: bool) -> _Statistics:
    """`stored`: the statistics have been rounded to the dtype in a cache."""
    x = np.asarray(a["A_prev"], np.float64)
    n = x.shape[0] * x.shape[1] * x.shape[2]
    if case.word("statistics") == "training" and x.size:
        mean = _mean(x)
        variance = _mean((x - mean) ** 2)
        of_mean = (n + 1) * form.u * _mean(np.abs(x))
        of_variance = (n + 4) * form.u * np.sqrt(variance * (variance + mean * mean)) + of_mean**2
        if stored:
            of_mean, of_variance = of_mean + form.u * np.abs(mean), of_variance + form.u * variance
    else:
        mean, variance = (np.asarray(a[k], np.float64) for k in ("running_mean", "running_var"))
        of_mean = of_variance = np.zeros_like(mean)
    sum_ = variance + EPSILON
    low = np.maximum(sum_ - of_variance, 0)
    of_r = np.sqrt(sum_ / low) - 1 + 3 * form.u
    return _Statistics(n, mean, variance, of_mean, of_variance, 1 / np.sqrt(sum_), of_r)


def batch_norm_forward(form: Format, case: Case, a: Arrays) -> dict[str, Limit]:
    """``|gamma| r (|d| (e_r + 2 u) + e_m + u (2 |x| + 3 |mean|)) + 2 u (|beta| + |y|)``; running statistics.

    The terms in |x| and |mean| are for ``x alpha + (beta - mean alpha)``, whose products do not cancel. The
    running mean: ``momentum e_m + 5 u ((1 - momentum) |old| + momentum |mean|)``; the variance likewise, with
    ``e_v N / (N - 1)``.
    """
    s = _statistics(form, case, a, stored=False)
    x, gamma, beta = (np.asarray(a[k], np.float64) for k in ("A_prev", "gamma", "beta"))
    d, scale = np.abs(x - s.mean), np.abs(gamma) * s.r
    y = np.abs(gamma * s.r * (x - s.mean) + beta)
    inner = d * (s.of_r + 2 * form.u) + s.of_mean + form.u * (2 * np.abs(x) + 3 * np.abs(s.mean))
    limits = {"A": scale * inner + 2 * form.u * (np.abs(beta) + y)}
    unbiased = s.n / (s.n - 1) if s.n > 1 else 1.0
    for name, value, error, factor in (
        ("running_mean", s.mean, s.of_mean, 1.0),
        ("running_var", s.variance, s.of_variance, unbiased),
    ):
        old = np.abs(np.asarray(a[name], np.float64))
        if case.word("statistics") == "inference" or not x.size:
            limits[name] = np.zeros_like(old)
        else:
            new = MOMENTUM * factor
            limits[name] = new * error + 5 * form.u * ((1 - MOMENTUM) * old + new * np.abs(value)) + form.w
    return {
        name: limit * (1 + 20 * form.u) + (form.w if name == "A" else 0) for name, limit in limits.items()
    }


def batch_norm_backward(form: Format, case: Case, a: Arrays) -> dict[str, Limit]:
    """With ``n = d r``, which is off by ``e_n = r (e_m + u (|x| + |mean|)) + |n| (e_r + 2 u)``.

    dbeta ``N u sum|g|``; dgamma ``sum |g| e_n + N u sum |g n|``; dA_prev in training, from the means
    ``b = dbeta / N`` and ``k = dgamma / N`` with those errors:
    ``|gamma| r (e_b + |n| e_k + e_n (|k| + e_k) + 5 u (|g| + |b| + |n k|) + e_r |g - b - n k|)``;
    in inference ``|gamma r g| (e_r + 2 u)``.
    """
    s = _statistics(form, case, a, stored=True)
    x, g, gamma = (np.asarray(a[k], np.float64) for k in ("A_prev", "dA", "gamma"))
    n = (x - s.mean) * s.r
    of_n = s.r * (s.of_mean + form.u * (np.abs(x) + np.abs(s.mean))) + np.abs(n) * (s.of_r + 2 * form.u)
    size = np.abs(g)
    count = max(s.n, 1)
    of_dbeta = (count + 1) * form.u * size.sum(axis=_AXES, keepdims=True)
    of_dgamma = (size * of_n).sum(axis=_AXES, keepdims=True) + (count + 1) * form.u * np.abs(size * n).sum(
        axis=_AXES, keepdims=True
    )
    scale = np.abs(gamma) * s.r
    if case.word("statistics") == "training":
        b, k = g.sum(axis=_AXES, keepdims=True) / count, (g * n).sum(axis=_AXES, keepdims=True) / count
        of_b, of_k = of_dbeta / count, of_dgamma / count
        roundings = 5 * form.u * (size + np.abs(b) + np.abs(n * k))
        inner = (
            of_b + np.abs(n) * of_k + of_n * (np.abs(k) + of_k) + roundings + s.of_r * np.abs(g - b - n * k)
        )
        of_input = scale * inner
    else:
        of_input = scale * size * (s.of_r + 2 * form.u)
    limits = {"dA_prev": of_input, "dgamma": of_dgamma, "dbeta": of_dbeta}
    return {name: limit * (1 + 20 * form.u) + 2 * count * form.w for name, limit in limits.items()}


def shares(form: Format, expected: Limit) -> Limit:
    """``2 u |y|``: a share of a gradient is a quotient, or the product with a rounded reciprocal."""
    return curves.scaled(expected, 2 * form.u * (1 + form.u), 1.0, form.w)
