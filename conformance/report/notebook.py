"""The outcome of a run as a notebook shows it: the verdict, the states, what is wrong and where."""

from __future__ import annotations

from typing import Any

from conformance.report import found
from conformance.report.html import page_environment
from conformance.report.states import named

#: Failures that are shown.
_SHOWN = 8


def page(summary: dict[str, Any], verdict: str, agrees: bool, again: bool = True) -> str:
    """The HTML of a run; whatever an implementation can choose in it is escaped.

    `again` is whether a command can run a case again: it can not where the functions are in no file.
    """
    findings = found.by_group(summary)
    groups = [
        {"name": f"{op}.{output}", "count": count, "diagnosis": diagnosis, "of": found.answered(figures),
         "sentence": found.sentence(diagnosis, findings.get((op, output, diagnosis))),
         "finding": findings.get((op, output, diagnosis))}
        for op, outputs in summary["operations"].items()
        for output, figures in outputs.items()
        for diagnosis, count in figures["diagnoses"].items()
    ]  # fmt: skip
    template = page_environment().get_template("notebook.html.j2")
    return template.render(
        summary=summary,
        verdict=verdict,
        agrees=agrees,
        again=again,
        states={op: named(state) for op, state in summary["states"].items()},
        groups=groups[:_SHOWN],
        more=max(0, len(groups) - _SHOWN),
    )
