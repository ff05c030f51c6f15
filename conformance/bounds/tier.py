"""Which tier judges a case: what its data family promises, as far as the operation lets it hold."""

from __future__ import annotations

from conformance.cases.case import Case
from conformance.generation import fills
from conformance.generation.families import FAMILIES, squashed

#: The case asked about last, and the answer: it is asked for again and again while one case is judged.
_last: tuple[Case | None, str] = (None, "")


def kind_of(case: Case) -> str:
    """The tier that judges `case`: its family's kind, as far as the operation lets it hold.

    Sums of integers are exact until something divides or exponentiates them: average pooling is exact for
    windows of a power of two elements only. Rounding errors add like a random walk in sums
    alone, so only those have a statistical bound.
    """
    global _last
    asked, kind = _last
    if asked is not case:
        kind = _found(case)
        _last = case, kind
    return kind


def _found(case: Case) -> str:
    kind = FAMILIES[case.family].kind
    if kind == "exact" and not _exact(case):
        return "bound"
    if kind == "statistical" and not _sums(case):
        return "bound"
    return kind


def _exact(case: Case) -> bool:
    if "inexact" in case.operation.traits or squashed(case):
        return False
    if fills.longest_sum(case) > fills.LONGEST_EXACT:
        return False
    # The units of `subnormal_integers` leave four bits, every other exact family more.
    return all(divisor & (divisor - 1) == 0 and divisor <= 16 for divisor in case.operation.divisors(case))


def _sums(case: Case) -> bool:
    traits = case.operation.traits
    if "pool" in traits:
        return case.word("mode") == "average"
    return bool(traits & {"mean", "products", "norm", "sums upstream"})
