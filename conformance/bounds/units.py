"""Bounds of tanh, SiLU, GELU, leaky ReLU, PReLU and the logarithm of softmax, as those of `functions`.

tanh and erf are asked for the relative accuracy ``E`` of exp. The formulas bounded are the textbook's, with
``1 + erf``, ``1 + tanh`` and ``1 - tanh^2`` taken as they stand, *absolute* in their tails, unless a module
declares the accuracy *relative* (`arithmetic.ACCURACIES`). A factor may underflow before it is multiplied by
z or g: ``|z| w``, ``|g| w``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import curves, functions, rows
from conformance.bounds.arithmetic import Format, Limit, wide
from conformance.cases.case import Case
from conformance.oracle.torch_oracle import erfc

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def leaky_relu(form: Format, expected: Array) -> Limit:
    """``2 u |y|``: the slope is rounded to the dtype, and the product."""
    return curves.scaled(expected, 2 * form.u * (1 + form.u), 1.0, form.w)


def leaky_relu_backward(form: Format, expected: Array) -> Limit:
    """As `leaky_relu`."""
    return leaky_relu(form, expected)


def prelu(form: Format, case: Case, a: Arrays, random: float) -> dict[str, Limit]:
    """``u |y|`` where Z is not above 0, one product; above 0 nothing is rounded."""
    return {"A": _product(form, a["slopes"], a["Z"], a)}


def prelu_backward(form: Format, case: Case, a: Arrays, random: float) -> dict[str, Limit]:
    """As `prelu`, and dslopes ``n u sum |g z|`` over the n terms that are not 0 (`sums`, (1)).

    At random, ``8 u sqrt(n + 1) sqrt(sum (g z)^2)``: see `sums.statistical`.
    """
    axes = (0, 1, 2, 3) if case.word("slopes") == "shared" else (0, 1, 2)
    terms = np.where(a["Z"] > 0, 0.0, _finite(wide(a["dA"]) * a["Z"]))
    n = (terms != 0).sum(axes, keepdims=True)
    if random:
        size = random * form.u * np.sqrt(n + 1.0) * np.sqrt(np.square(terms).sum(axes, keepdims=True))
        return {"dslopes": size + n * form.w}
    return {
        "dZ": _product(form, a["slopes"], a["dA"], a),
        "dslopes": n * (form.u * np.abs(terms).sum(axes, keepdims=True) + form.w),
    }


def _product(form: Format, slopes: Array, x: Array, a: Arrays) -> Limit:
    size = form.u * np.abs(_finite(wide(slopes) * x)) + form.w
    return np.where(a["Z"] > 0, 0.0, size)


def _finite(x: Limit) -> Limit:
    return np.where(np.isfinite(x), x, 0.0)


def tanh(form: Format, Z: Array) -> Limit:
    """``|y| ((1 + |y|) E + 2 u)``.

    A library's tanh is within E. By ``m = expm1(-2 |z|)``, y = -m / (m + 2): the error E of m moves the
    quotient by the relative amount ``2 E / (m + 2) = (1 + |y|) E``, the addition and the division add u each;
    from ``expm1(2 |z|)`` it is ``(1 - |y|) E + 2 u``.
    """
    return curves.tanh(form, Z)


def tanh_backward(form: Format, Z: Array, dA: Array, accuracy: str) -> Limit:
    """``|g| (y^2 (2 e + u) + (1 - y^2) (2 E + 6 u))``, e that of `tanh`; *relative*: the second term alone.

    y is off by e, its square by 2 e and u; the rest is rounded. ``(1 - y)(1 + y)`` is off by as much. ``1 -
    y^2`` cancels; ``4 t / (1 + t)^2`` with ``t = exp(-2 |z|)`` does not, whose error E moves the quotient by
    ``E |y|`` and which has six roundings, nor does ``1 / cosh^2``, twice E and three roundings. A t that
    underflows is off by w, four times and times g.
    """
    return curves.tanh_backward(form, Z, dA, accuracy == "relative")


def silu(form: Format, Z: Array, accuracy: str) -> Limit:
    """``|y| ((1 - s) E + 3 u)``: the relative error of the sigmoid s, and a product.

    A subnormal s is off by w, hence ``(|z| + 1) w``. *normal*: also all of y where ``exp(-z)`` overflows.
    """
    limit = curves.silu(form, Z)
    return limit + np.abs(Z) * functions.lost(form, Z) if accuracy == "normal" else limit


def silu_backward(form: Format, Z: Array, dA: Array, accuracy: str) -> Limit:
    """``|g| (s e (1 + |z| (1 - s)) + s |z| (s e + u) + 4 u (s + |z| s (1 - s)))``, e that of the sigmoid.

    The derivative is ``s (1 + z (1 - s))``. s is off by ``s e`` in both places, where ``1 - s`` is rounded
    once more; four roundings of the products and sums. Underflow: s itself, times g and z; or the product ``g
    s`` before it is multiplied by ``1 + z (1 - s)``: ``(|g| (1 + |z|) + |z| + 3) w``. *normal*: as for
    `silu`.
    """
    limit = curves.silu_backward(form, Z, dA)
    if accuracy == "normal":
        limit += np.abs(np.asarray(dA, np.float64)) * (1 + np.abs(Z)) * functions.lost(form, Z)
    return limit


def gelu(form: Format, Z: Array, approximate: str, accuracy: str) -> Limit:
    """``|z| (e / 2 + u Phi) + 2 u |result|``, e the error of ``erf(z / sqrt 2)`` or of ``tanh(y)``.

    erf: ``e = E max(2 |erf|, 2 Phi) + 2 u |z| sqrt(2/pi) exp(-z^2/2)``, from its own accuracy or that of
    ``erfc = 2 Phi``, and from its argument, a product with a rounded constant. Its own is ``2 E``: vector
    libraries often take erf from Abramowitz and Stegun (7.1.26); PyTorch's float32 GELU is off by what an
    erf wrong by 12.7 u makes of it, at most, of 4 million arguments, between 2.5 and 4.

    tanh: ``e = max(|t| ((1 + |t|) E + 2 u), E (1 - t^2) / 2) + 6 u |y| (1 - t^2)``: the error of `tanh`, or
    that of the sigmoid of 2 y, which is s (1 - s) E and 1 - s = (1 - t) / 2; y is five operations. Near 0 erf
    and tanh vanish, and the second forms' errors do not.

    *relative*, below 0 (above, nothing cancels): erf by erfc ``|result| (E + 2 u (1 + z^2) + 3 u)``, as the
    relative condition of erfc(x) is at most ``1 + 2 x^2``; the sigmoid of w = 2 y: ``|result| ((1 - s) (E + 7
    u |w|) + 4 u)``, w being seven roundings where its cube is most of it.
    """
    return curves.gelu(form, Z, None if approximate == "tanh" else erfc, accuracy == "relative")


def gelu_backward(form: Format, Z: Array, dA: Array, approximate: str, accuracy: str) -> Limit:
    """``|g| (e / 2 + 2 u (1 + |curve|) + the error of the second term) + 2 u |result|``, e as for `gelu`.

    The second term is ``z phi(z)``, off by ``E + 3 u z^2 + 5 u`` relatively: the exponent of the density is a
    rounded square, or the square of a rounded ``z sqrt(1/2)``, twice its error and half of z^2 large. Or it
    is ``z (1 - tanh^2) y' / 2``, where ``1 - tanh^2`` is off by ``2 e + 2 u``, and eight roundings.

    *relative*, below 0: each of the two terms within a relative error. erf: ``Phi (E + 2 u (1 + z^2) + 3 u) +
    |z| phi (E + 3 u z^2 + 7 u)``. tanh, with the sigmoid s of w = 2 y: ``s ((1 - s) (E + 7 u |w|) + 4 u) +
    |z| s (1 - s) w' (E + 7 u |w| + 16 u)``, since ``s (1 - s)`` as a product of two sigmoids is off by E and
    the error of w. Where s underflows, it is off by the smallest subnormal number, times ``|z| w'``.
    """
    return curves.gelu_backward(form, Z, dA, None if approximate == "tanh" else erfc, accuracy == "relative")


def log_softmax(form: Format, X: Array, accuracy: str) -> Limit:
    """``2 u |l| + u d + E log s + e_s`` with ``d = max x - x``, s the sum of ``exp(-d)``, off by e_s.

    ``e_s = sum_j y_j u d_j + E + (n - 1) u`` moves the logarithm by as much, which itself is within E.
    The first subtraction rounds by ``u d``, the second by ``u |l|`` (twice, for the other order). *absolute*:
    ``x - (max + log s)``, whose sum rounds by ``u (|max| + log s)``, however small l is.
    """
    return rows.log_softmax(form, X, accuracy == "absolute")


def log_softmax_backward(form: Format, X: Array, dlogp: Array, accuracy: str) -> Limit:
    """``y (n u sum |g| + e |sum g|) + 2 u (|g| + y |sum g|)`` with the relative error e of a probability.

    The probability is softmax's (`functions.softmax`), or exp of what `log_softmax` answered, which is off by
    the error of that and by E: the larger of the two.
    """
    return rows.log_softmax_backward(form, X, dlogp, accuracy == "absolute")
