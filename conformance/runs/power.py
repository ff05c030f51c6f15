"""How many known slips a run would have caught: each planted in the oracle's place, judged as a kernel is.

A slip counts once for each output that it can make wrong, and is caught if at least one case fails with
its result. The cases are those of the run, in turns over operations, until every slip is caught or the
time is up; slips that were not caught are named.
"""

from __future__ import annotations

import time
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
from conformance.faults.diagnose import BETWEEN_CALLS, DTYPE_NOT_KEPT, INPUT_MODIFIED
from conformance.generation.arrays import draw
from conformance.oracle import evaluate
from conformance.verdict.compare import compare
from conformance.verdict.judge import output_dtype

#: The dtypes that alone can show a slip of precision.
_SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "computed-in-float32": ("f64",),
    "inputs-tf32": ("f32", "f64"),
    "inputs-bfloat16": ("f32", "f64", "f16"),
    **dict.fromkeys(("half-truncated", "half-rounded-twice", "sums-in-half"), tuple(HALF)),
}

#: What is wrong with a call and not with the array it gives: nothing to plant.
_CALLS = (BETWEEN_CALLS, INPUT_MODIFIED)


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
    complete : bool
        Whether every case was used that could have caught one more.
    """

    slips: int
    caught: int
    missed: list[str]
    cases: int
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return dict(vars(self))


def measure(cases: Iterable[Case], seconds: float) -> Power:
    """Plant every slip of the operations of `cases`.

    Parameters
    ----------
    cases : iterable of Case
        The cases of a run.
    seconds : float
        When to stop, in seconds of the processor: what else runs does not decide what is found.
    """
    queues: dict[str, list[Case]] = {}
    for case in cases:
        queues.setdefault(case.op, []).append(case)
    for op, queue in queues.items():
        queues[op] = _in_turns(queue)
    dtypes = {case.dtype for queue in queues.values() for case in queue}
    unseen = (*_CALLS, *(slip for slip, shown in _SHOWN_BY.items() if dtypes.isdisjoint(shown)))
    left = {
        (op, output): [s for s in CATALOGUE.values() if s.applies(op, output) and s.id not in unseen]
        for op, queue in queues.items()
        for output in queue[0].operation.outputs
    }
    total, used = sum(map(len, left.values())), 0
    end = time.process_time() + seconds
    while any(queues.values()) and time.process_time() < end:
        for op, queue in queues.items():
            if not queue:
                continue
            case = queue.pop(0)
            if not any(left[op, output] for output in case.operation.outputs):
                queue.clear()
                continue
            used += 1
            _plant(case, left)
            if time.process_time() > end:
                break
    complete = not any(
        queue and any(left[op, o] for o in queue[0].operation.outputs) for op, queue in queues.items()
    )
    missed = [f"{op}.{output} {slip.id}" for (op, output), slips in left.items() for slip in slips]
    return Power(total, total - len(missed), sorted(missed), used, complete)


def _in_turns(queue: list[Case]) -> list[Case]:
    """The cases with dtypes and families spread: every seventh or so, then those between."""
    step = next(s for s in (7, 11, 13) if len(queue) % s) if len(queue) > 1 else 1
    return [queue[(i * step) % len(queue)] for i in range(len(queue))]


def _plant(case: Case, left: dict[tuple[str, str], list[Slip]]) -> None:
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
