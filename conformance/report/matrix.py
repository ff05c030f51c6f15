"""``matrix.html``: operations by implementations, self-contained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from conformance.report.html import page_environment

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
            style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        )
    )
