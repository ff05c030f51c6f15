"""What a data family is: how each part of an operation is filled, where, and which tier judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.generation import fills, fills_classes, groups
from conformance.generation.fills import Fill

_DEFAULT: Mapping[str, Fill] = {
    "x": fills.normal,
    "w": fills.normal,
    "b": fills.normal,
    "v": fills.variances,
    "g": fills.normal,
    "al": fills_classes.stochastic,
    "y": fills_classes.labels,
}


def always(case: Case) -> bool:
    """Any parameters."""
    return True


def no_zero_factor(case: Case) -> bool:
    """Nothing is multiplied by a zero: no padding, no gaps that fill up a strided gradient or a filter, no
    groups that fill up a filter.
    """
    if case.op not in groups.WINDOWED_CONV:
        return case.op.startswith("pool") or dict(case.params).get("p", 0) == 0
    window = window_of(case)
    if window.padded or not window.dense or ("g" in case.operation.option and case["g"] > 1):
        return False
    return case.op != "conv_backward" or window.rows.s == window.columns.s == 1


def maximum(case: Case) -> bool:
    """Max pooling, or the mask of a maximum."""
    return "mode" not in case.operation.parameters or case.word("mode") == "max"


def squashed(case: Case) -> bool:
    """A sigmoid stands behind the affine layer."""
    return "activation" in case.operation.parameters and case.word("activation") == "sigmoid"


def not_squashed(case: Case) -> bool:
    """Integers are exact, and a sigmoid would turn wide ones into zeros and ones."""
    return not squashed(case)


def several_classes(case: Case) -> bool:
    """A class is left to be missing, masked or impossible."""
    return case["n"] >= 2


@dataclass(frozen=True)
class Family:
    """A data family.

    Attributes
    ----------
    name, description : str
        As ``conformance list`` shows them.
    kind : {"exact", "bound", "statistical"}
        exact: every partial sum is exact in the dtype, whatever the order; bound: judged by the a-priori
        bound; statistical: zero-mean values, judged by the statistical bound too. `bounds.tier` says what
        holds for one case.
    operations : tuple of str
        The functions it goes with.
    fills : mapping of str to Fill
        How a part is filled, where that is not the default.
    source : str
        Where the idea or the fault comes from; empty if it is the definition of the function.
    condition : callable
        Which parameters it goes with.
    """

    name: str
    kind: str
    description: str
    operations: tuple[str, ...]
    fills: Mapping[str, Fill] = field(default_factory=dict)
    source: str = ""
    condition: Callable[[Case], bool] = always

    def suits(self, case: Case) -> bool:
        """Whether the family goes with the operation and the parameters of `case`."""
        return case.op in self.operations and self.condition(case)

    def fill(self, role: str) -> Fill:
        """How the part `role` is filled."""
        return self.fills.get(role, _DEFAULT[role])
