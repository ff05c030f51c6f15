"""Bounds of batch normalization.

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
from typing import Any

from numpy.typing import NDArray

from conformance.bounds import channels, curves
from conformance.bounds.arithmetic import Format, Limit
from conformance.cases.case import Case
from conformance.operations.batch_norm import EPSILON, MOMENTUM

Arrays = Mapping[str, NDArray[Any]]


def batch_norm_forward(form: Format, case: Case, a: Arrays) -> dict[str, Limit]:
    """``|gamma| r (|d| (e_r + 2 u) + e_m + u (2 |x| + 3 |mean|)) + 2 u (|beta| + |y|)``; running statistics.

    The terms in |x| and |mean| are for ``x alpha + (beta - mean alpha)``, whose products do not cancel. The
    running mean: ``momentum e_m + 5 u ((1 - momentum) |old| + momentum |mean|)``; the variance likewise, with
    ``e_v N / (N - 1)``.
    """
    names = ("A_prev", "gamma", "beta", "running_mean", "running_var")
    return channels.forward(form, _training(case), MOMENTUM, EPSILON, *(a[name] for name in names))


def batch_norm_backward(form: Format, case: Case, a: Arrays) -> dict[str, Limit]:
    """With ``n = d r``, which is off by ``e_n = r (e_m + u (|x| + |mean|)) + |n| (e_r + 2 u)``.

    dbeta ``N u sum|g|``; dgamma ``sum |g| e_n + N u sum |g n|``; dA_prev in training, from the means
    ``b = dbeta / N`` and ``k = dgamma / N`` with those errors:
    ``|gamma| r (e_b + |n| e_k + e_n (|k| + e_k) + 5 u (|g| + |b| + |n k|) + e_r |g - b - n k|)``;
    in inference ``|gamma r g| (e_r + 2 u)``.
    """
    names = ("A_prev", "gamma", "running_mean", "running_var", "dA")
    return channels.backward(form, _training(case), EPSILON, *(a[name] for name in names))


def _training(case: Case) -> bool:
    return case.word("statistics") == "training"


def shares(form: Format, expected: Limit) -> Limit:
    """``2 u |y|``: a share of a gradient is a quotient, or the product with a rounded reciprocal."""
    return curves.scaled(expected, 2 * form.u * (1 + form.u), 1.0, form.w)
