"""Bounds of the operations built on exp, log and division: sigmoid, softmax, cross-entropy.

``E`` is the relative accuracy of one exp or log, 4 units in the last place (8 u), the accuracy that
vendors document for their vector libraries. ``u`` bounds the relative error of each + - * /, ``w``
(the smallest subnormal number) what underflow adds. First-order bounds are multiplied by ``1 + r``,
r their own largest relative error, which covers the second order.

The oracle makes the same kind of errors in float64; `both` adds its bound. Each is a function
``(format, ...) -> limit`` that is 0 for u = w = 0 and convex in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from conformance.bounds import curves, rows
from conformance.bounds.arithmetic import FORMATS, U64, Format, Limit
from conformance.bounds.curves import logistic as logistic
from conformance.cases.case import Case

Array = NDArray[Any]


def both(case: Case, bound: Callable[[Format], Limit]) -> Limit:
    """The bound in the dtype of `case`, and the share ``2^-53 / u`` of it that covers the float64 oracle's.

    A convex function that is 0 at 0 is at a share of its argument at most that share of itself.
    """
    form = FORMATS[case.dtype]
    limit = bound(form)
    limit *= oracles_too(form)
    return limit


def oracles_too(form: Format) -> float:
    """The factor of a bound that adds the oracle's: see `both`."""
    return 1 + U64 / form.u


def sigmoid(form: Format, Z: Array) -> Limit:
    """``y ((1 - y) E + 2 u) + w``.

    With ``e = exp(-z)``: y = 1 / (1 + e), and a relative error E of e moves y by the relative amount
    ``E e / (1 + e) = (1 - y) E``; the addition and the division add u each. From ``e = exp(z)``,
    y = e / (1 + e), the same holds. It is relative down to the subnormal numbers: an implementation
    that answers 0 where ``exp(-z)`` overflows is wrong by all of y.
    """
    return curves.sigmoid(form, Z)


def sigmoid_backward(form: Format, Z: Array, dA: Array) -> Limit:
    """``|g| (y (1 - y) (e + 3 u) + y^2 e)`` with ``e = (1 - y) E + 2 u``, the relative error of y.

    The result is g y (1 - y): three roundings, and y is off by ``y e``, which moves the product by
    ``(1 - y) y e`` through its first factor and by ``y * y e`` through the second. Where y underflows
    it is off by w, hence ``(|g| + 2) w`` (two products may underflow again).
    """
    return curves.sigmoid_backward(form, Z, dA)


def softmax(form: Format, X: Array) -> Limit:
    """``y_i (u d_i + 2 E + sum_j y_j u d_j + (n + 1) u)`` with ``d = max x - x``.

    The subtraction rounds d_j by ``u d_j``, which is a relative error of exp(-d_j), beside E of exp
    itself. The denominator, a sum of n positive terms, is off by the mean of those errors weighted by
    y and by ``(n - 1) u``; the division adds u (Blanchard, Higham & Higham 2021, section 4). An exp that
    underflows is off by w, and the denominator is at least one: ``(n + 2) w``.
    """
    return rows.softmax(form, X)


def softmax_backward(form: Format, X: Array, dprobs: Array) -> Limit:
    """``y_i (n u T + 2 u (|g_i| + T)) + y_i (e_i |g_i - t| + sum_j |g_j| y_j e_j)``.

    The result is ``y_i (g_i - t)`` with ``t = sum g_j y_j`` and ``T = sum |g_j| y_j``. Given y: t is off
    by ``n u T`` (an inner product), the subtraction and the product by u each of at most ``|g_i| + T``.
    The errors ``y_j e_j`` of y itself (`softmax`) pass through the product and through t. Underflow of
    any of the products or of y: ``(n + 2) w (1 + |g_i| + sum |g|)``.
    """
    return rows.softmax_backward(form, X, dprobs)


def distribute(expected: Limit) -> Limit:
    """``2 u |dz / n|``, u of float64 whatever the dtype of dz: a division, or a rounded reciprocal.

    The answer is float64 by contract; the oracle's own division adds u.
    """
    form = FORMATS["f64"]
    return curves.scaled(expected, 3 * form.u, 1 + 2 * form.u, 2 * form.w)
