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

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import FORMATS, U64, Format, Limit
from conformance.case import Case

Array = NDArray[Any]


def both(case: Case, bound: Callable[[Format], Limit]) -> Limit:
    """The bound in the dtype of `case`, and the share ``2^-53 / u`` of it that covers the float64 oracle's.

    A convex function that is 0 at 0 is at a share of its argument at most that share of itself.
    """
    form = FORMATS[case.dtype]
    return bound(form) * oracles_too(form)


def oracles_too(form: Format) -> float:
    """The factor of a bound that adds the oracle's: see `both`."""
    return 1 + U64 / form.u


def logistic(Z: Array) -> Limit:
    """``1 / (1 + exp(-Z))`` in float64 without overflow, as an ingredient of the bounds."""
    e = np.exp(-np.abs(np.asarray(Z, np.float64)))
    below = np.where(Z < 0, e, 1.0)
    e += 1
    below /= e
    return below


def sigmoid(form: Format, Z: Array) -> Limit:
    """``y ((1 - y) E + 2 u) + w``.

    With ``e = exp(-z)``: y = 1 / (1 + e), and a relative error E of e moves y by the relative amount
    ``E e / (1 + e) = (1 - y) E``; the addition and the division add u each. From ``e = exp(z)``,
    y = e / (1 + e), the same holds. It is relative down to the subnormal numbers: an implementation
    that answers 0 where ``exp(-z)`` overflows is wrong by all of y.
    """
    y = logistic(Z)
    relative = (1 - y) * form.exp + 2 * form.u
    return y * relative * (1 + 10 * form.u) + form.w


def sigmoid_backward(form: Format, Z: Array, dA: Array) -> Limit:
    """``|g| (y (1 - y) (e + 3 u) + y^2 e)`` with ``e = (1 - y) E + 2 u``, the relative error of y.

    The result is g y (1 - y): three roundings, and y is off by ``y e``, which moves the product by
    ``(1 - y) y e`` through its first factor and by ``y * y e`` through the second. Where y underflows
    it is off by w, hence ``(|g| + 2) w`` (two products may underflow again).
    """
    y, g = logistic(Z), np.abs(np.asarray(dA, np.float64))
    e = (1 - y) * form.exp + 2 * form.u
    first = g * (y * (1 - y) * (e + 3 * form.u) + y * y * e)
    return first * (1 + 14 * form.u) + (g + 2) * form.w


def softmax_parts(form: Format, X: Array) -> tuple[Limit, Limit]:
    """The probabilities and the relative error ``e_i`` of each; see `softmax`."""
    X = np.asarray(X, np.float64)
    n = X.shape[1]
    if not X.size:
        return X, X
    with np.errstate(invalid="ignore"):
        d = X.max(axis=1, keepdims=True) - X
        y = np.exp(-d)
        y = y / y.sum(axis=1, keepdims=True)
        shift = np.where(y == 0, 0, form.u * d)
    common = (y * shift).sum(axis=1, keepdims=True) + (n + 1) * form.u
    relative = shift + 2 * form.exp + common
    return y, relative * (1 + 2 * relative)


def softmax(form: Format, X: Array) -> Limit:
    """``y_i (u d_i + 2 E + sum_j y_j u d_j + (n + 1) u)`` with ``d = max x - x``.

    The subtraction rounds d_j by ``u d_j``, which is a relative error of exp(-d_j), beside E of exp
    itself. The denominator, a sum of n positive terms, is off by the mean of those errors weighted by
    y and by ``(n - 1) u``; the division adds u (Blanchard, Higham & Higham 2021, section 4). An exp that
    underflows is off by w, and the denominator is at least one: ``(n + 2) w``.
    """
    y, relative = softmax_parts(form, X)
    result: Limit = y * relative + (X.shape[1] + 2) * form.w
    return result


def softmax_backward(form: Format, X: Array, dprobs: Array) -> Limit:
    """``y_i (n u T + 2 u (|g_i| + T)) + y_i (e_i |g_i - t| + sum_j |g_j| y_j e_j)``.

    The result is ``y_i (g_i - t)`` with ``t = sum g_j y_j`` and ``T = sum |g_j| y_j``. Given y: t is off
    by ``n u T`` (an inner product), the subtraction and the product by u each of at most ``|g_i| + T``.
    The errors ``y_j e_j`` of y itself (`softmax`) pass through the product and through t. Underflow of
    any of the products or of y: ``(n + 2) w (1 + |g_i| + sum |g|)``.
    """
    y, e = softmax_parts(form, X)
    g = np.asarray(dprobs, np.float64)
    n = g.shape[1]
    size = np.abs(g)
    T = (size * y).sum(axis=1, keepdims=True)
    t = (g * y).sum(axis=1, keepdims=True)
    spread = (size * y * e).sum(axis=1, keepdims=True)
    first = y * (n * form.u * T + 2 * form.u * (size + T) + e * np.abs(g - t) + spread)
    largest = float(e.max()) if e.size else 0.0
    underflow = (n + 2) * form.w * (1 + size + size.sum(axis=1, keepdims=True))
    result: Limit = first * (1 + 2 * largest + (n + 4) * form.u) + underflow
    return result


def distribute(expected: Limit) -> Limit:
    """``2 u |dz / n|``, u of float64 whatever the dtype of dz: a division, or a rounded reciprocal.

    The answer is float64 by contract; the oracle's own division adds u.
    """
    form = FORMATS["f64"]
    return 3 * form.u * np.abs(expected) * (1 + 2 * form.u) + 2 * form.w
