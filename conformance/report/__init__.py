"""What a run leaves: `summary.json`, `junit.xml` for programs, `report.html`, `report.md` for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from threading import Thread
from typing import Any

__all__ = ["prepare", "write", "write_summary"]


def prepare() -> None:
    """Import what a page needs, matplotlib above all, in a thread: a run waits while others judge."""
    # No daemon: a process that ends while a thread of its own loads a library may abort.
    Thread(target=_imported).start()


def _imported() -> None:
    with suppress(ImportError):  # `write` says what is not installed
        from conformance.report import html  # noqa: F401


def write_summary(summary: Mapping[str, Any], directory: Path) -> None:
    """Write ``summary.json`` alone."""
    text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
    (directory / "summary.json").write_text(text, encoding="utf-8")


def write(
    records_path: str | PathLike[str],
    summary: Mapping[str, Any],
    out_dir: str | PathLike[str],
    made: Mapping[str, str] | None = None,
) -> Path:
    """Write ``summary.json``, ``report.html``, ``report.md`` and ``junit.xml``.

    Parameters
    ----------
    records_path : path
        The ``results.jsonl`` of the run; read line by line, so its length does not matter.
    summary : mapping
        What ``summary.json`` holds.
    out_dir : path
        Where to write; made if it is missing.
    made : mapping of str to str, optional
        When, of what and where the run was made (`made.made`), for the page alone: records and summary are
        the same whenever they are made.

    Returns
    -------
    Path
        The ``report.html``.

    Raises
    ------
    ValueError
        If a line of `records_path` is no record.
    """
    # What these need is not installed where only the words of a report are asked for.
    from conformance.report import html, junit, markdown
    from conformance.report.digest import digest
    from conformance.report.text import clean
    from conformance.report.verdict import judge

    records, out = Path(records_path), Path(out_dir)
    facts = clean(dict(summary))
    out.mkdir(parents=True, exist_ok=True)
    write_summary(summary, out)
    result = digest(records)
    verdict = judge(facts, result)
    page = out / "report.html"
    page.write_text(html.render(facts, result, verdict, clean(dict(made or {}))), encoding="utf-8")
    (out / "report.md").write_text(markdown.render(facts, result, verdict), encoding="utf-8")
    junit.write(records, facts, verdict, out / "junit.xml")
    return page
