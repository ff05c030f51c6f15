"""Bounds of tanh, SiLU, GELU, leaky ReLU and the logarithm of softmax, as those of `functions`.

tanh and erf are asked for the relative accuracy ``E`` of exp. The formulas bounded are the textbook's, with
``1 + erf``, ``1 + tanh`` and ``1 - tanh^2`` taken as they stand: an implementation that keeps its relative
accuracy in the tails is well inside. Products with z may underflow in a factor: ``|z| w``.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from conformance.bounds import curves, rows
from conformance.bounds.arithmetic import Format, Limit
from conformance.oracle.torch_oracle import erf

Array = NDArray[Any]


def leaky_relu(form: Format, expected: Array) -> Limit:
    """``2 u |y|``: the slope is rounded to the dtype, and the product."""
    return curves.scaled(expected, 2 * form.u * (1 + form.u), 1.0, form.w)


def leaky_relu_backward(form: Format, expected: Array) -> Limit:
    """As `leaky_relu`."""
    return leaky_relu(form, expected)


def tanh(form: Format, Z: Array) -> Limit:
    """``E |y|``."""
    return curves.tanh(form, Z)


def tanh_backward(form: Format, Z: Array, dA: Array) -> Limit:
    """``|g| (y^2 (2 E + u) + (6 u + E |y|) (1 - y^2))``: y is off by E, its square and the rest are rounded.

    Six roundings of ``1 - y^2`` are for ``4 t / (1 + t)^2`` with ``t = exp(-2 |z|)``, whose error E moves the
    quotient by ``E |y|``.
    """
    return curves.tanh_backward(form, Z, dA)


def silu(form: Format, Z: Array) -> Limit:
    """``|y| ((1 - s) E + 3 u)``: the relative error of the sigmoid s, and a product."""
    return curves.silu(form, Z)


def silu_backward(form: Format, Z: Array, dA: Array) -> Limit:
    """``|g| (s e (1 + |z| (1 - s)) + s |z| (s e + u) + 4 u (s + |z| s (1 - s)))``, e that of the sigmoid.

    The derivative is ``s (1 + z (1 - s))``. s is off by ``s e`` in both places, where ``1 - s`` is rounded
    once more; four roundings of the products and sums.
    """
    return curves.silu_backward(form, Z, dA)


def gelu(form: Format, Z: Array, approximate: str) -> Limit:
    """``|z| (e / 2 + u Phi) + 2 u |result|``, with the error e of ``erf(z / sqrt 2)`` or of ``tanh(y)``.

    erf: ``e = |erf| E + 2 u |z| sqrt(2/pi) exp(-z^2/2)`` from its own accuracy and from its argument, a
    rounded quotient; tanh: ``e = |tanh| E + 6 u |y| (1 - tanh^2)``, y being five operations.
    """
    return curves.gelu(form, Z, None if approximate == "tanh" else erf)


def gelu_backward(form: Format, Z: Array, dA: Array, approximate: str) -> Limit:
    """``|g| (e / 2 + 2 u (1 + |curve|) + the error of the second term) + 2 u |result|``, e as for `gelu`.

    The second term is ``z phi(z)``, off by ``E + u z^2 + 5 u`` relatively (the exponent of the density is a
    rounded square), or ``z (1 - tanh^2) y' / 2``, where ``1 - tanh^2`` is off by ``2 e + 2 u``, and eight
    roundings.
    """
    return curves.gelu_backward(form, Z, dA, None if approximate == "tanh" else erf)


def log_softmax(form: Format, X: Array) -> Limit:
    """``2 u |l| + u d + E log s + e_s`` with ``d = max x - x``, s the sum of ``exp(-d)``, off by e_s.

    ``e_s = sum_j y_j u d_j + E + (n - 1) u`` moves the logarithm by as much, which itself is within E.
    The first subtraction rounds by ``u d``, the second by ``u |l|`` (twice, for the other order).
    """
    return rows.log_softmax(form, X)


def log_softmax_backward(form: Format, X: Array, dlogp: Array) -> Limit:
    """``y (n u sum |g| + e |sum g|) + 2 u (|g| + y |sum g|)`` with the relative error e of a probability.

    The probability is softmax's, or exp of the logarithm, which is off by the error of that and by E.
    """
    return rows.log_softmax_backward(form, X, dlogp)
