"""Which tier judges a case: what its data family promises, as far as the operation lets it hold."""

from __future__ import annotations

from conformance.cases.case import Case
from conformance.cases.window import divisors_of
from conformance.generation import fills, groups
from conformance.generation.families import FAMILIES

#: The case asked about last, and the answer: it is asked for again and again while one case is judged.
_last: tuple[Case | None, str] = (None, "")


def kind_of(case: Case) -> str:
    """The tier that judges `case`: its family's kind, as far as the operation lets it hold.

    Sums of integers are exact until something divides or exponentiates them: average pooling is exact for
    windows of a power of two elements only. Rounding errors add like a random walk in sums of products
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
    if case.op in (*groups.SIGMOID, *groups.UNITS, *groups.NORM, *groups.SOFTMAX, *groups.LOSS):
        return False
    if fills.longest_sum(case) > fills.LONGEST_EXACT:
        return False
    if case.op in groups.ACTIVATED:
        return case.word("activation") != "sigmoid"
    divisors = {1}
    if case.op in groups.POOL and case.word("mode") == "average":
        divisors = divisors_of(case)
    elif case.op in (groups.SHARE, *groups.GLOBAL):
        divisors = {case["h"] * case["w"]}
    # The units of `subnormal_integers` leave four bits, every other exact family more.
    return all(divisor & (divisor - 1) == 0 and divisor <= 16 for divisor in divisors)


def _sums(case: Case) -> bool:
    if case.op in groups.ACTIVATED:
        return case.word("activation") != "sigmoid"
    if case.op == "global_average_pool_forward":
        return True
    return case.op in groups.SUMS or (case.op in groups.POOL and case.word("mode") == "average")
