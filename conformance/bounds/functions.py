"""Bounds of the operations built on exp, log and division: sigmoid, softmax, cross-entropy.

``E`` is the relative accuracy of one exp or log, 4 units in the last place (8 u), the accuracy that
vendors document for their vector libraries. ``u`` bounds the relative error of each + - * /, ``w``
(the smallest subnormal number) what underflow adds. First-order bounds are multiplied by ``1 + r``,
r their own largest relative error, which covers the second order.

The oracle's forms are among those bounded, in float64; `both` adds its share. Each is a function
``(format, ...) -> limit`` that is 0 for u = w = 0 and convex in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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


def lost(form: Format, Z: Array, growth: Any = 1.0) -> Limit:
    """The sigmoid where ``exp(-z)`` overflows, so that ``1 / (1 + exp(-z))`` is 0; 0 elsewhere.

    That is below -88.7 in float32 (PyTorch's sigmoid), and y is at most the reciprocal of the largest number
    there. `growth` is how much larger it may be where z itself is off.
    """
    y = logistic(Z) * growth
    return np.where(y * form.largest <= growth * growth * (1 + 2 * form.exp), y, 0.0)


def sigmoid(form: Format, Z: Array, accuracy: str) -> Limit:
    """``y ((1 - y) E + 2 u) + w``; *normal*: and `lost`.

    With ``e = exp(-z)``: y = 1 / (1 + e), and a relative error E of e moves y by the relative amount
    ``E e / (1 + e) = (1 - y) E``; the addition and the division add u each. From ``e = exp(z)``,
    y = e / (1 + e), the same holds. It is relative down to the subnormal numbers: an implementation
    that answers 0 where ``exp(-z)`` overflows is wrong by all of y, and declares that.
    """
    limit = curves.sigmoid(form, Z)
    return limit + lost(form, Z) if accuracy == "normal" else limit


def sigmoid_backward(form: Format, Z: Array, dA: Array, accuracy: str) -> Limit:
    """``|g| (y (1 - y) (e + 3 u) + y^2 e)`` with ``e = (1 - y) E + 2 u``, the relative error of y.

    The result is g y (1 - y): three roundings, and y is off by ``y e``, which moves the product by
    ``(1 - y) y e`` through its first factor and by ``y * y e`` through the second. Where y underflows
    it is off by w, hence ``(|g| + 2) w`` (two products may underflow again).

    *relative*: ``|g| y (1 - y) (E + 6 u)``. ``1 - y`` is the sigmoid of -z, off by ``y E + 2 u``, and the
    errors of both factors add up to ``E + 4 u``; as ``t / (1 + t)^2`` with ``t = exp(-|z|)`` it is ``|1 - 2
    y| E + 4 u``. *normal*: as at first, and all of it where ``exp(-z)`` overflows (`lost`).
    """
    limit = curves.sigmoid_backward(form, Z, dA, accuracy == "relative")
    if accuracy == "normal":
        limit += np.abs(np.asarray(dA, np.float64)) * lost(form, Z)
    return limit


def softmax(form: Format, X: Array, accuracy: str) -> Limit:
    """``y_i (u d_i + u |l_i| + E (2 + log s) + sum_j y_j u d_j + (n + 1) u)``.

    Here ``d = max x - x`` and ``l = log y``.

    *By division.* The subtraction rounds d_j by ``u d_j``, which is a relative error of exp(-d_j), beside E
    of exp itself. The denominator ``s = sum exp(-d)``, n positive terms, is off by the mean of those errors
    weighted by y, by E and by ``(n - 1) u``; the division adds u (Blanchard, Higham & Higham 2021, section
    4).

    *As exp of the logarithm*, ``exp(-d_i - log s)`` (their form without a division; PyTorch's cross-entropy):
    the error of s moves its logarithm by as much, which is itself within ``E log s``; the second subtraction
    rounds ``l_i = -d_i - log s`` by ``u |l_i|``, and each of these absolute errors is a relative one of exp,
    beside E.

    The sum holds for both. An exp that underflows is off by w, and s is at least one: ``(n + 2) w``.

    *absolute*: as ``exp(x - (max + log s))``, whose sum rounds by ``u (|max| + log s)``, a relative error of
    y that grows with the logits and not with their differences.
    """
    return rows.softmax(form, X, accuracy == "absolute")


def softmax_backward(form: Format, X: Array, dprobs: Array, accuracy: str) -> Limit:
    """``y_i (n u T + 2 u (|g_i| + T)) + y_i (e_i |g_i - t| + sum_j |g_j| y_j e_j)``.

    The result is ``y_i (g_i - t)`` with ``t = sum g_j y_j`` and ``T = sum |g_j| y_j``. Given y: t is off
    by ``n u T`` (an inner product), the subtraction and the product by u each of at most ``|g_i| + T``.
    The errors ``y_j e_j`` of y itself (`softmax`) pass through the product and through t. Underflow of
    any of the products or of y: ``(n + 2) w (1 + |g_i| + sum |g|)``.
    """
    return rows.softmax_backward(form, X, dprobs, accuracy == "absolute")


def distribute(expected: Limit, form: Format) -> Limit:
    """``2 u |dz / n|``, u of the dtype of dz: a division, or a rounded reciprocal.

    The answer is float64 by contract, and computed in either; the oracle's own division adds u.
    """
    return curves.scaled(expected, 3 * form.u, 1 + 2 * form.u, 2 * form.w)
