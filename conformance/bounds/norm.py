"""Bounds of batch normalization, and its statistical limits.

For N values x of a channel, with ``d = x - mean`` and sums of them in any order (`sums`, equation (1)):

* the mean is off by ``e_m = (N + 1) u mean|x|``;
* the variance v is off by ``e_v = (N + 4) u max(sqrt(v) sqrt(v + mean^2), v + (x_1 - mean)^2) + e_m^2``: the
bound of
  Welford's update (Chan, Golub & LeVeque 1983), beside which that of two passes is small, and that of the
  difference of two means of the values less their first one, x_1. Without that shift there is none;
* ``r = 1 / sqrt(v + epsilon)`` is off by ``e_r = sqrt((v + epsilon) / (v + epsilon - e_v)) - 1 + 3 u``,
  relatively.

In inference the statistics are given: e_m = e_v = 0.

*At random* (`sums.LAMBDA` deviations, confirmed with fresh data as there), for thousands of values. The k-th
partial sum of values of one sign is k / N of the whole, and its rounding at most u of it; N independent ones
have the deviation ``u sum|x| sqrt(N / 3)``: ``e_m = 8 u sqrt(N / 3 + 1) mean|x|``. Roundings of squares and
products with zero-mean factors: ``e_v = 8 u sqrt(N) max(...)`` as above, ``+ e_m^2``. Sums over zero-mean
gradients: see `sums.statistical`. Where the spacing of a sum is above the spread of the values (2.2
deviations, `channels.pyx`), its roundings drift with the values' place in the spacing, and the bound stays: a
constant channel, or 1e5 values whose mean is 1000 times their deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from conformance.bounds import channels, curves
from conformance.bounds.arithmetic import Format, Limit
from conformance.cases.case import Case
from conformance.operations.batch_norm import epsilon_of, momentum_of

Arrays = Mapping[str, NDArray[Any]]


def batch_norm_forward(form: Format, case: Case, a: Arrays, random: float) -> dict[str, Limit]:
    """``|gamma| r (|d| (e_r + 2 u) + e_m + u (2 |x| + 3 |mean|)) + 2 u (|beta| + |y|)``; running statistics.

    The terms in |x| and |mean| are for ``x alpha + (beta - mean alpha)``, whose products do not cancel. The
    running mean: ``momentum e_m + 5 u ((1 - momentum) |old| + momentum |mean|)``; the variance likewise, with
    ``e_v N / (N - 1)``.
    """
    names = ("A_prev", "gamma", "beta", "running_mean", "running_var")
    training, momentum, epsilon = _training(case), momentum_of(case), epsilon_of(case)
    return channels.forward(form, random, training, momentum, epsilon, *(a[name] for name in names))


def batch_norm_backward(form: Format, case: Case, a: Arrays, random: float) -> dict[str, Limit]:
    """With ``n = d r``, which is off by ``e_n = r (e_m + u (|x| + |mean|)) + |n| (e_r + 2 u)``.

    dbeta ``N u sum|g|``; dgamma ``sum |g| e_n + N u sum |g n|``; dA_prev in training, from the means
    ``b = dbeta / N`` and ``k = dgamma / N`` with those errors:
    ``|gamma| r (e_b + |n| e_k + e_n (|k| + e_k) + 5 u (|g| + |b| + |n k|) + e_r |g - b - n k|)``;
    in inference ``|gamma r g| (e_r + 2 u)``.

    At random, dbeta ``8 u sqrt(N + 1) sqrt(sum g^2)``; dgamma ``r e_m |sum g| + e_r |sum g n|``, the errors
    of mean and r being one for all terms, and ``8 u sqrt(sum g^2 (r (|x| + |mean|) + 2 |n|)^2) + 8 u sqrt(N +
    1) sqrt(sum g^2 n^2)``.
    """
    names = ("A_prev", "gamma", "running_mean", "running_var", "dA")
    return channels.backward(form, random, _training(case), epsilon_of(case), *(a[name] for name in names))


def _training(case: Case) -> bool:
    return case.word("statistics") == "training"


def shares(form: Format, expected: Limit) -> Limit:
    """``2 u |y|``: a share of a gradient is a quotient, or the product with a rounded reciprocal."""
    return curves.scaled(expected, 2 * form.u * (1 + form.u), 1.0, form.w)
