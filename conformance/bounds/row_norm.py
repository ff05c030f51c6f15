"""Bounds of the normalizations of each pixel's channels, and their statistical limits.

For the N channels x of a pixel the errors ``e_m``, ``e_v`` and ``e_r`` of mean, variance and
``r = 1 / sqrt(v + epsilon)`` are those of `norm`. The normalized value ``n = (x - mean) r``, or in PyTorch
``x r + (-mean r)``, whose products do not cancel, is off by
``e_n = r (e_m + u (2 |x| + 3 |mean|)) + |n| (e_r + 2 u)``.

RMS norm takes the mean for 0: ``e_m = 0``, and v is the mean of the squares, whose terms have one sign:
``e_v = (N + 2) u v``.

Sums over pixels have zero-mean terms in random data, with errors that are independent from pixel to pixel:
`sums.LAMBDA` deviations of them are the statistical limit of dgamma and dbeta.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format, Limit, wide
from conformance.cases.case import Case
from conformance.operations.batch_norm import epsilon_of

Arrays = Mapping[str, NDArray[Any]]


class Normal(NamedTuple):
    """Of each pixel mean and r with their errors, and the normalized values with theirs."""

    mean: Limit
    r: Limit
    e_m: Limit
    e_r: Limit
    n: Limit
    e_n: Limit


def _mean(x: Limit) -> Limit:
    return np.asarray(x.sum(3, keepdims=True) / max(x.shape[3], 1))


def _normal(form: Format, case: Case, x: Limit, centered: bool) -> Normal:
    u, epsilon, terms = form.u, epsilon_of(case), x.shape[3]
    mean = _mean(x) * centered
    v = _mean((x - mean) ** 2)
    e_m = (terms + 1) * u * _mean(np.abs(x)) * centered
    e_v = (terms + 2) * u * v
    if centered:
        first = (x - mean)[..., :1]
        e_v = (terms + 4) * u * np.maximum(np.sqrt(v * (v + mean**2)), v + first**2) + e_m**2
    r = 1 / np.sqrt(v + epsilon)
    e_r = np.sqrt((v + epsilon) / np.maximum(v + epsilon - e_v, 0)) - 1 + 3 * u
    n = (x - mean) * r
    e_n = r * (e_m + u * (2 * np.abs(x) + 3 * np.abs(mean))) + np.abs(n) * (e_r + 2 * u)
    return Normal(mean, r, e_m, e_r, n, e_n)


def _known(form: Format, limit: Limit, terms: int = 1) -> Limit:
    """The limit with its second order and what underflows; infinite where a variance may be 0."""
    found = limit * (1 + 20 * form.u) + 2 * terms * form.w
    return np.where(np.isnan(found), np.inf, found)


def forward(form: Format, case: Case, a: Arrays, random: float) -> dict[str, Limit]:
    """``|gamma| e_n + 2 u (|beta| + |y|)``."""
    s = _normal(form, case, wide(a["A_prev"]), "beta" in a)
    gamma = wide(a["gamma"])
    beta = wide(a["beta"]) if "beta" in a else 0 * gamma
    y = np.abs(gamma * s.n + beta)
    return {"A": _known(form, np.abs(gamma) * s.e_n + 2 * form.u * (np.abs(beta) + y))}


def backward(form: Format, case: Case, a: Arrays, random: float) -> dict[str, Limit]:
    """With ``h = g gamma``, and over a pixel's channels ``b = mean h``, ``k = mean (h n)``.

    b is off by ``e_b = (N + 2) u mean|h|``, k by ``e_k = mean(|h| e_n) + (N + 4) u mean(|h| (|n| + r (|x| +
    |mean|)))``: PyTorch's is ``(sum h x - mean sum h) r / N``, whose sums do not cancel. The gradient is
    ``r (h - b - n k)``, or ``r h + (-k r^2) x + (k r^2 mean - b r)``: off by ``r (e_b + |n| e_k + e_n (|k| +
    e_k) + e_r |h - b - n k| + 5 u (|h| + |b| + |n k| + |k| r (|x| + |mean|)))``.

    Over P pixels, dbeta ``P u sum|g|``, dgamma ``sum |g| e_n + (P + 1) u sum|g n|``; at random
    ``8 u sqrt(P + 1) sqrt(sum g^2)``, and ``8 sqrt(sum (g e_n)^2) + 8 u sqrt(P + 1) sqrt(sum (g n)^2)``.

    RMS norm has no b: ``e_b = 0``.
    """
    u, x, g, gamma = form.u, wide(a["A_prev"]), wide(a["dA"]), wide(a["gamma"])
    centered = "beta" in a
    s = _normal(form, case, x, centered)
    terms, pixels = x.shape[3], g.size // max(g.shape[3], 1)
    h, n = g * gamma, np.abs(s.n)
    size, b, k = np.abs(h), np.abs(_mean(h)) * centered, np.abs(_mean(h * s.n))
    plain = s.r * (np.abs(x) + np.abs(s.mean))
    e_b = (terms + 2) * u * _mean(size) * centered
    e_k = _mean(size * s.e_n) + (terms + 4) * u * _mean(size * (n + plain))
    rest = np.abs(h - _mean(h) * centered - s.n * _mean(h * s.n))
    roundings = 5 * u * (size + b + n * k + k * plain)
    dA_prev = s.r * (e_b + n * e_k + s.e_n * (k + e_k) + s.e_r * rest + roundings)

    def added(of_terms: Limit, values: Limit, roundings: int) -> Limit:
        if random:
            chance = np.sqrt((of_terms**2).sum((0, 1, 2), keepdims=True))
            spread = u * np.sqrt(pixels + 1) * np.sqrt((values**2).sum((0, 1, 2), keepdims=True))
            return np.asarray(random * (chance + spread))
        return np.asarray(
            of_terms.sum((0, 1, 2), keepdims=True)
            + roundings * u * np.abs(values).sum((0, 1, 2), keepdims=True)
        )

    sums = {"dbeta": _known(form, added(0 * g, g, pixels), pixels)} if centered else {}
    return {
        "dA_prev": _known(form, dA_prev, terms),
        "dgamma": _known(form, added(np.abs(g) * s.e_n, g * s.n, pixels + 1), pixels),
        **sums,
    }
