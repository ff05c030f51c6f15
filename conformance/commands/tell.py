"""What a run says on a terminal: how far it is, and then a few lines."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from conformance.commands.terminal import BAD, DOUBTFUL, GOOD, paint, wrapped
from conformance.report import found, states
from conformance.report.text import counted, listed, one_line, rerun
from conformance.runs import after_run
from conformance.runs.options import Result
from conformance.runs.workers import Answer
from conformance.verdict.form import fault


def progress(stream: Iterable[Answer], total: int) -> Iterable[Answer]:
    """A progress bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    bar: Iterable[Answer] = tqdm(
        stream, total=total, unit="case", disable=not sys.stderr.isatty(), dynamic_ncols=True
    )
    return bar


#: Failures told in full, and outputs that fail besides and are named; the report has the rest.
_WORST, _NAMED = 3, 6


def tell(result: Result, directory: Path) -> None:
    """The run in a few lines."""
    summary = result.summary
    passed, failed = f"{summary['passed']} passed", f"{summary['failed']} failed"
    refused = paint(f"{summary['refused']} refused", DOUBTFUL)
    _say(f"{summary['implementation']} is read as dialect {summary['dialect']}")
    _say(
        f"{summary['implementation']}: {summary['cases']} cases, {paint(passed, GOOD)}, "
        f"{paint(failed, BAD) if summary['failed'] else failed}, {summary['absent']} absent"
        f"{', ' + refused if summary['refused'] else ''}; "
        f"{summary['comparisons']} outputs compared in {summary['seconds']:.1f} s"
    )
    report = directory / "report.html"
    read = report if report.exists() else directory / "summary.json"
    for line in _failures(summary, read):
        print(line)
    _tell_power(summary)
    _say(f"Operations: {states.told(summary['states'])}")
    for sentence in result.faults:
        _say(sentence, BAD)
    for sentence in summary["remarks"]:
        _say(f"Remark (not a failure): {sentence}")
    for sentence in (*result.problems, *result.doubts):
        _say(sentence, DOUBTFUL)
    if summary.get("shape_remarks"):
        _say(f"Shape remarks (not failures): {summary['shape_remarks']} outputs with other leading ones")
    for name, count in summary.get("tails", {}).items():
        _say(f"Tails remark (not a failure): {name}: {count} outputs lose digits that other kernels keep")
    print(f"Report: {report}" if read == report else f"Counts: {read}")


def _say(sentence: str, colour: str = "") -> None:
    """Print a sentence, as wide as the terminal."""
    for line in wrapped(sentence, "  "):
        print(paint(line, colour) if colour else line)


def _tell_power(summary: Mapping[str, Any]) -> None:
    """What the run would have seen."""
    shown = ", ".join(f"{tier} {share:.1%}" for tier, share in summary["detectability"].items())
    if shown:
        covered = "" if summary["blind"] else " (exact cases see what others of the same shapes do not)"
        _say(f"Single dropped terms seen: {shown}; blind cases: {summary['blind']}{covered}")
    if summary.get("slips", {}).get("cases"):
        _say(after_run.told(summary["slips"]))


class _Group(NamedTuple):
    """The failures of one output that have a diagnosis in common."""

    op: str
    output: str
    diagnosis: str
    failures: int


def _failures(summary: Mapping[str, Any], read: Path) -> Iterator[str]:
    """The worst failures: what is wrong, one element, the line that shows it; how many others there are."""
    findings = found.by_group(dict(summary))
    groups = _worst_first(summary, findings)
    for group in groups[:_WORST]:
        yield from _told(summary, group, findings.get(group[:3]))
    others = list(dict.fromkeys(f"{g.op}.{g.output}" for g in groups[_WORST:]))
    if others:
        further = counted(sum(group.failures for group in groups[_WORST:]), "further failure")
        yield from wrapped(f"  and {further}, of {listed(others, _NAMED)}: {read}", "    ")


def _worst_first(summary: Mapping[str, Any], findings: Mapping[Any, found.Finding]) -> list[_Group]:
    """All groups: of each operation the worst, then of each the second, and so on.

    What takes the process with it, which is a caller's own, is the worst; then it is how often it is wrong.
    """
    groups = [
        _Group(op, output, diagnosis, count)
        for op, outputs in summary["operations"].items()
        for output, figures in outputs.items()
        for diagnosis, count in figures["diagnoses"].items()
        if figures["failed"] and not fault(diagnosis)
    ]
    ending = {group for group in groups if found.ends_the_process(group.diagnosis, findings.get(group[:3]))}
    groups.sort(key=lambda group: (group not in ending, -group.failures))
    before: Counter[str] = Counter()
    rounds = []
    for group in groups:
        rounds.append(before[group.op] - (group in ending))
        before[group.op] += 1
    return [group for _, group in sorted(zip(rounds, groups, strict=True), key=lambda pair: pair[0])]


def _told(summary: Mapping[str, Any], group: _Group, finding: found.Finding | None) -> Iterator[str]:
    """One group of failures."""
    figures = summary["operations"][group.op][group.output]
    ending = summary["conditions"].get(group.op, {}).get(group.diagnosis)
    name = found.label(group.diagnosis, finding)
    why = f"{name} ({group.failures}{', ' + ending if ending else ''})"
    where = paint(f"{group.op}.{group.output}", BAD)
    yield from wrapped(f"  {where}: {figures['failed']} of {found.answered(figures)} failed: {why}", "    ")
    sentence = one_line(found.sentence(group.diagnosis, finding))
    if sentence != name:
        yield from wrapped(f"    {sentence}", "    ")
    if finding:
        # Lines of source, in which an exception came up, stay lines.
        first, _, source = (finding.get("place") or finding.get("reason", "")).partition("\n")
        seen = one_line(first)
        if seen and seen not in sentence and seen != name:
            yield from wrapped(f"    {seen}", "    ")
        yield from (f"    {line}" for line in source.splitlines())
        # To be pasted: never broken.
        yield f"    {rerun(finding, summary['implementation'])}"
