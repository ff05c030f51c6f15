"""The gate: a run held against a baseline that a person can review in a diff.

A baseline lists, for every operation, its state; for every dtype and output, how many cases were compared
and the worst error, rounded up a little; which families and corner cases were covered; and the failures that
are known, each group with its reason. What got worse is a problem; so is a known failure that passes.
"""

from __future__ import annotations

import json
import math
import os
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.operations import OPERATIONS
from conformance.report.states import ABSENT, STATES, named
from conformance.runs.options import Options
from conformance.verdict import document, schema
from conformance.verdict.document import SchemaError
from conformance.verdict.form import fault
from conformance.verdict.record import MODEL, Record, plain

#: What ``--update`` writes where nobody has said why a failure is accepted.
NOT_SAID = "accepted with --update; why is not said yet"
#: Cases of one kind that are named; the report has all of them.
SHOWN = 3

Json = dict[str, Any]


class BaselineError(ValueError):
    """The baseline cannot be read; the message says what is wrong with it."""


@dataclass
class _Figures:
    cases: int = 0
    max_error_ulp: float = 0.0
    max_bound_fraction: float = 0.0
    families: set[str] = field(default_factory=set)
    corners: set[str] = field(default_factory=set)


class Observed:
    """What the gate needs of a run, gathered record by record."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, str, str], _Figures] = defaultdict(_Figures)
        self.failures: dict[tuple[str, str], set[str]] = defaultdict(set)
        #: The faults of form, as ``operation.output fault``.
        self.forms: set[str] = set()
        #: ``summary.json``'s ``states``, once the run has ended.
        self.states: Mapping[str, Json] = {}
        #: What was compared, eight bytes each: there are as many as records.
        self._compared = array("q")

    def add(self, records: Iterable[Record]) -> None:
        """Count the records of one case. A failure's error says nothing of the accuracy of the rest."""
        for record in records:
            if record.status in ("absent", "refused"):
                continue
            if name := fault(record.form):
                self.forms.add(f"{record.op}.{record.output} {name}")
            found = self.figures[record.op, record.dtype, record.output]
            found.cases += 1
            self._compared.append(hash((record.case, f"{record.op}.{record.output}")))
            found.families.add(record.family)
            if record.corner is not None:
                found.corners.add(record.corner)
            if record.status == "failed":
                self.failures[f"{record.op}.{record.output}", record.diagnosis or ""].add(record.case)
                continue
            found.max_error_ulp = max(found.max_error_ulp, float(record.max_error_ulp or 0))
            found.max_bound_fraction = max(found.max_bound_fraction, float(record.max_bound_fraction or 0))

    def compared(self, failures: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the cases and outputs that were compared."""
        sought = {hash(failure): failure for failure in failures}
        return {sought[code] for code in self._compared if code in sought}

    def baseline(self, options: Options, old: Json | None, reason: str = "") -> Json:
        """The baseline of this run; known failures keep their reasons from `old`, new ones get `reason`."""
        known = (old or {}).get("known_failures", ())
        said = (g for g in known if g["reason"].strip() not in ("", NOT_SAID))
        reasons = {(g["output"], g["diagnosis"]): g["reason"] for g in said}
        operations: Json = {}
        for (op, dtype, output), found in sorted(self.figures.items()):
            operations.setdefault(op, {}).setdefault(dtype, {})[output] = {
                "cases": found.cases,
                "max_error_ulp": plain(rounded_up(found.max_error_ulp)),
                "max_bound_fraction": plain(rounded_up(found.max_bound_fraction)),
            }
        return {
            "schema": schema.SCHEMA,
            "implementation": options.implementation,
            "options": {
                "ops": sorted(options.operations),
                "dtypes": sorted(options.dtypes),
                "cases": options.cases,
                "seed": options.seed,
                **({"own": list(options.own)} if options.own else {}),
                **({"only": True} if options.only else {}),
            },
            "operations": operations,
            "states": {
                op: {"state": found["state"], "rule": found["rule"]}
                for op, found in sorted(self.states.items())
                if found["state"] != ABSENT
            },
            "faults": sorted(self.forms),
            "families": self._covered("families"),
            "corners": self._covered("corners"),
            "known_failures": [
                {
                    "output": output,
                    "diagnosis": diagnosis,
                    "reason": reasons.get((output, diagnosis), reason),
                    "cases": sorted(cases),
                }
                for (output, diagnosis), cases in sorted(self.failures.items())
            ],
        }

    def _covered(self, what: str) -> dict[str, list[str]]:
        """The families or corners covered of each operation."""
        covered: dict[str, set[str]] = defaultdict(set)
        for (op, _, _), found in self.figures.items():
            covered[op] |= getattr(found, what)
        return {op: sorted(names) for op, names in sorted(covered.items())}


def rounded_up(value: float) -> float:
    """The next number with two significant digits: room for the last digit, none for a real change."""
    if not value or not math.isfinite(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    digits = value / unit
    return float(f"{(math.floor(digits) + 1) * unit:.12g}")


def compare(baseline: Json, observed: Observed, options: Options, shown: int = SHOWN) -> list[str]:
    """What is worse than the baseline says, in sentences; empty if nothing is.

    Of each kind at most `shown` cases are named.
    """
    now = observed.baseline(options, baseline)
    return [
        *_states(baseline, now),
        *_coverage(baseline, now),
        *_errors(baseline, now),
        *_forms(baseline, now),
        *_failures(baseline, now, observed, shown),
    ]


def fewer(baseline: Json, cases: int) -> bool:
    """Whether fewer cases are asked for than the baseline has: nobody expects all that those cover."""
    return bool(cases < baseline["options"]["cases"])


def not_said(baseline: Json) -> list[str]:
    """The known failures that were accepted without a word why, in sentences."""
    return [
        f"{len(group['cases'])} known failures of {group['output']} ({group['diagnosis']}) are accepted and "
        "nobody has said why: write it into the baseline as their reason"
        for group in baseline["known_failures"]
        if group["reason"] == NOT_SAID
    ]


def _states(old: Json, new: Json) -> Iterable[str]:
    """Operations that are in a worse state than they were, or in as good a one for less."""
    for op, was in old.get("states", {}).items():
        now = new["states"].get(op, {"state": ABSENT, "rule": None})
        worse = STATES.index(now["state"]) > STATES.index(was["state"])
        if worse or (now["state"] == was["state"] and now["rule"] not in (None, was["rule"])):
            yield f"{op}: {named(now)}, the baseline has {named(was)}"


def _forms(old: Json, new: Json) -> Iterable[str]:
    """Faults of form that the baseline has not, and those that it has and that are gone."""
    was, now = set(old.get("faults", ())), set(new["faults"])
    for text in sorted(now - was):
        yield f"new fault of the module: {text}"
    for text in sorted(was - now):
        op, output = text.partition(" ")[0].split(".")
        if any(output in outputs for outputs in new["operations"].get(op, {}).values()):
            yield f"known fault is gone: {text}; take it out with --update"


def _leaves(operations: Mapping[str, Any]) -> dict[tuple[str, str, str], Json]:
    return {
        (op, dtype, output): figures
        for op, dtypes in operations.items()
        for dtype, outputs in dtypes.items()
        for output, figures in outputs.items()
    }


def _cases(baseline: Json) -> int:
    """How many cases an operation and dtype may have."""
    options = baseline["options"]
    return int(0 if options.get("only") else options["cases"]) + len(options.get("own", ()))


def _coverage(old: Json, new: Json) -> Iterable[str]:
    now = _leaves(new["operations"])
    asked = _cases(new)
    for (op, dtype, output), figures in _leaves(old["operations"]).items():
        count = now.get((op, dtype, output), {}).get("cases", 0)
        if op not in OPERATIONS and op != MODEL:
            yield f"{op}.{output} {dtype}: the suite has no {op} any more; take it out with --update"
        elif count < min(figures["cases"], asked):
            yield f"{op}.{output} {dtype}: {count} cases compared, the baseline has {figures['cases']}"
    if fewer(old, new["options"]["cases"]):
        return
    for what in ("families", "corners"):
        for op, names in old[what].items():
            lost = sorted(set(names) - set(new[what].get(op, ())))
            if lost:
                yield f"{op}: {what} no longer covered: {', '.join(lost)}"


#: The dtype that the oracle computes in, and its own part of the limit there. How far it is off depends on
#: the machine, and so does an error measured against it: less than its part is no growth of anybody's.
ORACLE_DTYPE, ORACLE_SHARE = "f64", 0.5


def _errors(old: Json, new: Json) -> Iterable[str]:
    now = _leaves(new["operations"])
    was = _leaves(old["operations"])
    for (op, dtype, output), figures in was.items():
        for key, unit in (("max_error_ulp", "ulp"), ("max_bound_fraction", "of the bound")):
            # Infinities are words in JSON. Both are rounded up, so an equal error gives an equal figure.
            value, known = float(now.get((op, dtype, output), {}).get(key, 0.0)), float(figures[key])
            if dtype == ORACLE_DTYPE and (unit == "ulp" or value <= ORACLE_SHARE):
                continue
            if value > known:
                yield f"{op}.{output} {dtype}: worst error grew from {known:g} to {value:g} {unit}"
    for op, dtype, output in sorted(now.keys() - was.keys()):
        yield f"{op}.{output} {dtype} is not in the baseline: write it with --update"


def _failures(old: Json, new: Json, observed: Observed, shown: int) -> Iterable[str]:
    known: dict[tuple[str, str], str] = {}  # (case, output) -> diagnosis
    for group in old["known_failures"]:
        if not str(group["reason"]).strip():
            name = f"{group['output']} ({group['diagnosis']})"
            yield f"known failures of {name} have no reason: write one into the baseline, or --update"
        known.update({(case, group["output"]): group["diagnosis"] for case in group["cases"]})
    failing: set[tuple[str, str]] = set()
    kinds: dict[str, list[str]] = defaultdict(list)  # what it is of several -> a sentence for each
    for group in new["known_failures"]:
        output, diagnosis = group["output"], group["diagnosis"]
        for case in group["cases"]:
            failing.add((case, output))
            if (case, output) not in known:
                kinds[f"new failures of {output} ({diagnosis})"].append(
                    f"new failure: {output} in {case} ({diagnosis})"
                )
            elif known[case, output] != diagnosis:
                was = known[case, output]
                kinds[f"failures of {output} known as {was}, now {diagnosis}"].append(
                    f"{output} in {case} was known as {was}, now it is {diagnosis}"
                )
    gone = known.keys() - failing
    short = fewer(old, new["options"]["cases"])
    passing = observed.compared(gone)
    for case, output in sorted(gone):
        if (case, output) in passing:
            kinds[f"known failures of {output} pass"].append(
                f"known failure passes: {output} in {case}; take it out with --update"
            )
        elif not short:
            kinds[f"known failures of {output} were not compared"].append(
                f"known failure not compared: {output} in {case}; if that is meant, take it out with --update"
            )
    for kind, sentences in kinds.items():
        yield from sentences[:shown]
        if len(sentences) > shown:
            yield f"{len(sentences) - shown}{' more' if shown else ''} {kind}"


def read(path: Path) -> Json:
    """Read a baseline.

    Raises
    ------
    BaselineError
        If there is none, or it does not have the form that `write` gives it.
    """
    try:
        return document.read(path, schema.Baseline)
    except FileNotFoundError as error:
        raise BaselineError(f"--baseline {path}: no such file; write it with --update") from error
    except OSError as error:
        raise BaselineError(f"--baseline {path}: {error.strerror}") from error
    except SchemaError as error:
        raise BaselineError(f"--baseline {error}") from error


def write(path: Path, baseline: Json) -> None:
    """Write a baseline: sorted, one figure a line. What is there stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(baseline, indent=1, sort_keys=True, allow_nan=False) + "\n"
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
