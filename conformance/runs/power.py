"""How many known slips a run would have caught: each planted in the oracle's place, judged as a kernel is.

A slip counts once for each output that it can make wrong, and is caught if at least one case fails with
its result. The cases are those of the run that were answered and compared; slips that none of them catches
are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF
from conformance.faults import CATALOGUE, Slip
from conformance.faults.diagnose import BETWEEN_CALLS, DTYPE_NOT_KEPT, INPUT_MODIFIED, SHAPE_FLATTENED
from conformance.generation.arrays import draw
from conformance.generation.inside import alike, plain
from conformance.generation.random import Stream
from conformance.generation.rules import Rule
from conformance.operations import OPERATIONS
from conformance.oracle import evaluate
from conformance.verdict.compare import compare
from conformance.verdict.right import output_dtype

#: The dtypes that alone can show a slip of precision.
_SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "computed-in-float32": ("f64",),
    "float32-inside-float64": ("f64",),
    "inputs-tf32": ("f32", "f64"),
    "inputs-bfloat16": ("f32", "f64", "f16"),
    **dict.fromkeys(("half-truncated", "half-rounded-twice", "sums-in-half"), tuple(HALF)),
}

#: What is wrong with a call and not with the array it gives: nothing to plant.
_CALLS = (BETWEEN_CALLS, INPUT_MODIFIED, SHAPE_FLATTENED)


#: A case that is not declared, and what is.
Outside = tuple[Case, tuple[Rule, ...]]
#: The slips of each operation and output that no case has caught.
Left = dict[tuple[str, str], list[Slip]]


#: The outputs that are Python floats, whatever the dtype of the arguments: nothing that could be kept.
_FORMLESS = {
    (op, output): (DTYPE_NOT_KEPT,)
    for op, entry in OPERATIONS.items()
    for output, form in entry.forms.items()
    if form.dtype is None
}


@dataclass(frozen=True)
class Power:
    """What came of planting the slips.

    Attributes
    ----------
    slips : int
        Slips planted, each counted for each output.
    caught : int
        Those that some case would have failed.
    missed : list of str
        The others, as ``operation.output slip``.
    cases : int
        Cases that were used.
    operations : dict of str to dict
        ``slips`` and ``caught`` of each operation.
    """

    slips: int
    caught: int
    missed: list[str]
    cases: int
    operations: dict[str, dict[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return dict(vars(self))


def measure(cases: Iterable[Case], outside: Iterable[Outside] = ()) -> Power:
    """Plant every slip of the operations of `cases`.

    Parameters
    ----------
    cases : iterable of Case
        The cases of a run that were answered and compared.
    outside : iterable of (Case, tuple of Rule)
        Cases that the implementation does not declare, with the rules that it declares. A slip that shows in
        one of them, and not in the case that is like it inside, is none that the implementation could have.
    """
    queues: dict[str, list[Case]] = {}
    for case in cases:
        queues.setdefault(case.op, []).append(case)
    dtypes = {case.dtype for queue in queues.values() for case in queue}
    unseen = (*_CALLS, *(slip for slip, shown in _SHOWN_BY.items() if dtypes.isdisjoint(shown)))
    left: Left = {
        (op, output): [
            slip
            for slip in CATALOGUE.values()
            if slip.applies(op, output) and slip.id not in (*unseen, *_FORMLESS.get((op, output), ()))
        ]
        for op, queue in queues.items()
        for output in queue[0].operation.outputs
    }
    planted, used = _counts(left), 0
    for op, queue in queues.items():
        for case in _in_turns(queue):
            if not any(left[op, output] for output in case.operation.outputs):
                break
            used += 1
            _plant(case, left)
    beyond = _counts(_beyond(left, outside))
    missed = _counts(left)
    operations = {
        op: {"slips": planted[op] - beyond[op], "caught": planted[op] - beyond[op] - missed[op]}
        for op in queues
    }
    names = sorted(f"{op}.{output} {slip.id}" for (op, output), slips in left.items() for slip in slips)
    return Power(
        sum(found["slips"] for found in operations.values()),
        sum(found["caught"] for found in operations.values()),
        names,
        used,
        operations,
    )


def _counts(slips: Left) -> Counter[str]:
    """How many slips of each operation."""
    found = Counter[str]()
    for (op, _), ids in slips.items():
        found[op] += len(ids)
    return found


def _beyond(left: Left, outside: Iterable[Outside]) -> Left:
    """Take away the slips that show in what is not declared and in nothing like it that is; returns them."""
    shown, within = {key: list(slips) for key, slips in left.items()}, dict(left)
    for case, rules in outside:
        if not any(left.get((case.op, output)) for output in case.operation.outputs):
            continue
        _plant(case, shown)
        twin = alike(plain(case), rules, Stream(f"{case}:inside"), {})
        if twin is not None:
            _plant(twin, within)
    taken: Left = {}
    for key, slips in left.items():
        taken[key] = [slip for slip in slips if slip not in shown[key] and slip in within[key]]
        left[key] = [slip for slip in slips if slip not in taken[key]]
    return taken


def _in_turns(queue: list[Case]) -> list[Case]:
    """The cases with dtypes and families spread: every seventh or so, then those between."""
    step = next(s for s in (7, 11, 13) if len(queue) % s) if len(queue) > 1 else 1
    return [queue[(i * step) % len(queue)] for i in range(len(queue))]


def _plant(case: Case, left: Left) -> None:
    """Take away the slips that `case` catches."""
    arrays = draw(case)
    if not all(a.size for a in arrays.values()):
        return  # an empty array shows nothing
    expected = evaluate(case, arrays)
    limits: Mapping[str, Bound] = bounds(case, arrays, expected)
    wide = {n: a if n == "Y" else np.asarray(a, np.float64) for n, a in arrays.items()}
    for output in case.operation.outputs:
        waiting = left[case.op, output]
        left[case.op, output] = [s for s in waiting if not _caught(case, wide, output, expected, limits, s)]


def _caught(
    case: Case,
    arrays: Mapping[str, NDArray[Any]],
    output: str,
    expected: Mapping[str, NDArray[np.float64]],
    limits: Mapping[str, Bound],
    slip: Slip,
) -> bool:
    dtype = output_dtype(case, output)
    if slip.id == DTYPE_NOT_KEPT:
        other = expected[output].astype(np.float32 if dtype == np.float64 else np.float64)
        return compare(other, expected[output], limits[output], dtype).status == "failed"
    with np.errstate(all="ignore"):
        for outputs in slip.outputs(case, arrays):
            if output not in outputs:
                continue
            wrong: Any = np.asarray(outputs[output], np.float64)
            wrong = float(wrong) if dtype is None and not wrong.ndim else wrong.astype(dtype or np.float64)
            if compare(wrong, expected[output], limits[output], dtype).status == "failed":
                return True
    return False
