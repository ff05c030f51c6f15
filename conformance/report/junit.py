"""``junit.xml``: one testsuite for each operation, one testcase for each case and output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

from conformance.report.digest import NO_RESULT, rows
from conformance.report.states import named
from conformance.report.text import clip, index, one_line, repro, value
from conformance.report.verdict import Verdict
from conformance.verdict.record import Record

_REASON = 2000  # characters of one reason


def write(records: Path, summary: dict[str, Any], verdict: Verdict, target: Path) -> None:
    """Write `target` from the records, whatever their number.

    A testsuite states its totals before its testcases, so each one's testcases wait in a temporary
    file. What is wrong with the run as a whole fails a testsuite of its own, ``run``.
    """
    counts: dict[str, Counter[str]] = {}
    with ExitStack() as stack:
        parts: dict[str, IO[str]] = {}
        for row in rows(records):
            op = row.op
            if op not in parts:
                parts[op] = stack.enter_context(TemporaryFile("w+", encoding="utf-8"))
                counts[op] = Counter()
            counts[op][row.status] += 1
            parts[op].writelines(_testcase(row, str(summary["implementation"])))
        whole = sum(counts.values(), _run_counts(verdict))
        stream = stack.enter_context(open(target, "w", encoding="utf-8"))
        stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        seconds = f' time="{summary["seconds"]:.3f}"'
        name = f"conformance of {summary['implementation']}"
        stream.write(f"<testsuites name={quoteattr(clip(name, 200))}{_totals(whole)}{seconds}>\n")
        stream.writelines(_run(verdict))
        for op, part in parts.items():
            stream.write(f"<testsuite name={quoteattr(op)}{_totals(counts[op])}>\n")
            stream.write(_state(summary.get("states", {}).get(op)))
            part.seek(0)
            stream.writelines(part)
            stream.write("</testsuite>\n")
        stream.write("</testsuites>\n")


def _run_counts(verdict: Verdict) -> Counter[str]:
    return Counter(failed=len(verdict.problems)) if verdict.problems else Counter(passed=1)


def _run(verdict: Verdict) -> Iterator[str]:
    """Yield the testsuite that fails when the run, not a case, is at fault."""
    yield f'<testsuite name="run"{_totals(_run_counts(verdict))}>\n'
    if not verdict.problems:
        yield '<testcase classname="conformance.run" name="every case could have failed"/>\n'
    for number, problem in enumerate(verdict.problems, 1):
        yield (
            f'<testcase classname="conformance.run" name="problem {number}">'
            f"<failure message={quoteattr(problem)}>{escape(verdict.sentence)}</failure></testcase>\n"
        )
    yield "</testsuite>\n"


def _testcase(row: Record, implementation: str) -> Iterator[str]:
    classname = f"conformance.{row.op}.{row.output}"
    yield f"<testcase classname={quoteattr(classname)} name={quoteattr(row.case)}"
    reason = clip(row.reason, _REASON)
    if row.status == "passed":
        yield "/>\n"
    elif row.status in ("absent", "refused"):
        yield f"><skipped message={quoteattr(one_line(reason) or row.status)}/></testcase>\n"
    else:
        diagnosis = row.diagnosis or "unexplained"
        message = clip(f"{row.output}: {one_line(reason)} [{diagnosis}]", 400)
        text = "\n".join(_failure(row, reason, diagnosis, implementation))
        attributes = f"message={quoteattr(message)} type={quoteattr(diagnosis)}"
        yield f">\n<failure {attributes}>{escape(text)}</failure>\n</testcase>\n"


def _failure(row: Record, reason: str, diagnosis: str, implementation: str) -> Iterator[str]:
    yield reason
    yield f"diagnosis: {diagnosis}"
    if row.index is not None:
        yield f"index {index(row.index)}, expected {value(row.expected)}, got {value(row.got)}"
    yield f"tier {row.tier or NO_RESULT}, data family {row.family}"
    yield repro(row.case, implementation)


def _state(found: dict[str, Any] | None) -> str:
    """The state of an operation, as a property of its testsuite."""
    if found is None:
        return ""
    return f'<properties><property name="state" value={quoteattr(named(found))}/></properties>\n'


def _totals(counts: Counter[str]) -> str:
    skipped = counts["absent"] + counts["refused"]
    return f' tests="{counts.total()}" failures="{counts["failed"]}" errors="0" skipped="{skipped}"'
