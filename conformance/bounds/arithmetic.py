"""Constants of the arithmetic: unit roundoff, underflow, accuracy of exp and log, declared classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.dtypes import KNOWN, working
from conformance.operations import OPERATIONS

Limit = NDArray[np.float64]


def wide(x: NDArray[Any]) -> Limit:
    """`x` in float64."""
    return np.asarray(x, np.float64)


#: Unit roundoff of the float64 oracle.
U64 = 2.0**-53

#: Precisions that may be declared for products, with the unit roundoff and the smallest normal number
#: of each.
PRECISIONS: dict[str, tuple[float, float]] = {
    "tf32": (2.0**-11, 2.0**-126), "f16": (2.0**-11, 2.0**-14), "bf16": (2.0**-8, 2.0**-126),
}  # fmt: skip

#: Algorithms that are not sums of products, with the growth factor of their norm-wise bound. It is
#: the square (two axes) of the product of the largest row sums of the three transforms A, B and G of
#: Lavin & Gray (2016), https://arxiv.org/abs/1509.09308: F(2x2, 3x3): (3 * 2 * 1.5)^2; F(4x4, 3x3):
#: (19 * 10 * 1)^2. A product of such norms bounds the error of any bilinear algorithm (Higham 2002, 23.3).
ALGORITHMS: dict[str, float] = {"winograd": 190.0**2, "winograd-2x2": 9.0**2}


#: Algorithms of averages that are no sum with a division behind it, so that exact data do not stay exact
#: (`conformance.bounds.means`).
MEANS = ("running-mean", "integral-image")

#: The accuracies of tails, from the strictest on; `Entry.accuracies` says which ones an operation knows.
ACCURACIES = ("relative", "absolute", "normal")

#: What an order of summation may depend on: on shapes alone, or on the values (sorted terms).
ORDERS = ("shape", "data")


@dataclass(frozen=True)
class Arithmetic:
    """The class of arithmetic that an implementation is held to.

    Attributes
    ----------
    name : str
        ``"ieee"``, or what the implementation declares (``"tf32"``, ``"winograd"``, ``"relative gelu"``).
    roundoff : float
        Unit roundoff of the inputs of each product; 0 when they are used as they come.
    least : float
        The smallest normal number of that precision: what is below it is rounded as if it were that large.
    growth : float
        Factor of the norm-wise bound of a fast algorithm; 0 for sums of products.
    mean : str
        How averages are taken, if otherwise than as a sum: one of `MEANS`.
    accuracies : tuple of (str, str)
        The operations whose tails have a declared accuracy, with that.
    by_value : bool
        Whether sums are taken in an order that depends on the values of their terms.
    inexact : bool
        Whether what it computes rounds even where sums are exact.
    """

    name: str = "ieee"
    roundoff: float = 0.0
    least: float = 0.0
    growth: float = 0.0
    mean: str = ""
    accuracies: tuple[tuple[str, str], ...] = ()
    by_value: bool = False
    inexact: bool = False

    @property
    def ieee(self) -> bool:
        """Whether every operation is rounded in the dtype itself, so that exact data stay exact."""
        return not self.roundoff and not self.growth and not self.inexact

    def accuracy(self, op: str) -> str:
        """What is declared of the tails of an operation, or an empty string."""
        return dict(self.accuracies).get(op, "")

    @classmethod
    def declared(
        cls,
        precision: str | None = None,
        algorithm: str | None = None,
        accuracy: Mapping[str, str] | None = None,
        order: str = ORDERS[0],
    ) -> Arithmetic:
        """The class for what a module declares as ``precision``, ``algorithm``, ``accuracy`` and ``order``.

        Raises
        ------
        ValueError
            If there is no bound for it.
        """
        for kind, value, known in (
            ("precision", precision, tuple(PRECISIONS)),
            ("algorithm", algorithm, (*ALGORITHMS, *MEANS)),
            ("order", order, ORDERS),
        ):
            if value is not None and value not in known:
                raise ValueError(
                    f"{kind} = {value!r} is not a class with a bound; expected one of {', '.join(known)}"
                )
        accuracies = _accuracies({} if accuracy is None else accuracy)
        names = ["+".join(name for name in (precision, algorithm) if name) or "ieee"]
        for word in ACCURACIES:
            of = [op for op, held in accuracies if held == word]
            names += [f"{word} {', '.join(of)}"] if of else []
        names += ["sums ordered by value"] if order == "data" else []
        return cls(
            "; ".join(names),
            *(PRECISIONS[precision] if precision else (0.0, 0.0)),
            ALGORITHMS.get(algorithm, 0.0) if algorithm else 0.0,
            algorithm if algorithm in MEANS else "",
            accuracies,
            order == "data",
        )


def _accuracies(declared: Any) -> tuple[tuple[str, str], ...]:
    """Check ``accuracy = {OPERATION: WORD}``."""
    if not isinstance(declared, Mapping):
        raise ValueError(f"accuracy is {{OPERATION: ACCURACY}}, got a {type(declared).__name__}")
    having = [name for name, entry in OPERATIONS.items() if entry.accuracies]
    for op, word in declared.items():
        if op not in having:
            raise ValueError(f"accuracy names {op!r}, expected some of {', '.join(having)}")
        if word not in OPERATIONS[op].accuracies:
            known = ", ".join(OPERATIONS[op].accuracies)
            raise ValueError(f"accuracy of {op} is {word!r}, expected one of {known}")
    return tuple(sorted((str(op), str(word)) for op, word in declared.items()))


def accuracies_in(name: str) -> dict[str, str]:
    """The accuracies that the name of an `Arithmetic` says are declared, by operation."""
    found: dict[str, str] = {}
    for part in name.split("; "):
        word, _, operations = part.partition(" ")
        if word in ACCURACIES:
            found |= dict.fromkeys(operations.split(", "), word)
    return found


#: Every operation rounded in the dtype itself, as IEEE 754 has it.
IEEE = Arithmetic()


@dataclass(frozen=True)
class Tails:
    """What the tails of an output are held to where an operation knows more than one accuracy.

    ``held`` is the accuracy, ``declared`` whether the implementation says so; ``words`` are those that the
    operation knows, and ``under`` gives the bound of one of them.
    """

    held: str
    declared: bool
    words: tuple[str, ...]
    under: Callable[[str], Bound]

    @property
    def stricter(self) -> tuple[str, ...]:
        """The accuracies that ask for more, the strictest first."""
        return tuple(w for w in ACCURACIES if w in self.words and ACCURACIES.index(w) < self._rank)

    @property
    def looser(self) -> tuple[str, ...]:
        """The accuracies that ask for less."""
        return tuple(w for w in ACCURACIES if w in self.words and ACCURACIES.index(w) > self._rank)

    @property
    def _rank(self) -> int:
        return ACCURACIES.index(self.held)


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
    tails : Tails or None
        Which accuracy of the tails `limit` is of, where there is a choice.
    """

    tier: str
    limit: Limit
    statistical: Limit | None
    detectability: float | None
    target: Limit | None = None
    tails: Tails | None = None


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
