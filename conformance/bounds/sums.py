"""Bounds of the operations that are sums of products: convolution, affine layer, pooling.

One theorem carries all of them. For an inner product of n terms in floating-point arithmetic with
rounding to nearest, in any order, with or without fused multiply-add::

    |fl(x . y) - x . y| <= n u |x| . |y|                                                      (1)

(Jeannerod & Rump 2013, "Improved error bounds for inner products in floating-point arithmetic",
Theorem 4.2; no restriction on n). A plain sum of n terms needs n - 1 roundings: ``(n - 1) u sum|x|``.

The ingredients of (1) come from the oracle itself, run on other data, so that padding, strides and
windows that do not tile are counted by the same code that says what is right:

* ``n``: the operation on 0/1 masks of the non-zero elements (adding zero is exact);
* ``S = |x| . |y|``: the operation on absolute values;
* ``Q = sum (x_k y_k)^2``: the operation on squares.

Each limit then allows for what (1) leaves out: ``n w`` for products that underflow (w the smallest
subnormal number), and ``n 2^-53 S`` for the oracle, which is a float64 sum itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import FORMATS, U64, Arithmetic, Limit
from conformance.case import Case
from conformance.oracle import evaluate

Arrays = Mapping[str, NDArray[Any]]

#: Factor of the statistical tier. ``|error| <= lambda u sqrt(n) sqrt(Q)`` fails with a probability below
#: ``2 exp(-lambda^2 / 2)`` for mean-independent rounding errors (Higham & Mary 2019, 2020): 3e-14 for 8.
#: The largest value seen over 5e8 elements of correct kernels was 4.76.
LAMBDA = 8.0


@dataclass(frozen=True)
class Terms:
    """The ingredients of one output: number of non-zero terms, sum of |terms|, sum of squared terms."""

    n: Limit
    S: Limit
    Q: Limit | None = None


def ingredients(
    case: Case, arrays: Arrays, summed: tuple[str, ...], squares: bool, divisor: Limit | None = None
) -> dict[str, Terms]:
    """Run the oracle on masks, absolute values and, for the statistical tier, squares.

    `summed` names the arrays whose products are summed; the others (the input whose maxima
    a pooling gradient follows) stay as they are. What the operation divides the `summed` arrays by is
    undone in the number of terms and done twice in the sum of squares.
    """
    by: Limit | float = 1.0 if divisor is None else divisor
    data = {name: np.asarray(arrays[name], np.float64) for name in summed}

    def run(change: Any) -> dict[str, Limit]:
        return evaluate(case, {**arrays, **{name: change(x) for name, x in data.items()}})

    n = run(lambda x: (x != 0) * by)
    S = run(np.abs)
    Q = run(lambda x: np.square(x) / by) if squares else dict.fromkeys(S)
    return {name: Terms(n[name], S[name], Q[name]) for name in S}


def divided(terms: Terms, divisor: Limit) -> Terms:
    """Undo the output's division by `divisor` in the number of terms, do it twice in the sum of squares."""
    return Terms(terms.n * divisor, terms.S, None if terms.Q is None else terms.Q / divisor)


def limit(case: Case, terms: Terms, roundings: Limit, arithmetic: Arithmetic) -> Limit:
    """The elementwise limit of a sum whose terms take part in `roundings` roundings: see (1).

    For inputs first rounded to a unit roundoff v (a declared precision) each product is off by
    ``2 v + v^2`` and the stored result by v again: ``3 v S`` (1 + v) more. For a fast algorithm the
    bound holds for the whole array only: the largest elementwise bound times the growth factor.
    """
    form, v = FORMATS[case.dtype], arithmetic.roundoff
    # Last factor: S and n are float64 sums themselves.
    slack = 1 + (terms.n + 4) * 2 * U64
    result = roundings * (form.u + U64)
    if v:
        result = result + 3 * v * (1 + v)
    result = result * terms.S * slack + terms.n * form.w
    if arithmetic.growth and result.size:
        result = np.full_like(result, result.max() * arithmetic.growth)
    # A partial sum may overflow where the sum of absolute values does: nothing can be asked there.
    if result.size and not terms.S.max() * (1 + roundings.max() * form.u) <= form.largest / 2:
        return np.where(terms.S * (1 + roundings * form.u) > form.largest / 2, np.inf, result)
    return np.asarray(result)


def statistical(case: Case, terms: Terms) -> Limit | None:
    """``8 u sqrt(n + 1) sqrt(Q)``: what independent roundings of zero-mean terms keep to.

    In float64 the oracle's own roundings are as large as those under test, so both are counted.
    """
    if terms.Q is None:
        return None
    form = FORMATS[case.dtype]
    return LAMBDA * (form.u + U64) * np.sqrt(terms.n + 1) * np.sqrt(terms.Q) + terms.n * form.w


def unit(x: NDArray[Any]) -> float:
    """The largest power of two that divides every element: inf for zeros only, 0 for NaN and inf."""
    values = np.asarray(x, np.float64)
    sizes = np.abs(values).reshape(-1)
    largest = float(sizes.max(initial=0.0))
    if not 0 < largest < math.inf:
        return 0.0 if largest else math.inf  # NaN is not 0
    # As whole numbers of 63 bits, all to one scale: their common trailing zeros are those of their union.
    exponent = math.frexp(largest)[1]
    if exponent <= 62:  # scaling down could round
        whole = np.ldexp(sizes, 62 - exponent)
        digits = whole.astype(np.int64)
        if (digits == whole).all():
            union = int(np.bitwise_or.reduce(digits))
            return math.ldexp(union & -union, exponent - 62)
    mantissa, exponents = np.frexp(sizes[sizes > 0])
    digits = (mantissa * 2.0**53).astype(np.int64)
    return float(np.ldexp((digits & -digits).astype(np.float64), exponents - 53).min())


def exact(case: Case, terms: Terms, step: float, expected: Limit) -> bool:
    """Whether nothing is rounded, in whatever order the terms are added.

    Either all terms are multiples of `step` and ``S <= 2^24 step`` (2^53 for float64): each partial
    sum is then a number of the dtype, unless `step` itself underflows. Or no sum has more than one
    term, and that term is a number of the dtype.
    """
    form = FORMATS[case.dtype]
    largest = float(terms.S.max()) if terms.S.size else 0.0
    if step >= form.w and (largest <= form.integers * step or largest == 0):
        return True
    single = not terms.n.size or float(terms.n.max()) <= 1
    return single and bool((expected.astype(form.dtype) == expected).all())
