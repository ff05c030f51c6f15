"""``matrix.html``: operations by implementations, and what led to each cell; self-contained."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from conformance.report.html import page_environment, script

_HERE = Path(__file__).parent


def render(facts: dict[str, Any], operations: list[str]) -> str:
    """The page as text."""
    columns = facts["implementations"]
    used = [c for c in columns if "unusable" not in c]
    rows = [op for op in operations if any(op in c["operations"] for c in used)]
    differences = [
        {"op": op, "implementation": c["implementation"], **c["operations"][op]}
        for c in used
        for op in rows
        if c["operations"].get(op, {}).get("failed")
    ]
    return (
        page_environment()
        .get_template("matrix.html.j2")
        .render(
            facts=facts,
            columns=used,
            unusable=[c for c in columns if "unusable" in c],
            rows=rows,
            differences=differences,
            again=[_again(c, rows, facts) for c in used],
            **script(),
            style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        )
    )


def _again(column: dict[str, Any], rows: list[str], facts: dict[str, Any]) -> dict[str, Any]:
    """The report on one implementation: of each operation what came, and the line that judges it again."""
    spec = shlex.quote(column["implementation"])
    asked = f"--cases {facts['cases']} --seed {facts['seed']}"
    return {
        "column": column,
        "all": f"conformance run --impl {spec} {asked}",
        "cells": [
            {
                "op": op,
                "cell": column["operations"][op],
                "run": f"conformance run --impl {spec} --ops {op} {asked}",
                "repro": f"conformance repro {shlex.quote(example)} --impl {spec}" if example else "",
            }
            for op in rows
            for example in [column["operations"].get(op, {}).get("example", "")]
            if column["operations"].get(op, {}).get("status") not in (None, "absent")
        ],
    }
