"""What is audited: a kernel in the working dtype, and how much of its limits it uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import IEEE, Arithmetic, Bound
from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.generation.arrays import draw
from conformance.oracle import evaluate
from conformance.verdict.compare import compare
from conformance.verdict.judge import output_dtype

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = Mapping[str, Any]
#: ``(case, arrays)`` to the outputs by name, those left out are not judged.
Answer = Callable[[Case, Arrays], Outputs]


@dataclass(frozen=True)
class Kernel:
    """A way to compute an operation.

    Attributes
    ----------
    name, op : str
        What it does, of which operation.
    answer : callable
        Its outputs, from arrays in the working dtype (half: float32); they are rounded to the case's dtype.
    declared : Arithmetic
        What a module with it declares.
    """

    name: str
    op: str
    answer: Answer
    declared: Arithmetic = IEEE


class Shares(NamedTuple):
    """The largest error as a share of the bound and of the statistical limit; inf for what failed."""

    bound: float
    statistical: float


class Prepared:
    """A case with its arrays, the right outputs and, under each declaration, their limits."""

    def __init__(self, case: Case) -> None:
        self.case, self.arrays = case, draw(case)
        self.expected = evaluate(case, self.arrays)
        self._limits: dict[Arithmetic, dict[str, Bound]] = {}

    def limits(self, declared: Arithmetic = IEEE) -> dict[str, Bound]:
        """The limits of a module that declares so."""
        if declared not in self._limits:
            self._limits[declared] = bounds(self.case, self.arrays, self.expected, declared)
        return self._limits[declared]

    def answers(self, kernel: Kernel) -> dict[str, Any]:
        """What a kernel gives, in the dtypes of the case."""
        case = self.case
        wide = {n: x if n == "Y" else x.astype(case.working_dtype) for n, x in self.arrays.items()}
        with np.errstate(all="ignore"):
            found = kernel.answer(case, wide)
        return {name: self.stored(name, value) for name, value in found.items()}

    def stored(self, name: str, value: Any) -> Any:
        """An output as it is returned."""
        dtype = output_dtype(self.case, name)
        with np.errstate(all="ignore"):
            return float(value) if dtype is None else np.asarray(value).astype(dtype)

    def shares(self, outputs: Outputs, declared: Arithmetic = IEEE) -> dict[str, Shares]:
        """Of each output how much of its limits is used."""
        return {name: self._of(name, value, self.limits(declared)[name]) for name, value in outputs.items()}

    def _of(self, name: str, value: Any, bound: Bound) -> Shares:
        random = bound.statistical
        alone = replace(bound, statistical=None)
        first = self._share(name, value, alone)
        return Shares(
            first, 0.0 if random is None else self._share(name, value, replace(alone, limit=random))
        )

    def _share(self, name: str, value: Any, bound: Bound) -> float:
        found = compare(value, self.expected[name], bound, output_dtype(self.case, name))
        if found.max_bound_fraction is None:
            return 0.0 if found.status == "passed" else math.inf
        return found.max_bound_fraction


#: So many cases with other seeds have to exceed a statistical limit, too (`verdict.judge.Trial`).
CONFIRMED = 2


def largest(kernel: Kernel, case: Case) -> Shares:
    """The largest shares of a kernel's outputs, that of the statistical limit as a run confirms it."""
    prepared = Prepared(case)
    found = prepared.shares(prepared.answers(kernel), kernel.declared)
    bound, random = (max(s[i] for s in found.values()) for i in (0, 1))
    step = 0
    while random > 1 >= bound and step < CONFIRMED:
        step += 1
        again = Prepared(case.replace(seed=(case.seed + step) % 10**9))
        fresh = again.shares(again.answers(kernel), kernel.declared)
        random = min(random, max(s.statistical for s in fresh.values()))
    return Shares(bound, random)


def seen(prepared: Prepared, name: str, wrong: Any, declared: Arithmetic = IEEE) -> bool:
    """Whether one output of a case is told from the right one."""
    bound = prepared.limits(declared)[name]
    dtype = output_dtype(prepared.case, name)
    return compare(prepared.stored(name, wrong), prepared.expected[name], bound, dtype).status == "failed"


def of(op: str, kernels: Iterable[tuple[str, Answer]], declared: Arithmetic = IEEE) -> tuple[Kernel, ...]:
    """Kernels of one operation."""
    return tuple(Kernel(name, op, answer, declared) for name, answer in kernels)
