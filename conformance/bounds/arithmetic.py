"""Constants of the arithmetic: unit roundoff, underflow, accuracy of exp and log, declared classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.dtypes import KNOWN, working

Limit = NDArray[np.float64]

#: Unit roundoff of the float64 oracle.
U64 = 2.0**-53

#: Precisions an implementation may declare for its products, with the unit roundoff of each.
PRECISIONS: dict[str, float] = {"tf32": 2.0**-11, "f16": 2.0**-11, "bf16": 2.0**-8}

#: Algorithms that are not sums of products, with the growth factor of their norm-wise bound. It is
#: the square (two axes) of the product of the largest row sums of the three transforms A, B and G of
#: Lavin & Gray (2016), https://arxiv.org/abs/1509.09308: F(2x2, 3x3): (3 * 2 * 1.5)^2; F(4x4, 3x3):
#: (19 * 10 * 1)^2. A product of such norms bounds the error of any bilinear algorithm (Higham 2002, 23.3).
ALGORITHMS: dict[str, float] = {"winograd": 190.0**2, "winograd-2x2": 9.0**2}


@dataclass(frozen=True)
class Arithmetic:
    """The class of arithmetic that an implementation is held to.

    Attributes
    ----------
    name : str
        ``"ieee"``, or what the implementation declares (``"tf32"``, ``"winograd"``).
    roundoff : float
        Unit roundoff of the inputs of each product; 0 when they are used as they come.
    growth : float
        Factor of the norm-wise bound of a fast algorithm; 0 for sums of products.
    """

    name: str = "ieee"
    roundoff: float = 0.0
    growth: float = 0.0

    @property
    def ieee(self) -> bool:
        """Whether every operation is rounded in the dtype itself, so that exact data stay exact."""
        return not self.roundoff and not self.growth

    @classmethod
    def declared(cls, precision: str | None, algorithm: str | None) -> Arithmetic:
        """The class for what a module declares as ``precision`` and ``algorithm``.

        Raises
        ------
        ValueError
            If there is no bound for it.
        """
        for kind, value, known in (
            ("precision", precision, PRECISIONS),
            ("algorithm", algorithm, ALGORITHMS),
        ):
            if value is not None and value not in known:
                raise ValueError(
                    f"{kind} = {value!r} is not a class with a bound; expected one of {', '.join(known)}"
                )
        names = [name for name in (precision, algorithm) if name]
        return cls(
            "+".join(names) or "ieee",
            PRECISIONS[precision] if precision else 0.0,
            ALGORITHMS[algorithm] if algorithm else 0.0,
        )


#: Every operation rounded in the dtype itself, as IEEE 754 has it.
IEEE = Arithmetic()


@dataclass(slots=True)
class Bound:
    """What one output of one case is held to.

    Attributes
    ----------
    tier : {"equal", "exact", "bound", "statistical"}
        Which tier judges.
    limit : ndarray of float64
        The largest error allowed at each element; broadcasts against the output.
    statistical : ndarray of float64 or None
        The limit of the statistical tier, where it applies.
    detectability : float or None
        The share of single dropped terms that the tier would see; None when there is no term.
    target : ndarray of float64 or None
        The right answer as it is stored, where that is not the true value: rounded to half.
    """

    tier: str
    limit: Limit
    statistical: Limit | None
    detectability: float | None
    target: Limit | None = None


@dataclass(frozen=True)
class Format:
    """The constants of one floating-point dtype, `dtype`.

    ``u`` unit roundoff, ``w`` the smallest subnormal number, ``largest`` the largest finite number,
    ``integers`` the bound below which every integer is a number of the dtype.
    """

    dtype: np.dtype[Any]
    u: float
    w: float
    largest: float
    integers: float

    @property
    def exp(self) -> float:
        """Relative accuracy asked of one exp or log: 4 units in the last place, that is 8 u."""
        return 8 * self.u


def _format(dtype: type[np.floating[Any]]) -> Format:
    info = np.finfo(dtype)
    return Format(
        np.dtype(dtype),
        float(info.eps) / 2,
        float(info.smallest_subnormal),
        float(info.max),
        2.0 / float(info.eps),
    )


#: Of the dtype that sums are computed in.
FORMATS: dict[str, Format] = {name: _format(working(name).type) for name in KNOWN}
