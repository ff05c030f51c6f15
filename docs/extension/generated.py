"""What the pages show of the code itself: functions, commands, what the suite knows. No page lists them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import cnnref
from benchmarks import page
from conformance.commands import cli
from conformance.faults.diagnose import catalogue
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS
from conformance.report import terms


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}


def _write(app: Any) -> None:
    place = Path(app.srcdir, "_generated")
    place.mkdir(exist_ok=True)
    pages = {
        "functions.md": _functions(),
        "classes.md": _classes(),
        "commands.md": _commands(),
        "operations.md": _operations(),
        "families.md": _families(),
        "deviations.md": _deviations(),
        "statuses.md": _terms("status", terms.STATUSES),
        "states.md": _terms("state", terms.STATES),
        "rows.html": page.part(Path(app.srcdir, "bench-rows.csv").read_text()),
    }
    for name, text in pages.items():
        path = place / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _functions() -> str:
    names = [name for name in cnnref.__all__ if inspect.isroutine(getattr(cnnref, name))]
    # One heading a function, in the order of the suite; then what computes nothing.
    order = [*OPERATIONS, *names]
    return "\n".join(
        f"## {name}\n\n```{{eval-rst}}\n.. autofunction:: cnnref.{name}\n```\n"
        for name in sorted(names, key=order.index)
    )


def _classes() -> str:
    names = [name for name in cnnref.__all__ if hasattr(getattr(cnnref, name), "_fields")]
    rows = [f"| `{name}` | {', '.join(f'`{f}`' for f in getattr(cnnref, name)._fields)} |" for name in names]
    return "| cache | fields, in order |\n|---|---|\n" + "\n".join(rows) + "\n"


def _commands() -> str:
    parser = cli.parser()
    (commands,) = (action for action in parser._actions if hasattr(action, "choices") and action.choices)
    parts = [("conformance", parser), *((f"conformance {name}", p) for name, p in commands.choices.items())]
    return "\n".join(f"## {name}\n\n```text\n{part.format_help()}```\n" for name, part in parts)


def _operations() -> str:
    rows = [
        f"| `{one.name}` | {_code(one.parameters)} | {_code(one.option)} | {_code(one.outputs)} |"
        for one in OPERATIONS.values()
    ]
    head = "| operation | parameters of a case | options | outputs |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _code(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _families() -> str:
    rows = [f"| `{f.name}` | {f.kind} | {_cell(f.description)} |" for f in FAMILIES.values()]
    return "| family | tier | data |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _deviations() -> str:
    rows = [f"| `{slip.id}` | {_cell(slip.text)} |" for slip in catalogue()]
    return "| deviation | what was done |\n|---|---|\n" + "\n".join(rows) + "\n"


def _terms(head: str, words: dict[str, str]) -> str:
    rows = [f"| {word.replace('-', ' ')} | {_cell(text.rstrip('.'))} |" for word, text in words.items()]
    return f"| {head} | means |\n|---|---|\n" + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
