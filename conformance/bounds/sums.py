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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import passes
from conformance.bounds.arithmetic import FORMATS, U64, Arithmetic, Limit
from conformance.bounds.passes import ADDITIONS as ADDITIONS
from conformance.bounds.passes import MEAN as MEAN
from conformance.bounds.passes import PRODUCTS as PRODUCTS
from conformance.bounds.passes import unit as unit
from conformance.cases.case import Case
from conformance.oracle.torch_oracle import evaluate

Arrays = Mapping[str, NDArray[Any]]

#: Nothing to be added.
NONE = np.zeros(())

#: Factor of the statistical tier, ``|error| <= lambda u sqrt(n) sqrt(Q)``. For mean-independent roundings
#: Higham & Mary (2019, 2020) prove a limit of this form, but with ``lambda^2`` where the data are random, a
#: bound on the data, and a probability with a factor n. So it is an estimate: exceeded by chance once in 1e13
#: elements for 8, in orders that do not depend on the data (`Arithmetic.by_value`); the largest value seen
#: over 5e8 elements of correct kernels was 4.76.
LAMBDA = 8.0


@dataclass(frozen=True)
class Terms:
    """The ingredients of one output.

    Attributes
    ----------
    counted : callable
        Gives the number of non-zero terms; called once, where a limit asks for it: exact data have none.
    S : ndarray of float64
        The sum of |terms|.
    Q : ndarray of float64 or None
        The sum of squared terms.
    """

    counted: Callable[[], Limit]
    S: Limit
    Q: Limit | None = None

    @cached_property
    def n(self) -> Limit:
        """The number of non-zero terms."""
        return self.counted()


def coarse(arrays: Arrays, arithmetic: Arithmetic) -> Arrays:
    """The arrays with their smallest numbers as large as a declared precision rounds them, relatively to v.

    Below its smallest normal number the error no longer shrinks with the number: `Terms.S` of these allows
    for it.
    """
    if not arithmetic.least:
        return arrays
    return {
        name: np.where((x != 0) & (np.abs(x) < arithmetic.least), np.copysign(arithmetic.least, x), x)
        for name, x in arrays.items()
    }


def ingredients(
    case: Case, arrays: Arrays, summed: tuple[str, ...], squares: bool, divisor: Limit | None = None
) -> dict[str, Terms]:
    """Run the oracle on masks, absolute values and, for the statistical tier, squares.

    `summed` names the arrays whose products are summed; the others (the input whose maxima
    a pooling gradient follows) stay as they are. What the operation divides the `summed` arrays by is
    undone in the number of terms and done twice in the sum of squares.
    """
    parts = {name: passes.parts(arrays[name], squares) for name in summed}

    def run(part: int, change: Callable[[Limit], Limit] | None) -> dict[str, Limit]:
        changed = {
            name: found[part] if change is None else change(found[part]) for name, found in parts.items()
        }
        return evaluate(case, {**arrays, **changed})

    @cache
    def n() -> dict[str, Limit]:
        return run(0, None if divisor is None else lambda x: x * divisor)

    S = run(1, None)
    Q = run(2, None if divisor is None else lambda x: x / divisor) if squares else dict.fromkeys(S)
    return {name: Terms(lambda name=name: n()[name], S[name], Q[name]) for name in S}  # type: ignore[misc]


def divided(terms: Terms, divisor: Limit) -> Terms:
    """Undo the output's division by `divisor` in the number of terms, do it twice in the sum of squares."""
    return Terms(lambda: terms.n * divisor, terms.S, None if terms.Q is None else terms.Q / divisor)


def limit(case: Case, terms: Terms, roundings: int, arithmetic: Arithmetic, added: Limit = NONE) -> Limit:
    """The elementwise limit of a sum whose terms take part in `roundings`, see (1), and what is `added`.

    So many are `PRODUCTS`, `ADDITIONS` or `MEAN`. For inputs first rounded to a unit roundoff v (a declared
    precision) each product is off by ``2 v + v^2`` and the stored result by v again: ``3 v S`` (1 + v) more.
    For a fast algorithm the bound holds for the whole array only: the largest elementwise bound times the
    growth factor.
    """
    form, v = FORMATS[case.dtype], arithmetic.roundoff
    w = max(form.w, v * arithmetic.least)
    more = added, roundings, form.u, w, form.largest, v, arithmetic.growth
    return passes.limit(terms.n, terms.S, *more)


def statistical(case: Case, terms: Terms, added: Limit = NONE) -> Limit | None:
    """``8 u sqrt(n + 1) sqrt(Q)``, what independent roundings of zero-mean terms keep to; and `added`.

    In float64 the oracle's own roundings are as large as those under test, so both are counted.
    """
    if terms.Q is None:
        return None
    form = FORMATS[case.dtype]
    return passes.statistical(terms.n, terms.Q, added, LAMBDA * (form.u + U64), form.w)


def exact(case: Case, terms: Terms, step: float, expected: Limit) -> bool:
    """Whether nothing is rounded, in whatever order the terms are added.

    Either all terms are multiples of `step` and ``S <= 2^24 step`` (2^53 for float64): each partial
    sum is then a number of the dtype, unless `step` itself underflows. Or no sum has more than one
    term, and that term is a number of the dtype.
    """
    form, largest = FORMATS[case.dtype], passes.largest(terms.S)
    if step >= form.w and (largest <= form.integers * step or largest == 0):
        return True
    return passes.largest(terms.n) <= 1 and passes.fits(expected, form.dtype == np.float32)
