"""How a run is told: in a few lines, in one, as JSON, as annotations of GitHub."""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.commands.tell import progress, tell
from conformance.report import found, states
from conformance.report.text import one_line, rerun
from conformance.runs.options import Result
from conformance.verdict.form import fault

if TYPE_CHECKING:
    from conformance.runs.run import Progress

#: What GitHub reads of a workflow command as its end, and what stands for it.
_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES = {**_ESCAPES, ":": "%3A", ",": "%2C"}


def add(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    command.add_argument("--quiet", action="store_true", help="print the verdict alone, in one line")
    command.add_argument(
        "--format", choices=("text", "json", "github"), default="text",
        help="json: summary.json on standard output; github: annotations of a workflow (default text)",
    )  # fmt: skip


def shown(asked: argparse.Namespace) -> Progress | None:
    """What shows how far a run is; nothing where one line is asked for."""
    return None if asked.quiet else progress


def of_gate(sentence: str) -> str:
    """What is worse than a baseline says, as a workflow command."""
    return _command("error", {}, "conformance gate", sentence)


def told(result: Result, asked: argparse.Namespace) -> bool:
    """Tell a run as it was asked for; whether more lines of text may follow."""
    if asked.format == "json":
        print(json.dumps(result.summary, indent=1, allow_nan=False))
    elif asked.format == "github":
        for line in workflow_commands(result):
            print(line)
    elif not asked.quiet:
        tell(result, asked.out)
        return True
    elif asked.command == "run":
        print(verdict(result))
    return False


def verdict(result: Result) -> str:
    """The outcome of a run in one line."""
    summary = result.summary
    wrong = summary["failed"] or result.faults
    seen = {found["state"] for found in summary["states"].values()}
    right = states.COMPARED if states.COMPARED in seen else states.AGREES
    word = right if result.agrees else "disagrees" if wrong else "too little"
    return (
        f"{summary['implementation']}: {word}: {summary['failed']} of {summary['cases']} cases failed; "
        f"operations: {states.told(summary['states'])}"
    )


def workflow_commands(result: Result) -> Iterator[str]:
    """The failures of a run as workflow commands, at the function if its file is known."""
    summary = result.summary
    place = _Places(summary["implementation"])
    findings = found.by_group(summary)
    for name, outputs in summary["operations"].items():
        for output, figures in outputs.items():
            for diagnosis, count in figures["diagnoses"].items() if figures["failed"] else ():
                finding = findings.get((name, output, diagnosis))
                if not fault(diagnosis):
                    said = one_line(found.sentence(diagnosis, finding))
                    again = f" ({rerun(finding, summary['implementation'])})" if finding else ""
                    text = f"{count} of {found.answered(figures)} cases failed: {said}{again}"
                    yield _command("error", place.of(name), f"{name}.{output}: {diagnosis}", text)
    for sentence in (*result.faults, *result.problems, *result.doubts):
        op = sentence.partition(":")[0].partition(".")[0]
        yield _command("error", place.of(op), "conformance", sentence)
    for sentence in summary["remarks"]:
        yield _command("notice", {}, "conformance", sentence)
    if result.agrees:
        yield _command("notice", {}, "conformance", verdict(result))


def _command(kind: str, place: Mapping[str, Any], title: str, text: str) -> str:
    properties = ",".join(
        f"{key}={_escaped(str(value), _IN_PROPERTIES)}" for key, value in {**place, "title": title}.items()
    )
    return f"::{kind} {properties}::{_escaped(text, _ESCAPES)}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(letter, letter) for letter in text)


class _Places:
    """Where the functions of an implementation stand, as far as its file tells without running it."""

    def __init__(self, spec: str) -> None:
        path = Path(spec.rpartition(":")[0] if ".py:" in spec else spec)
        if not spec.endswith(".py") and ".py:" not in spec:
            path = Path(*spec.partition(":")[0].split(".")).with_suffix(".py")
        self._file = str(path) if path.is_file() else ""
        self._lines: dict[str, int] = {}
        if self._file:
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError, OSError, RecursionError):
                return
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    self._lines.setdefault(node.name, node.lineno)

    def of(self, op: str) -> dict[str, Any]:
        """The file and the line of an operation, the contract's or as a dialect calls it."""
        if not self._file:
            return {}
        from conformance.commands.own_cases import names_of  # it reads the tables of all dialects

        line = self._lines.get(op) or next((at for n, at in self._lines.items() if op in names_of(n)), 1)
        return {"file": self._file, "line": line}
