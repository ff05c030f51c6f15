"""Bounds of the activations of an exponential: ELU, SELU, CELU, softplus and Mish.

``E``, ``u`` and ``w`` as for `functions`; expm1, log1p and tanh are asked for E as exp is. *absolute*, as
most people write them: ``e^z - 1``, ``y + alpha`` and ``log(1 + e^z)`` as they stand, which cancel;
*relative*, as PyTorch does, by expm1, exp and log1p. A parameter that is no number of the dtype is rounded,
hence u.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format, Limit, wide

if TYPE_CHECKING:
    from conformance.operations.elu import Unit

Array = NDArray[Any]


def _finite(x: Limit) -> Limit:
    return np.where(np.isinf(x), 0.0, np.abs(x))


def _moved(form: Format, w: Limit, factor: float) -> Limit:
    """The relative error of ``e^w``: E, and what rounding w moves it by, a rounded factor and a product."""
    return np.asarray(form.exp + (3 * form.u * _finite(w) if factor != 1 else 0.0))


def elu(form: Format, Z: Array, unit: Unit, accuracy: str) -> Limit:
    """Below 0 ``|y| (E + 3 u) + factor e^x |x| 3 u``, ``x = z / divisor``; above it ``2 u |y|`` if scaled.

    expm1 is within E, factor and product add ``3 u`` (that of SELU is a product itself). A divisor other than
    1 is rounded, or its inverse is, and x again: ``3 u |x|``, which moves the exponential. *absolute*: ``e^x
    - 1`` is off by ``E e^x`` and the difference is rounded.
    """
    z = wide(Z)
    x = np.minimum(z, 0) / unit.divisor
    power, y = np.exp(x), np.abs(np.expm1(x))
    below = y * (form.exp + 3 * form.u) + power * (_moved(form, x, unit.divisor) - form.exp)
    if accuracy == "absolute":
        below = below + form.exp * power
    above = 2 * form.u * _finite(z) * unit.above if unit.above != 1 else np.zeros_like(z)
    limit = np.where(z > 0, above, unit.factor * below) * (1 + 32 * form.u)
    return np.asarray(limit + 2 * form.w * ((z < 0) | (unit.above != 1)))


def elu_backward(form: Format, Z: Array, dA: Array, unit: Unit, accuracy: str) -> Limit:
    """Below 0 ``|g| factor / divisor e^x (E + 3 u |x| + 5 u)``, above it ``2 u |g|`` if that is scaled.

    exp of a rounded x, as for `elu`; the factor, its rounding and two products. *absolute*: as ``y + alpha``,
    by what `elu` lets y be off and the sum, ``u alpha``, and their product with g. An exponential that
    underflows is off by w.
    """
    z, g = wide(Z), np.abs(wide(dA))
    x = np.minimum(z, 0) / unit.divisor
    factor = unit.factor / unit.divisor
    below = factor * np.exp(x) * (_moved(form, x, unit.divisor) + 5 * form.u)
    if accuracy == "absolute":
        below = below + (elu(form, np.minimum(z, 0), unit, accuracy) + form.u * unit.factor) / unit.divisor
    above = 2 * form.u * unit.above if unit.above != 1 else 0.0
    slack = form.w * (2 + g * (1 + factor)) * (z <= 0)
    return np.asarray(g * np.where(z > 0, above, below) * (1 + 64 * form.u) + slack)


def _exponential(w: Limit) -> tuple[Limit, Limit, Limit]:
    """``t = e^-|w|``, the sigmoid and the softplus of w."""
    t = np.exp(-np.abs(w))
    return t, np.where(w < 0, t, 1.0) / (1 + t), np.maximum(w, 0) + np.log1p(t)


def softplus(form: Format, Z: Array, beta: float, accuracy: str) -> Limit:
    """``(s (E + 3 u |w|) + y (E + 4 u)) / beta``, ``w = beta z``, s its sigmoid, ``y = log(1 + e^w)``.

    An error of w moves y by s times as much, so s E is what exp makes of it, and ``3 u |w|`` what a rounded
    beta and its product do; log1p is within E of y, its sum with w is rounded, and so are the quotient and
    beta. *absolute*: ``1 + e^w`` is rounded, which its logarithm shows whole, and so is its inverse in
    ``-log sigmoid(-w)``: ``2 u``. What underflows is off by w.
    """
    w = beta * wide(Z)
    _, s, y = _exponential(w)
    limit = s * _moved(form, w, beta) + np.where(np.isinf(y), 0.0, y) * (form.exp + 4 * form.u)
    if accuracy == "absolute":
        limit = limit + 2 * form.u
    return np.asarray(limit / beta * (1 + 40 * form.u) + form.w * (2 + 1 / beta))


def softplus_backward(form: Format, Z: Array, dA: Array, beta: float, accuracy: str) -> Limit:
    """``|g| s ((1 - s) (E + 3 u |w|) + 3 u)``, the error of a sigmoid of a rounded w, and a product.

    *absolute*: a sigmoid as ``1 - 1 / (1 + e^w)``, off by ``2 u``.
    """
    w, g = beta * wide(Z), np.abs(wide(dA))
    t, s, _ = _exponential(w)
    rest = np.where(w > 0, t, 1.0) / (1 + t)
    limit = s * (rest * _moved(form, w, beta) + 3 * form.u)
    if accuracy == "absolute":
        limit = limit + 2 * form.u * rest
    return np.asarray(g * limit * (1 + 40 * form.u) + (g + 2) * form.w)


def _gate(z: Limit) -> tuple[Limit, Limit, Limit, Limit]:
    """Of mish: softplus, the gate T, ``1 - T^2`` and the sigmoid; nothing cancels."""
    t, s, y = _exponential(z)
    top = 1 + t
    rest = np.where(z < 0, 2 * top / (1 + top * top), 2 * t * top / (t * t + top * top)) ** 2
    return y, np.tanh(y), rest, s


def _off(form: Format, z: Limit, accuracy: str) -> Limit:
    """Of mish's gate: ``T (E + 2 u) + (1 - T^2) (y (E + u) + s E)``; *absolute*: ``4 u (1 - T^2)`` more.

    As ``1 - 2 / (n + 1)`` with ``n = (1 + e^z)^2``: n is off by ``3 u``, relatively, which moves T by
    ``1.5 u (1 - T^2)``; the sum and the quotient add ``2 u (1 - T)``, and 1 - T is at most 1 - T^2. Within
    that are ``(n - 1) / (n + 1)``, ``1 - 2 / (q + 2)`` and the tanh of ``-log sigmoid(-z)``, off by ``2 u``.
    """
    y, gate, rest, s = _gate(z)
    moved = np.where(np.isinf(y), 0.0, y) * (form.exp + form.u) + s * form.exp
    if accuracy == "absolute":
        moved = moved + 4 * form.u
    return np.asarray(gate * (form.exp + 2 * form.u) + rest * moved)


def mish(form: Format, Z: Array, accuracy: str) -> Limit:
    """``|z| e + 2 u |result|``, e the error of the gate ``T = tanh(y)``, ``y = log(1 + e^z)``.

    tanh is within E, and moved by ``1 - T^2`` times the error of y, which is that of `softplus`. As a
    quotient ``q / (q + 2)`` of ``q = n (n + 2)`` T is off by eight roundings and, relatively, by ``2 E (1 -
    T)``: within that. Where they underflow exp, log1p and tanh are off by w each.
    """
    z = wide(Z)
    limit = _finite(z) * (_off(form, z, accuracy) + 2 * form.u * np.tanh(_exponential(z)[2]))
    return np.asarray(limit * (1 + 40 * form.u) + (3 * _finite(z) + 2) * form.w)


def mish_backward(form: Format, Z: Array, dA: Array, accuracy: str) -> Limit:
    """``|g| (e + |z| s (r (E + 4 u) + 2 T e + u T^2) + 3 u (T + |z| s r))``, e as for `mish`, r = 1 - T^2.

    The derivative is ``T + z s r``. The sigmoid s is within ``E + 2 u``; r as a difference is off by ``2 T
    e`` and by the rounding of the square. Sums and products add the rest. Where s underflows it is off by w,
    times z and g, and T by ``3 w``.
    """
    z, g = wide(Z), np.abs(wide(dA))
    a, e = _finite(z), _off(form, z, accuracy)
    _, gate, rest, s = _gate(z)
    second = a * s * (rest * (form.exp + 4 * form.u) + 2 * gate * e + form.u * gate * gate)
    limit = e + second + 3 * form.u * (gate + a * s * rest)
    return np.asarray(g * limit * (1 + 60 * form.u) + (g * (3 + 4 * a) + a + 3) * form.w)
