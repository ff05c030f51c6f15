"""The report of a run: ``report.html`` for people, ``report.md`` for a job summary, ``junit.xml`` for CI."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from threading import Thread
from typing import Any

__all__ = ["prepare", "write"]


def prepare() -> None:
    """Import what a page needs, matplotlib above all, in a thread: a run waits while others judge."""
    Thread(target=_imported, daemon=True).start()


def _imported() -> None:
    with suppress(ImportError):  # `write` says what is not installed
        from conformance.report import html  # noqa: F401


def write(
    records_path: str | PathLike[str],
    summary: Mapping[str, Any],
    out_dir: str | PathLike[str],
    made: Mapping[str, str] | None = None,
) -> Path:
    """Write ``report.html``, ``report.md`` and ``junit.xml``.

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
    result = digest(records)
    verdict = judge(facts, result)
    out.mkdir(parents=True, exist_ok=True)
    page = out / "report.html"
    page.write_text(html.render(facts, result, verdict, clean(dict(made or {}))), encoding="utf-8")
    (out / "report.md").write_text(markdown.render(facts, result, verdict), encoding="utf-8")
    junit.write(records, facts, verdict, out / "junit.xml")
    return page
