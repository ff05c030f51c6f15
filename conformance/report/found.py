"""What was found out about failures, by the group of failures it stands for, and each in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.faults import RAISED
from conformance.faults.diagnose import UNEXPLAINED, explain
from conformance.report.text import clip, one_line

Finding = dict[str, Any]

#: Characters of a label.
_LABEL = 72

#: Of what is said in a sentence and has no name, and where no sentence is left.
_NAMELESS, _NOTHING_LEFT = "no known fault", "no sentence is left that explains it"

#: What is named by what it fails for.
_BY_CONDITION = "named by its condition"

#: What these words mean.
WORDS = {
    _NAMELESS: "No fault of the catalogue gives this result; a sentence says where or when it is wrong.",
    _BY_CONDITION: "No fault of the catalogue gives this result, but a condition tells the cases that fail "
    "from those that pass: the sentence has it, with the numbers of both.",
    "raised": "The call ended in an exception instead of an answer; `raised-TypeError` names it, and the "
    "line of source in which it came up stands below. An exception that the module raises itself, on "
    "purpose, is a refusal.",
    "crashed": "The process that was called died of a signal, or ended itself, and gave no answer. Each "
    "call is made in a process of its own for that: the run goes on in another.",
}

#: Where-rules that say nothing.
_EVERYWHERE = ("", "every element")


def by_group(summary: dict[str, Any]) -> dict[tuple[str, str, str], Finding]:
    """The findings of a run by operation, output and diagnosis: each is of the group's first failure."""
    return {
        (found["case"].partition(":")[0], found["output"], found["diagnosis"]): found
        for found in summary.get("findings", ())
    }


def answered(figures: Mapping[str, Any]) -> int:
    """In how many cases an output was answered, right or wrong."""
    return int(figures["passed"] + figures["failed"])


def ends_the_process(diagnosis: str, finding: Finding | None) -> bool:
    """Whether a call does not come back at all: the process that made it dies, or is asked to end."""
    reason = str(finding.get("reason", "")) if finding else ""
    return diagnosis == f"{RAISED}SystemExit" or reason.startswith("the process died")


def sentence(diagnosis: str, finding: Finding | None) -> str:
    """What is wrong, in one sentence: the fault, where one has a name, and its condition.

    Without a name it is the condition alone, or else which elements are wrong.
    """
    condition = finding.get("condition", "") if finding else ""
    if diagnosis != UNEXPLAINED:
        try:
            text = explain(diagnosis).rstrip(".")
        except ValueError:  # of another version of the catalogue
            text = diagnosis
        return f"{text}: {condition}" if condition else text
    if condition:
        return f"wrong {condition}"
    if finding and finding.get("reason"):
        return str(finding["reason"]).rstrip(".")
    if finding and finding["rule"] not in _EVERYWHERE and not finding["rule"].endswith("by no simple rule"):
        where = finding["rule"].removeprefix("only where ")
        return f"in the first of these cases {where} is wrong"
    if finding and finding["entry"]:
        return f"in the smallest case {finding['entry']}"
    return _NOTHING_LEFT


def label(diagnosis: str, finding: Finding | None) -> str:
    """The diagnosis for a list: its name, what it was named by, or why there was nothing to compare."""
    if diagnosis != UNEXPLAINED or not finding:
        return diagnosis
    if finding.get("reason"):
        return clip(one_line(str(finding["reason"]).partition("\n")[0]), _LABEL)
    if finding.get("condition"):
        return _BY_CONDITION
    return _NAMELESS if sentence(diagnosis, finding) != _NOTHING_LEFT else diagnosis
