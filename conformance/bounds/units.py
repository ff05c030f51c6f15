"""Bounds of tanh, SiLU, GELU, leaky ReLU and the logarithm of softmax, as those of `functions`.

tanh and erf are asked for the relative accuracy ``E`` of exp. The formulas bounded are the textbook's, with
``1 + erf``, ``1 + tanh`` and ``1 - tanh^2`` taken as they stand: an implementation that keeps its relative
accuracy in the tails is well inside. Products with z may underflow in a factor: ``|z| w``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format, Limit
from conformance.bounds.functions import logistic, softmax_parts
from conformance.oracle_units import erf

Array = NDArray[Any]

_ROOT = math.sqrt(2 / math.pi)


def _wide(x: Array) -> Limit:
    return np.asarray(x, np.float64)


def leaky_relu(form: Format, expected: Array) -> Limit:
    """``2 u |y|``: the slope is rounded to the dtype, and the product."""
    return 2 * form.u * (1 + form.u) * np.abs(expected) + form.w


def leaky_relu_backward(form: Format, expected: Array) -> Limit:
    """As `leaky_relu`."""
    return leaky_relu(form, expected)


def tanh(form: Format, Z: Array) -> Limit:
    """``E |y|``."""
    return form.exp * np.abs(np.tanh(_wide(Z))) + form.w


def tanh_backward(form: Format, Z: Array, dA: Array) -> Limit:
    """``|g| (y^2 (2 E + u) + (6 u + E |y|) (1 - y^2))``: y is off by E, its square and the rest are rounded.

    Six roundings of ``1 - y^2`` are for ``4 t / (1 + t)^2`` with ``t = exp(-2 |z|)``, whose error E moves the
    quotient by ``E |y|``.
    """
    g, y2 = np.abs(_wide(dA)), np.tanh(_wide(Z)) ** 2
    slope = 1 / np.cosh(np.minimum(np.abs(_wide(Z)), 700)) ** 2
    first = g * (y2 * (2 * form.exp + form.u) + 6 * form.u * slope + form.exp * np.sqrt(y2) * slope)
    result: Limit = first * (1 + 10 * form.u) + (g + 2) * form.w
    return result


def silu(form: Format, Z: Array) -> Limit:
    """``|y| ((1 - s) E + 3 u)``: the relative error of the sigmoid s, and a product."""
    z = np.abs(_wide(Z))
    s = logistic(Z)
    y = np.where(z == np.inf, 0, z) * s
    return (
        y * ((1 - s) * form.exp + 3 * form.u) * (1 + 10 * form.u) + (np.where(z < np.inf, z, 0) + 1) * form.w
    )


def silu_backward(form: Format, Z: Array, dA: Array) -> Limit:
    """``|g| (s e (1 + |z| (1 - s)) + s |z| (s e + u) + 4 u (s + |z| s (1 - s)))``, e that of the sigmoid.

    The derivative is ``s (1 + z (1 - s))``. s is off by ``s e`` in both places, where ``1 - s`` is rounded
    once more; four roundings of the products and sums.
    """
    z, g, s = np.abs(_wide(Z)), np.abs(_wide(dA)), logistic(Z)
    rest = logistic(-_wide(Z))
    e = rest * form.exp + 2 * form.u
    first = g * (s * e * (1 + z * rest) + s * z * (s * e + form.u) + 4 * form.u * (s + z * s * rest))
    result: Limit = first * (1 + 20 * form.u) + (g * (1 + z) + 2) * form.w
    return result


def _tanh_inner(Z: Array) -> tuple[Limit, Limit]:
    """``y = sqrt(2/pi) (z + 0.044715 z^3)`` and its derivative."""
    z = _wide(Z)
    square = z * z
    return _ROOT * (z + 0.044715 * square * z), _ROOT * (1 + 3 * 0.044715 * square)


def _flat(y: Limit) -> Limit:
    """``1 - tanh(y)^2`` without its cancellation."""
    return 1 / np.cosh(np.minimum(np.abs(y), 350)) ** 2


def gelu(form: Format, Z: Array, approximate: str) -> Limit:
    """``|z| (e / 2 + u Phi) + 2 u |result|``, with the error e of ``erf(z / sqrt 2)`` or of ``tanh(y)``.

    erf: ``e = |erf| E + 2 u |z| sqrt(2/pi) exp(-z^2/2)`` from its own accuracy and from its argument, a
    rounded quotient; tanh: ``e = |tanh| E + 6 u |y| (1 - tanh^2)``, y being five operations.
    """
    z, value = np.abs(_wide(Z)), _curve(Z, approximate)
    first = z * (_curve_error(form, Z, value, approximate) / 2 + form.u * (1 + value))
    result = 0.5 * z * (1 + value)
    return (first + 2 * form.u * result) * (1 + 20 * form.u) + (z + 2) * form.w


def _curve(Z: Array, approximate: str) -> Limit:
    """``erf(z / sqrt 2)`` or ``tanh(y)``."""
    if approximate == "tanh":
        return np.tanh(_tanh_inner(Z)[0])
    return erf(_wide(Z) * math.sqrt(0.5))


def _curve_error(form: Format, Z: Array, value: Limit, approximate: str) -> Limit:
    """How far `value`, the `_curve` at Z, may be off."""
    value = np.abs(value)
    if approximate == "tanh":
        y = _tanh_inner(Z)[0]
        return value * form.exp + 6 * form.u * np.abs(y) * _flat(y)
    z = np.abs(_wide(Z))
    return value * form.exp + 2 * form.u * z * _ROOT * np.exp(-z * z / 2)


def gelu_backward(form: Format, Z: Array, dA: Array, approximate: str) -> Limit:
    """``|g| (e / 2 + 2 u (1 + |curve|) + the error of the second term) + 2 u |result|``, e as for `gelu`.

    The second term is ``z phi(z)``, off by ``E + u z^2 + 5 u`` relatively (the exponent of the density is a
    rounded square), or ``z (1 - tanh^2) y' / 2``, where ``1 - tanh^2`` is off by ``2 e + 2 u``, and eight
    roundings.
    """
    z, g, value = np.abs(_wide(Z)), np.abs(_wide(dA)), _curve(Z, approximate)
    e = _curve_error(form, Z, value, approximate)
    if approximate == "tanh":
        y, slope = _tanh_inner(Z)
        size = 0.5 * z * _flat(y) * slope
        second = 0.5 * z * slope * (2 * e + 2 * form.u) + 8 * form.u * size
    else:
        size = z * _ROOT / 2 * np.exp(-z * z / 2)
        second = size * (form.exp + form.u * z * z + 5 * form.u)
    first = g * (e / 2 + 2 * form.u * (1 + np.abs(value)) + second + 2 * form.u * (1 + size))
    result: Limit = first * (1 + 20 * form.u) + (g * (1 + z) + 2) * form.w
    return result


def _log_softmax(form: Format, X: Array) -> tuple[Limit, Limit, Limit, Limit]:
    """The probabilities, their relative errors, the logarithms and the bound of these."""
    y, relative = softmax_parts(form, X)
    if not y.size:
        return y, y, y, y
    x = _wide(X)
    d = x.max(axis=1, keepdims=True) - x
    log_s = np.log(np.exp(-d).sum(axis=1, keepdims=True))
    shift = (y * np.where(y == 0, 0, form.u * d)).sum(axis=1, keepdims=True)
    of_sum = shift + form.exp + (x.shape[1] - 1) * form.u
    logp = -d - log_s
    finite = np.where(np.isfinite(d), d, 0)
    size = np.where(np.isfinite(logp), np.abs(logp), 0)
    limit = 2 * form.u * size + form.u * finite + form.exp * log_s + of_sum * (1 + of_sum) + form.w
    return y, relative, logp, limit


def log_softmax(form: Format, X: Array) -> Limit:
    """``2 u |l| + u d + E log s + e_s`` with ``d = max x - x``, s the sum of ``exp(-d)``, off by e_s.

    ``e_s = sum_j y_j u d_j + E + (n - 1) u`` moves the logarithm by as much, which itself is within E.
    The first subtraction rounds by ``u d``, the second by ``u |l|`` (twice, for the other order).
    """
    return _log_softmax(form, X)[3]


def log_softmax_backward(form: Format, X: Array, dlogp: Array) -> Limit:
    """``y (n u sum |g| + e |sum g|) + 2 u (|g| + y |sum g|)`` with the relative error e of a probability.

    The probability is softmax's, or exp of the logarithm, which is off by the error of that and by E.
    """
    y, relative, _, limit = _log_softmax(form, X)
    g = _wide(dlogp)
    n = g.shape[1]
    total, size = np.abs(g.sum(axis=1, keepdims=True)), np.abs(g).sum(axis=1, keepdims=True)
    e = relative + limit + form.exp
    first = y * (n * form.u * size + e * total) + 2 * form.u * (np.abs(g) + y * total)
    result: Limit = first * (1 + 2 * float(e.max(initial=0.0))) + (n + 2) * form.w * (1 + size)
    return result
