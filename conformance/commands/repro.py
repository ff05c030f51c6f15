"""What ``conformance repro`` shows: one case, its verdicts, both arrays where they differ."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.diagnosis import script
from conformance.diagnosis.findings import find
from conformance.faults.diagnose import BETWEEN_CALLS, UNEXPLAINED, explain
from conformance.faults.state import STATE
from conformance.implementations.implementation import load
from conformance.report.found import sentence
from conformance.runs.worker import PLAIN, Holding
from conformance.verdict.again import first_failing
from conformance.verdict.compare import FAR_ULP
from conformance.verdict.form import fault
from conformance.verdict.judge import Judge, Trial
from conformance.verdict.record import Record, case_status

#: Arrays up to this many elements are shown whole.
WHOLE = 64
#: Beyond that: this many of the worst elements, and the plane round the worst one.
WORST, AROUND = 10, 2


def show(
    case: Case,
    spec: str,
    settings: Settings | None = None,
    script_path: Path | None = None,
    holding: Holding = PLAIN,
) -> int:
    """Run `case` on the implementation `spec`, print what came of it, return the exit status.

    Each failure is shrunk, and the smallest case shown with it. A script that shows the failure without
    this package goes to `script_path`, if it is given: of the smallest case of the first failure, or of
    `case` itself if nothing fails; there is none of a case that the implementation does not take.

    Raises
    ------
    LoadError
        If the implementation cannot be used.
    ValueError
        If the family does not go with the case.
    """
    implementation = load(spec, settings, holding.time_limit, wrapped=holding.wrapped)
    print(f"case            {case}")
    print(f"implementation  {spec} ({implementation.arithmetic.name} arithmetic)")
    print(
        f"again           conformance repro {shlex.quote(str(case))} --impl {shlex.quote(spec)}", flush=True
    )
    if not implementation.has(case.op):
        print(f"absent: the implementation has no {case.op}")
        return 1
    judge = Judge(implementation)
    trial, records, call = first_failing(implementation, case, judge.diagnoser, judge.confirmer)
    if call > 1:
        print(f"call {call}          the first of the process is right, and this one is not")
    for line in _arrays(trial):
        print(line)
    shown, found = (trial, records), False
    for record in records:
        for line in _output(record, trial):
            print(line)
        if record.status == "failed":
            finding = find(implementation, record)
            if record.diagnosis == UNEXPLAINED:
                print(f"  diagnosis: no known fault. {_capital(sentence(UNEXPLAINED, finding.to_dict()))}.")
            for line in finding.lines():
                print(f"  {line}")
            if not found and finding.shrunk != str(case):
                small = Trial(implementation, Case.parse(finding.shrunk))
                shown = small, small.records(judge.diagnoser, judge.confirmer)
            found = True
    unanswered = shown[0].outcome.absent or shown[0].outcome.refused
    if script_path is not None and unanswered is not None:
        print(f"no script: {unanswered}")
    elif script_path is not None and any(r.diagnosis in STATE for r in shown[1]) and call != 2:
        print("no script: one call does not show it; the line above does")
    elif script_path is not None:
        twice = call == 2 or any(r.diagnosis == BETWEEN_CALLS for r in shown[1])
        script_path.write_text(script.write(*shown, spec, 1 + twice), encoding="utf-8")
        print(f"script: {script_path} ({shown[0].case})")
    status = case_status(records)
    if status in ("absent", "refused"):
        print(records[0].reason)
    print(status)
    return int(status != "passed" or any(fault(record.form) for record in records))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _arrays(trial: Trial) -> Iterator[str]:
    for name, array in trial.arrays.items():
        spread = f", {array.min():g} to {array.max():g}" if array.size else ", empty"
        yield f"  {name:<14}{array.dtype} {array.shape}{spread}"


def _output(record: Record, trial: Trial) -> Iterator[str]:
    """The lines of one output."""
    yield ""
    facts = []
    if record.max_error_ulp is not None:
        size = float(record.max_error_ulp)
        facts.append(f"largest error {f'{size:.3g}' if size <= FAR_ULP else f'> {FAR_ULP:,}'} ulp")
    if record.max_bound_fraction is not None:
        share = float(record.max_bound_fraction)
        facts.append(f"{share:.3g} of the bound" if math.isfinite(share) else "where none is allowed")
    if record.detectability is not None:
        facts.append(f"{record.detectability:.1%} of single dropped terms would show")
    tier = f" ({record.tier} tier)" if record.tier else ""
    yield f"{record.output}: {record.status}{tier}" + "".join(f", {fact}" for fact in facts)
    if record.form:
        yield f"  {record.form}"
    if record.status != "failed":
        return
    yield f"  {record.reason}"
    if record.diagnosis not in (None, UNEXPLAINED):
        yield f"  diagnosis: {record.diagnosis}. {explain(str(record.diagnosis))}"
    got, expected, limit = trial.compared(record.output)
    if record.index is not None and isinstance(got, (float, np.ndarray)) and np.shape(got) == expected.shape:
        yield from _difference(np.asarray(got, np.float64), expected, limit)


def _difference(got: NDArray[Any], expected: NDArray[Any], limit: NDArray[Any]) -> Iterator[str]:
    """Both arrays whole if they are small, else the worst elements and the plane round the worst."""
    if expected.size <= WHOLE:
        yield from _block("expected", expected)
        yield from _block("got", got)
        return
    with np.errstate(all="ignore"):
        error = np.abs(got - expected)
        error[(got == expected) | (np.isnan(got) & np.isnan(expected))] = 0.0
        error = np.nan_to_num(error, nan=np.inf, posinf=np.inf)
        share = np.where(error == 0, 0.0, error / limit)
    worst = np.argsort(-share, axis=None, kind="stable")[:WORST]
    for flat in worst[share.reshape(-1)[worst] > 0]:
        place = tuple(int(i) for i in np.unravel_index(int(flat), expected.shape))
        yield f"  {list(place)}: expected {expected[place]:.17g}, got {got[place]:.17g}"
    place = tuple(int(i) for i in np.unravel_index(int(worst[0]), expected.shape))
    # In a 4-D image, rows and columns of one sample and channel; else the last two axes.
    axes = (1, 2) if expected.ndim == 4 else tuple(range(expected.ndim))[-2:]
    window = tuple(
        slice(max(0, i - AROUND), i + AROUND + 1) if axis in axes else i for axis, i in enumerate(place)
    )
    where = ", ".join(f"{w.start}:{w.stop}" if isinstance(w, slice) else str(w) for w in window)
    yield from _block(f"expected[{where}]", expected[window])
    yield from _block(f"got[{where}]", got[window])


def _block(name: str, array: NDArray[Any]) -> Iterator[str]:
    yield f"  {name} ="
    text = np.array2string(array, precision=9, max_line_width=100, threshold=WHOLE + 1)
    yield from (f"    {line}" for line in text.splitlines())
