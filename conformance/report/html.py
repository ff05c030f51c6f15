"""``report.html``: what a person opens. Built from ``template.html.j2`` and ``style.css``, self-contained."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from conformance.diagnosis.picture import Picture
from conformance.faults import CATALOGUE
from conformance.faults.state import STATE
from conformance.report import coverage, found, terms, text
from conformance.report.catalogue import corner_rows, family_description
from conformance.report.digest import EXAMPLES, TIERS, Digest, Spread
from conformance.report.environment import environment
from conformance.report.states import named
from conformance.report.verdict import Verdict

_HERE = Path(__file__).parent

#: Groups of failures that stand open on the page.
_OPEN = 5

#: Characters of one reason; a traceback is the business of ``conformance repro``.
REASON = 500


def render(
    summary: dict[str, Any], digest: Digest, verdict: Verdict, made: dict[str, str] | None = None
) -> str:
    """Return the page as text; `made` are facts of when and where, by name."""
    from conformance.report import plots  # Matplotlib: half of what importing the command line would take

    return (
        page_environment()
        .get_template("template.html.j2")
        .render(
            summary=summary,
            digest=digest,
            findings=found.by_group(summary),
            verdict=verdict,
            matrix=_matrix(digest),
            states={op: named(found) for op, found in summary.get("states", {}).items()},
            options=[
                {"op": op, **declared, "rows": coverage.matrix(declared)}
                for op, seen in summary.get("coverage", {}).items()
                for declared in [coverage.with_undeclared(seen)]
            ],
            anchors=_anchors(digest),
            explained=CATALOGUE.keys() | STATE.keys(),
            figures=terms.FIGURES,
            terms={**terms.FIGURES, **terms.TIERS},
            **script(),
            dtypes=digest.dtypes,
            tiers=[tier for tier in TIERS if any(family.tiers[tier] for family in digest.families.values())],
            corners=corner_rows(digest),
            environment=[*(made or {}).items(), *environment(summary)],
            worst=_worst(digest),
            ulp_plot=_svg(plots.error_in_ulps(digest)),
            share_plot=_svg(plots.share_of_bound(digest)),
            style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
            examples=EXAMPLES,
            opened=_OPEN,
            reason_length=REASON,
        )
    )


def script() -> dict[str, Markup]:
    """The script of a page, and its digest, which is the only one that the page lets run."""
    text = (_HERE / "script.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(text.encode()).digest()).decode()
    return {"script": Markup(text), "script_hash": Markup(f"sha256-{digest}")}


def page_environment() -> Environment:
    """The environment of the templates."""
    # What an implementation under test can choose (its name, its exceptions) is text, never markup.
    jinja = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(
        whole=text.whole,
        error=text.error,
        ulp=text.ulp,
        capfirst=lambda words: words[:1].upper() + words[1:],
        value=text.value,
        index=text.index,
        clip=text.clip,
        percent=lambda share: f"{100 * share:.1f} %".replace("100.0", "100"),
    )
    jinja.globals.update(label=found.label, sentence=found.sentence)
    jinja.globals.update(repro=text.repro, rerun=text.rerun, counted=text.counted)
    jinja.globals.update(description=family_description, drawn=_drawn)
    return jinja


def _svg(drawing: str | None) -> Markup | None:
    # Safe as it stands: matplotlib escapes the text it writes.
    return None if drawing is None else Markup(drawing)


def _drawn(plain: dict[str, Any]) -> Markup:
    # Safe as it stands: rectangles, and a title that `Picture.svg` escapes.
    return Markup(Picture.from_dict(plain).svg())


def _matrix(digest: Digest) -> list[dict[str, Any]]:
    """The cells by operation, for a header that spans the operation's rows."""
    operations: dict[str, list[Any]] = {}
    for cell in digest.cells.values():
        operations.setdefault(cell.op, []).append(cell)
    return [
        {"op": op, "cells": cells, "absent": all(cell.status == "absent" for cell in cells)}
        for op, cells in operations.items()
    ]


def _anchors(digest: Digest) -> dict[tuple[str, ...], str]:
    """Where on the page each group of failures stands, and the first of each output."""
    found: dict[tuple[str, ...], str] = {}
    for number, key in enumerate(digest.groups):
        found[key] = f"failure-{number}"
        found.setdefault(key[:2], found[key])
    return found


def _worst(digest: Digest) -> Spread | None:
    """The largest share of a bound in the run."""
    every = (spread for cell in digest.cells.values() for spread in cell.share.values())
    return max(every, key=lambda spread: spread.worst, default=None)
