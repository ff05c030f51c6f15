"""The one sentence a report opens with, and whether it is good news."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.generation.rules import phrase
from conformance.report.digest import Digest
from conformance.report.states import AGREES, MANY
from conformance.report.text import counted, listed, whole
from conformance.verdict.record import STATUSES


@dataclass(frozen=True)
class Verdict:
    """The outcome of a run.

    Attributes
    ----------
    ok : bool
        Whether everything that was asked for was compared and agrees.
    sentence : str
        The outcome in one sentence.
    notes : tuple of str
        What else a reader has to know before trusting the sentence.
    problems : tuple of str
        Why the run itself failed, whatever its cases say: nothing compared, no fault could have
        shown, totals that do not add up.
    """

    ok: bool
    sentence: str
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def judge(summary: dict[str, Any], digest: Digest) -> Verdict:
    """Judge a run by its summary and its records."""
    cases, failed, absent = summary["cases"], summary["failed"], summary["absent"]
    refused = summary.get("refused", 0)
    faults = [str(found["sentence"]) for found in summary.get("faults", ())]
    problems = (*faults, *_problems(summary, digest))
    if failed:
        sentence = f"{whole(failed)} of {counted(cases, 'case')} fail: {_failing(digest)}"
    elif digest.compared == 0:
        sentence = "Nothing was compared"
        if absent:
            sentence += f": {whole(absent)} of {counted(cases, 'case')} are absent"
        if refused:
            sentence += f"{' and' if absent else ':'} {whole(refused)} are refused"
    else:
        sentence = f"0 of {counted(cases, 'case')} fail"
        if problems:
            sentence += ", but the module has a fault" if faults else ", but the run does not count"
    return Verdict(not failed and not problems, sentence + ".", tuple(_notes(summary, digest)), problems)


def _problems(summary: dict[str, Any], digest: Digest) -> Iterator[str]:
    """What the summary itself found, then what only shows beside the records."""
    known = summary.get("problems", [])
    yield from known
    if digest.compared == 0 and not known:
        yield "A run that compared nothing says nothing about the implementation, so it fails."
    if summary["blind"] and not known and summary["options"]["cases"] >= MANY:
        yield (
            f"{counted(summary['blind'], 'case')} would miss more than 5 % of single dropped terms, "
            "and no exact case of their kind covers them."
        )
    cases, total = summary["cases"], sum(summary.get(status, 0) for status in STATUSES)
    if total != cases:
        yield f"The statuses add up to {whole(total)}, not to the {counted(cases, 'case')} listed."
    if digest.cases != cases:
        yield f"results.jsonl holds {counted(digest.cases, 'case')}, summary.json counts {whole(cases)}."


def _notes(summary: dict[str, Any], digest: Digest) -> Iterator[str]:
    yield from summary.get("remarks", ())
    if summary.get("refused") and digest.compared:
        yield f"{counted(summary['refused'], 'case')} refused, which shows nothing."
    for op, found in summary.get("states", {}).items():
        if found["state"] == AGREES and found["rule"]:
            yield f"{op} is judged on what it says it answers alone: {phrase(found['rule'])}."
    missing = [op for op in dict.fromkeys(op for op, _ in digest.cells) if _is_absent(op, digest)]
    if missing and digest.compared:
        absent = counted(summary["absent"], "case")
        yield f"{absent} absent: the implementation has no {listed(missing, 8)}."


def _failing(digest: Digest) -> str:
    """Name the operations that fail with their outputs: ``conv_backward (dW, db)``."""
    outputs: dict[str, list[str]] = {}
    for cell in digest.cells.values():
        if cell.counts["failed"]:
            outputs.setdefault(cell.op, []).append(cell.output)
    if len(outputs) > 6:
        return f"{len(outputs)} of {len({op for op, _ in digest.cells})} operations, among them " + listed(
            list(outputs)[:3], 3
        )
    return ", ".join(f"{op} ({', '.join(names)})" for op, names in outputs.items())


def _is_absent(op: str, digest: Digest) -> bool:
    return all(cell.status == "absent" for (name, _), cell in digest.cells.items() if name == op)
