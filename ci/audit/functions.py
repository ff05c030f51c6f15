"""exp, log, tanh, erf and their like, off by so many units in the last place as a library's may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_ERF = np.vectorize(math.erf, otypes=[np.float64])
_ERFC = np.vectorize(math.erfc, otypes=[np.float64])


def _vector(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda x: function(x) if x.size else x


@dataclass(frozen=True)
class Functions:
    """Functions that are off by `ulp` units in the last place, the last half of them by rounding.

    ``sign`` says into which direction: 1, -1, or 0 for either, by the last bits of the argument.
    """

    ulp: float
    sign: int

    def __str__(self) -> str:
        """In a table."""
        return f"{self.ulp:g} ulp{ {1: ' up', -1: ' down', 0: ''}[self.sign] }"

    def _off(self, function: Callable[[Array], Array], x: Array, settles: bool = False) -> Array:
        """What comes of it; one that settles is 1 or -1 where float64 has it so, as every library's is."""
        exact = function(np.asarray(x, np.float64))
        if self.ulp <= 0.5:
            return np.asarray(exact.astype(x.dtype))
        near = np.abs(exact.astype(x.dtype))
        unit = np.spacing(near).astype(np.float64)
        sign: Any = self.sign
        if not sign:
            sign = np.where(np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}") % 7 % 2, 1, -1)
        # Among subnormal numbers a library is off by one of them, no more.
        most = np.where(near < np.finfo(x.dtype).tiny, 0.5, self.ulp - 0.5)
        moved = exact + sign * np.sign(exact) * most * np.where(np.isfinite(unit), unit, 0)
        kept = (exact == 0) | (settles & (np.abs(exact) == 1))
        return np.asarray(np.where(kept, exact, moved).astype(x.dtype))

    def exp(self, x: Array) -> Array:
        """The exponential; 1 at 0, as everywhere."""
        return np.asarray(np.where(x == 0, x.dtype.type(1), self._off(np.exp, x)))

    def log(self, x: Array) -> Array:
        """The logarithm."""
        return self._off(np.log, x)

    def expm1(self, x: Array) -> Array:
        """``exp(x) - 1``, never below -1."""
        return np.asarray(np.maximum(self._off(np.expm1, x, settles=True), x.dtype.type(-1)))

    def tanh(self, x: Array) -> Array:
        """The hyperbolic tangent, never beyond 1."""
        return np.clip(self._off(np.tanh, x, settles=True), x.dtype.type(-1), x.dtype.type(1))

    def cosh(self, x: Array) -> Array:
        """The hyperbolic cosine, at least 1."""
        return np.asarray(np.maximum(self._off(np.cosh, x), x.dtype.type(1)))

    def erf(self, x: Array) -> Array:
        """The error function, never beyond 1."""
        return np.clip(self._off(_vector(_ERF), x, settles=True), x.dtype.type(-1), x.dtype.type(1))

    def erfc(self, x: Array) -> Array:
        """One less it, never beyond 2."""
        return np.asarray(np.minimum(self._off(_vector(_ERFC), x), x.dtype.type(2)))


#: Libraries: correctly rounded, and of 1, 2 and 4 units in the last place to either side.
LIBRARIES = (Functions(0.5, 0), *(Functions(k, sign) for k in (1, 2, 4) for sign in (1, -1, 0)))
