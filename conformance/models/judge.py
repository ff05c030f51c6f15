"""What `ModelNew` answers held against `Model`: a record for each output and gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.storage import spacing
from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.faults.catalogue import named
from conformance.faults.diagnose import INPUT_MODIFIED, UNEXPLAINED, of_error
from conformance.generation.families import FAMILIES
from conformance.implementations.perform import Tried
from conformance.models.line import Line
from conformance.models.pair import Candidate, Prepared
from conformance.verdict.compare import failing
from conformance.verdict.record import MODEL, Record, plain

#: Faults that any function may have: of every output, and of those whose first axis is the samples'.
_ANY = ("nothing-written", "sign-flipped", "added-twice", "accumulator-not-cleared")
_OF_SAMPLES = (
    "first-sample-repeated", "last-sample-missing", "accumulator-kept-between-samples", "last-row-missing",
    "last-column-missing", "last-channels-missing",
)  # fmt: skip

#: The dtypes of answers, by NumPy's names.
_NAMES = {np.dtype(kind).name: name for name, kind in KNOWN.items()}


def judged(candidate: Candidate, case: Prepared) -> list[Record]:
    """The records of a case."""
    return records(case, candidate.answer(case))


def records(case: Prepared, tried: Tried) -> list[Record]:
    """The records of what came of a case."""
    if tried.kind != "answered":
        text = f"refused: {tried.text}" if tried.kind == "refused" else tried.text
        status, diagnosis = ("refused", None) if tried.kind == "refused" else ("failed", of_error(text))
        return [_blank(case.line, n).but(status=status, reason=text, diagnosis=diagnosis) for n in case.right]
    answers = dict(tried.outputs)
    gradients = [name for name in case.right if name.startswith("d(")]
    graphless = bool(gradients) and all(answers[name] is None for name in gradients)
    found = [
        _record(case, name, answers[name]) for name in case.right if not (graphless and name in gradients)
    ]
    if tried.changed and found[0].status == "passed":
        reason = f"changed its input {', '.join(tried.changed)}"
        found[0] = found[0].but(status="failed", reason=reason, diagnosis=INPUT_MODIFIED)
    return found


def graphless(case: Prepared, found: list[Record]) -> bool:
    """Whether gradients are absent from the records of an answer."""
    return len(found) < len(case.right)


def wrong(case: Prepared, name: str, got: Any) -> NDArray[np.bool_] | None:
    """Which elements of an output are wrong; None where there is nothing to compare with them."""
    right = case.right[name]
    if not isinstance(got, np.ndarray) or got.shape != right.shape:
        return None
    return failing(got.astype(np.float64), right, case.limits[name])


def _record(case: Prepared, name: str, answer: Any) -> Record:
    right, limit, line = case.right[name], case.limits[name], case.line
    mask = wrong(case, name, answer)
    if mask is None:
        shape = f"has shape {answer.shape}" if isinstance(answer, np.ndarray) else f"is {answer!r:.40}"
        shape = "is none where there should be a gradient" if answer is None else shape
        reason = f"{shape}, expected shape {right.shape}"
        return _blank(line, name).but(status="failed", reason=reason, diagnosis=UNEXPLAINED)
    got = answer.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.where((got == right) | (np.isnan(got) & np.isnan(right)), 0.0, np.abs(got - right))
        share = np.nan_to_num(np.where(error == 0, 0.0, error / limit), nan=np.inf, posinf=np.inf)
        step = spacing(np.abs(right), np.dtype(KNOWN[line.dtype]))
        ulps = np.nan_to_num(error / step, nan=np.inf, posinf=np.inf)
    share = np.where(mask, np.maximum(share, np.nextafter(1, 2)), np.minimum(share, 1.0))
    place = np.unravel_index(int(np.argmax(share)), share.shape) if share.size else None
    record = _blank(line, name).but(
        status="failed" if mask.any() else "passed", tier=case.tier,
        max_error_ulp=plain(float(ulps.max(initial=0.0))),
        max_bound_fraction=plain(float(share.max(initial=0.0))),
        index=None if place is None else [int(i) for i in place],
        expected=None if place is None else plain(float(right[place])),
        got=None if place is None else plain(float(got[place])),
    )  # fmt: skip
    if mask.any():
        reason = f"{int(mask.sum())} of {mask.size} elements {_measured(case, float(share.max()))}"
        return record.but(reason=reason, diagnosis=_known(case, name, got))
    dtype = _NAMES.get(answer.dtype.name, answer.dtype.name)
    if name.startswith("y") and dtype != line.dtype:
        reason = f"is {answer.dtype.name}; Model gives {np.dtype(KNOWN[line.dtype]).name}"
        return record.but(status="failed", reason=reason, diagnosis="dtype-not-kept")
    return record


def _measured(case: Prepared, share: float) -> str:
    if case.tier == "exact":
        return "differ, and nothing is rounded in Model on these data"
    return (
        f"are further from Model in float64 than its rounding is measured to lead, at worst {share:.3g} times"
    )


def _known(case: Prepared, name: str, got: NDArray[Any]) -> str:
    """The one general fault that changes the right values to these; else `UNEXPLAINED`."""
    given = got, case.right[name], np.broadcast_to(case.limits[name], got.shape)
    values, right, limit = (np.moveaxis(x, 1, -1) if x.ndim == 4 else x for x in given)
    for id, value in _candidates(name, right):
        if failing(value, right, limit).any() and not failing(values, value, 2 * limit).any():
            return id
    return UNEXPLAINED


def _candidates(name: str, right: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Wrong values by the faults of an output that is as a ReLU's, of the shape of its input."""
    of_samples = name.startswith(("y", "d(input"))
    extents = (*right.shape, 1, 1, 1, 1)[:4]
    stand_in = Case.of("relu", "f64", dict(zip("mhwc", extents, strict=True)), "normal", 0)
    for id in (*_ANY, *(_OF_SAMPLES if of_samples and right.ndim > 1 else ())):
        slip = named(id)
        assert slip is not None
        with np.errstate(all="ignore"):
            for values in slip.outputs(stand_in, {}, lambda *_, **__: {"A": right}):
                yield id, np.broadcast_to(np.asarray(values["A"], np.float64), right.shape)


def _blank(line: Line, output: str) -> Record:
    kind = FAMILIES[line.family].kind
    return Record(str(line), MODEL, output, line.dtype, line.family, kind, "failed", reason="")
