"""The gate: a run held against a baseline that a person can review in a diff.

A baseline lists, for every operation, dtype and output, how many cases were compared and the worst
error, rounded up a little; which families and corner cases were covered; and the failures that are
known, each group with its reason. What got worse is a problem; so is a known failure that passes.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.record import Record, plain
from conformance.runner import Options

#: What a new group of known failures says until somebody has written why it is accepted.
NO_REASON = ""
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

    def add(self, records: Iterable[Record]) -> None:
        """Count the records of one case. A failure's error says nothing of the accuracy of the rest."""
        for record in records:
            if record.status == "absent":
                continue
            found = self.figures[record.op, record.dtype, record.output]
            found.cases += 1
            found.families.add(record.family)
            if record.corner is not None:
                found.corners.add(record.corner)
            if record.status == "failed":
                self.failures[f"{record.op}.{record.output}", record.diagnosis or ""].add(record.case)
                continue
            found.max_error_ulp = max(found.max_error_ulp, float(record.max_error_ulp or 0))
            found.max_bound_fraction = max(found.max_bound_fraction, float(record.max_bound_fraction or 0))

    def baseline(self, options: Options, old: Json | None) -> Json:
        """The baseline of this run; the reasons of known failures are kept from `old`."""
        reasons = {(g["output"], g["diagnosis"]): g["reason"] for g in (old or {}).get("known_failures", ())}
        operations: Json = {}
        for (op, dtype, output), found in sorted(self.figures.items()):
            operations.setdefault(op, {}).setdefault(dtype, {})[output] = {
                "cases": found.cases,
                "max_error_ulp": plain(rounded_up(found.max_error_ulp)),
                "max_bound_fraction": plain(rounded_up(found.max_bound_fraction)),
            }
        return {
            "implementation": options.implementation,
            "options": {
                "ops": sorted(options.operations),
                "dtypes": sorted(options.dtypes),
                "cases": options.cases,
                "seed": options.seed,
            },
            "operations": operations,
            "families": self._covered("families"),
            "corners": self._covered("corners"),
            "known_failures": [
                {
                    "output": output,
                    "diagnosis": diagnosis,
                    "reason": reasons.get((output, diagnosis), NO_REASON),
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


def compare(baseline: Json, observed: Observed, options: Options) -> list[str]:
    """What is worse than the baseline says, in sentences; empty if nothing is."""
    now = observed.baseline(options, baseline)
    found = [*_coverage(baseline, now), *_errors(baseline, now), *_failures(baseline, now)]
    return found


def _leaves(operations: Mapping[str, Any]) -> dict[tuple[str, str, str], Json]:
    return {
        (op, dtype, output): figures
        for op, dtypes in operations.items()
        for dtype, outputs in dtypes.items()
        for output, figures in outputs.items()
    }


def _coverage(old: Json, new: Json) -> Iterable[str]:
    now = _leaves(new["operations"])
    for (op, dtype, output), figures in _leaves(old["operations"]).items():
        count = now.get((op, dtype, output), {}).get("cases", 0)
        if count < figures["cases"]:
            yield f"{op}.{output} {dtype}: {count} cases compared, the baseline has {figures['cases']}"
    for what in ("families", "corners"):
        for op, names in old[what].items():
            lost = sorted(set(names) - set(new[what].get(op, ())))
            if lost:
                yield f"{op}: {what} no longer covered: {', '.join(lost)}"


def _errors(old: Json, new: Json) -> Iterable[str]:
    now = _leaves(new["operations"])
    was = _leaves(old["operations"])
    for (op, dtype, output), figures in was.items():
        for key, unit in (("max_error_ulp", "ulp"), ("max_bound_fraction", "of the bound")):
            # Infinities are words in JSON. Both are rounded up, so an equal error gives an equal figure.
            value, known = float(now.get((op, dtype, output), {}).get(key, 0.0)), float(figures[key])
            if value > known:
                yield f"{op}.{output} {dtype}: worst error grew from {known:g} to {value:g} {unit}"
    for op, dtype, output in sorted(now.keys() - was.keys()):
        yield f"{op}.{output} {dtype} is not in the baseline: write it with --update"


def _failures(old: Json, new: Json) -> Iterable[str]:
    known: dict[tuple[str, str], str] = {}  # (case, output) -> diagnosis
    for group in old["known_failures"]:
        if not str(group["reason"]).strip():
            name = f"{group['output']} ({group['diagnosis']})"
            yield f"known failures of {name} have no reason: write one into the baseline"
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
    for case, output in sorted(known.keys() - failing):
        kinds[f"known failures of {output} pass"].append(
            f"known failure passes: {output} in {case}; take it out with --update"
        )
    for kind, sentences in kinds.items():
        yield from sentences[:SHOWN]
        if len(sentences) > SHOWN:
            yield f"{len(sentences) - SHOWN} more {kind}"


_FORM: dict[str, type] = {
    "implementation": str,
    "options": dict,
    "operations": dict,
    "families": dict,
    "corners": dict,
    "known_failures": list,
}


def read(path: Path) -> Json:
    """Read a baseline.

    Raises
    ------
    BaselineError
        If there is none, or it does not have the form that `write` gives it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BaselineError(f"--baseline {path}: no such file; write it with --update") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BaselineError(f"--baseline {path}: not a JSON file: {error}") from error
    try:
        _check(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BaselineError(
            f"--baseline {path}: not a baseline ({type(error).__name__}: {error}); write it with --update"
        ) from error
    return dict(found)


def _check(found: Any) -> None:
    """Touch everything that `compare` will read."""
    for key, kind in _FORM.items():
        if not isinstance(found[key], kind):
            raise TypeError(f"{key} is a {type(found[key]).__name__}, expected a {kind.__name__}")
    for figures in _leaves(found["operations"]).values():
        for key in ("cases", "max_error_ulp", "max_bound_fraction"):
            float(figures[key])
    for what in ("families", "corners"):
        for names in found[what].values():
            set(names)
    for group in found["known_failures"]:
        set(group["cases"]), str(group["output"]), str(group["diagnosis"]), str(group["reason"])
    options = found["options"]
    list(options["ops"]), list(options["dtypes"]), int(options["cases"]), int(options["seed"])


def write(path: Path, baseline: Json) -> None:
    """Write a baseline: sorted, one figure a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(baseline, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
