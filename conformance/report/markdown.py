"""``report.md``: the verdict, the matrix and the first failures, small enough for a job summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from conformance.report.digest import Cell, Digest, Group
from conformance.report.environment import environment
from conformance.report.found import Finding, by_group, label, sentence
from conformance.report.states import named
from conformance.report.text import (
    NOTHING,
    clip,
    counted,
    error,
    index,
    listed,
    one_line,
    repro,
    value,
    whole,
)
from conformance.report.verdict import Verdict
from conformance.verdict.record import STATUSES

#: Bytes a report may take; job summaries are cut, or refused, at 64 KiB or above.
LIMIT = 60_000

_EXAMPLES = 2  # of each group of failures
_MARK = {"passed": "✅ passed", "failed": "❌ failed", "absent": "⚪ absent", "refused": "⚪ refused"}
_STATE = {"agrees": "✅", "compared": "☑️", "disagrees": "❌", "too-little": "⚠️", "absent": "⚪"}


def render(summary: dict[str, Any], digest: Digest, verdict: Verdict) -> str:
    """Return the report as GitHub-flavoured Markdown of at most `LIMIT` bytes."""
    head = [*_verdict(summary, verdict), *_states(summary), *_matrix(digest)]
    tail = [*_options(summary), "", "### Run", "", *_table(("", ""), _facts(summary))]
    room = LIMIT - _size(head) - _size(tail)
    return "\n".join([*head, *_failures(summary, digest, room), *tail]) + "\n"


def _verdict(summary: dict[str, Any], verdict: Verdict) -> Iterator[str]:
    name = _text(str(summary["implementation"]), 200)
    yield f"## {'✅' if verdict.ok else '❌'} {name}: {_text(verdict.sentence, 1000)}"
    for line in (*verdict.problems, *verdict.notes):
        yield ""
        yield _text(line, 1000)


def _states(summary: dict[str, Any]) -> Iterator[str]:
    """In which state each operation is, those of a kind on one line."""
    found: dict[str, list[str]] = {}
    for op, state in summary.get("states", {}).items():
        found.setdefault(f"{_STATE[state['state']]} {named(state)}", []).append(op)
    if found:
        yield ""
    for state, operations in found.items():
        yield f"- {_text(state, 200)}: {_text(', '.join(operations), 2000)}"


def _matrix(digest: Digest) -> Iterator[str]:
    if not digest.cells:
        return
    yield ""
    header = ("operation", "output", "result", *STATUSES)
    errors = [f"{what} {dtype}" for what in ("ULP", "share of bound") for dtype in digest.dtypes]
    rows = (_row(cell, digest.dtypes) for cell in digest.cells.values())
    yield from _table((*header, *errors, "diagnoses"), rows, right=range(3, 7 + len(errors)))


def _row(cell: Cell, dtypes: list[str]) -> list[str]:
    counts = [whole(cell.counts[status]) for status in STATUSES]
    errors = [
        error(spread[dtype].worst) if dtype in spread else NOTHING
        for spread in (cell.ulp, cell.share)
        for dtype in dtypes
    ]
    diagnoses = listed((f"{name} {whole(n)}" for name, n in cell.diagnoses.most_common()), 3)
    names = [_text(cell.op, 60), _text(cell.output, 60), _MARK[cell.status]]
    return [*names, *counts, *errors, _text(diagnoses, 200)]


def _options(summary: dict[str, Any]) -> Iterator[str]:
    """Which kinds of options were compared in each operation, and which pairs of them."""
    found: dict[str, Any] = summary.get("coverage", {})
    if not found:
        return
    yield from ("", "### Options", "")
    rows = []
    for op, operation in found.items():
        kinds = [
            f"{name} {kind} {whole(counts['compared']) if counts['compared'] else '**not reached**'}"
            + (f" ({whole(counts['failed'])} failed)" if counts["failed"] else "")
            for name, option in operation["options"].items()
            for kind, counts in option["kinds"].items()
        ]
        missing = operation["missing"]
        pairs = f"{whole(len(operation['pairs']) - len(missing))} of {whole(len(operation['pairs']))}"
        rows.append([_text(op, 60), ", ".join(kinds), pairs, _text(listed(iter(missing), 8), 400) or "none"])
    yield from _table(("operation", "kinds compared", "pairs reached", "pairs not reached"), rows)


def _failures(summary: dict[str, Any], digest: Digest, room: int) -> Iterator[str]:
    """Yield the groups of failures that fit into `room` bytes, then how many did not."""
    if not digest.groups:
        return
    opening = ["", "### Failures"]
    yield from opening
    room -= _size(opening) + 200
    findings = by_group(summary)
    for shown, group in enumerate(digest.groups.values()):
        finding = findings.get((group.op, group.output, group.diagnosis))
        lines = [*_group(str(summary["implementation"]), group, finding), *_found(finding)]
        room -= _size(lines)
        if room < 0:
            yield ""
            rest = counted(len(digest.groups) - shown, "further group")
            yield f"… and {rest} of failures, in `report.html` and `results.jsonl`."
            return
        yield from lines


def _group(implementation: str, group: Group, finding: Finding | None) -> Iterator[str]:
    yield ""
    yield (
        f"**{_text(group.op, 60)} {_text(group.output, 60)}**: {counted(group.count, 'failure')}, "
        f"diagnosis {_text(label(group.diagnosis, finding), 120)}"
    )
    yield ""
    yield _text(sentence(group.diagnosis, finding), 600)
    for row in group.examples[:_EXAMPLES]:
        command = one_line(repro(row.case, clip(implementation, 200)))
        yield ""
        yield f"```sh\n{command}\n```"
        if row.index is not None:
            expected, got = _text(value(row.expected), 40), _text(value(row.got), 40)
            yield f"index {_text(index(row.index), 80)}, expected {expected}, got {got}. "
        yield _text(row.reason, 300)


def _found(finding: Finding | None) -> Iterator[str]:
    """What was found out about the first failure of a group."""
    if finding is None:
        return
    wrong = f"Wrong there: {finding['rule']}. " if finding["rule"] else ""
    entry = f"The smallest case: {finding['entry']}. " if finding["entry"] else ""
    said = "; ".join(line.strip() for line in finding.get("identities", ())[:4])
    text = f"{wrong}{entry}{said}".strip()
    if text:
        yield ""
        yield _text(text, 600)


def _facts(summary: dict[str, Any]) -> Iterator[list[str]]:
    for name, text in environment(summary)[:40]:
        yield [_text(name, 60), _text(text, 300)]


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[int] = ()) -> Iterator[str]:
    names = list(header)
    numbers = set(right)
    yield f"| {' | '.join(names)} |"
    yield "|" + "|".join("---:" if i in numbers else "---" for i in range(len(names))) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _text(text: str, limit: int) -> str:
    """Make `text` plain on one line: no markup, no HTML, no mention, no new cell of a table."""
    plain = clip(one_line(text), limit)
    escaped = re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", plain)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width joiner after @ keeps a hosting site from notifying whoever has that name.
    return escaped.replace("@", "@\u200d")


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)
