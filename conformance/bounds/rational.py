"""Bounds of the activations of straight and rational pieces: hard sigmoid, hard swish, softsign.

``u`` and ``w`` as for `functions`. A constant that is no number of the dtype (1/6, 1/3) is rounded, and so
is its product. A clip rounds nothing and has no bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format, Limit, wide

Array = NDArray[Any]


def _inside(form: Format, Z: Array) -> Limit:
    """1 between the ends, at -3 and 3, and where a rounded ``z/6 + 1/2`` is not yet beyond 0 or 1."""
    return np.where(np.abs(wide(Z)) <= 3 * (1 + 4 * form.u), 1.0, 0.0)


def hardsigmoid(form: Format, Z: Array) -> Limit:
    """``u (|z| / 3 + 3 y)`` between the ends, else nothing.

    As ``z/6 + 1/2`` with a rounded 1/6: the product is off by ``2 u |z| / 6``, the sum by ``u y``. As ``(z +
    3) / 6`` it is ``2 u y``, by a rounded 1/6 ``3 u y``.
    """
    z = np.minimum(np.abs(wide(Z)), 3)
    y = np.clip((wide(Z) + 3) / 6, 0, 1)
    return np.asarray(_inside(form, Z) * form.u * (z / 3 + 3 * y) * (1 + 8 * form.u) + form.w * (z > 0))


def hardsigmoid_backward(form: Format, expected: Array) -> Limit:
    """``2 u |y|``: a quotient, or a product with a rounded 1/6."""
    y = np.abs(wide(expected))
    return np.asarray(2 * form.u * (1 + form.u) * y + form.w * (y > 0))


def hardswish(form: Format, Z: Array, expected: Array) -> Limit:
    """``u (z^2 / 3 + 4 |y|)`` between the ends, ``4 u y`` beyond 3, nothing below -3.

    The gate is off as `hardsigmoid` is, times z; its product with z adds u. As ``z (z + 3) / 6`` there are
    three roundings, and one of 1/6, beyond 3 too: ``z 6 / 6``.
    """
    z, y = wide(Z), np.abs(wide(expected))
    square = np.minimum(np.abs(z), 3) ** 2
    inside = _inside(form, Z) * form.u * square / 3 * (1 + 8 * form.u)
    return np.asarray(inside + 4 * form.u * (1 + 8 * form.u) * y + 2 * form.w * (z > -4))


def hardswish_backward(form: Format, Z: Array, dA: Array, expected: Array) -> Limit:
    """``|g| u (|z| + 3/2) + 4 u |result|`` between the ends, ``4 u |g|`` beyond 3, nothing below -3.

    ``z/3 + 1/2`` with a rounded 1/3 is off by ``2 u |z| / 3``; by the rule of products, ``(z + 3)/6 + z/6``,
    the first term by ``3 u (|z| + 3) / 6`` and the second by ``2 u |z| / 6``, together ``u (5/6 |z| + 3/2)``.
    The sum and the product with g add ``2 u |result|``; beyond 3 there is the first term alone, 6/6.
    """
    z, g = np.abs(wide(Z)), np.abs(wide(dA))
    inside = _inside(form, Z) * form.u * g * (np.minimum(z, 3) + 1.5)
    most = inside + 4 * form.u * np.abs(wide(expected))
    return np.asarray(most * (1 + 8 * form.u) + 2 * form.w * (wide(Z) > -4) * (1 + g))


def softsign(form: Format, expected: Array) -> Limit:
    """``3 u |y|``: a sum and a quotient, or a sum, an inverse and a product with it.

    As ``1 - 1 / d`` where that is more than a half, it is ``2 u / d`` and the difference: no more.
    """
    return np.asarray(3 * form.u * (1 + 4 * form.u) * np.abs(wide(expected)) + form.w)


def softsign_backward(form: Format, Z: Array, dA: Array, accuracy: str) -> Limit:
    """``8 u |g| / (1 + |z|)``; *relative*: ``6 u |g| / (1 + |z|)^2``.

    By the rule of quotients, ``g / d - g z / d / d`` with ``d = 1 + |z|``, which is off by u: the first term
    is off by ``2 u``, the second, smaller, by ``5 u``, and their difference rounded; both are at most ``|g| /
    d``, and cancel to ``|g| / d^2``. ``g / d^2`` has d twice, a square, a quotient and a product of an
    inverse, six roundings at most. An inverse of a square that underflows is off by w, times g.
    """
    d, g = 1 + np.abs(wide(Z)), np.abs(wide(dA))
    first = 6 / d / d if accuracy == "relative" else 8 / d
    return np.asarray(form.u * g * first * (1 + 16 * form.u) + (g + 2) * form.w)
