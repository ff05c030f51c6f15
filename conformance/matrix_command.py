"""``conformance matrix``: several implementations judged, one page written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from conformance import adapters, settings_options
from conformance.conventions import ConventionError
from conformance.operations import select


def add_command(commands: Any) -> None:
    """Add ``matrix`` to the command line."""
    command = commands.add_parser("matrix", help="several implementations side by side, on one page")
    command.description = (
        "Judge several implementations, each in child processes, and write matrix.html and matrix.json. "
        "What is not installed is named as such."
    )
    many: dict[str, Any] = {"action": "extend", "nargs": "+"}
    command.add_argument("--impl", **many, metavar="M", help="as for run (default cnnref and every adapter)")
    command.add_argument("--ops", **many, metavar="OP", help="operations or shell patterns (default all)")
    command.add_argument(
        "--cases", type=int, default=10, metavar="N", help="per operation, dtype (default 10)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="seeds shapes and data (default 0)")
    command.add_argument(
        "--out", type=Path, default=Path("conformance-report"), metavar="DIR", help="where the page goes"
    )
    settings_options.add(command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance matrix``; its status is 1 if anything disagrees."""
    from tqdm import tqdm

    from conformance import matrix

    if asked.cases < 1 or not 0 <= asked.seed < 10**9:
        raise ConventionError("--cases at least 1, --seed 0 to 999999999 expected")
    try:
        operations = select([part for item in asked.ops or () for part in item.split(",") if part])
    except ValueError as error:
        raise ConventionError(f"--ops: {error}") from error
    specs = asked.impl or ["cnnref", *adapters.names()]
    settings = settings_options.settings(asked)
    columns = []
    for spec in specs:
        with tqdm(total=2 * asked.cases * len(operations), desc=spec, unit="case", disable=None) as bar:
            found = matrix.column(spec, operations, asked.cases, asked.seed, settings, bar.update)
        columns.append(found)
        if "unusable" in found:
            print(f"{spec}: not run: {found['unusable']}")
            continue
        print(
            f"{spec}: {found['passed']} passed, {found['failed']} failed, {found['absent']} absent, "
            f"{len(found['crashed'])} killed the process; {found['seconds']} s"
        )
        for op, cell in found["operations"].items():
            if cell["failed"]:
                print(f"  {op}: {cell['failed']} failed: {cell['differs']}")
    page = matrix.write(columns, {"cases": asked.cases, "seed": asked.seed}, asked.out)
    print(f"Matrix: {page}")
    if all("unusable" in found for found in columns):
        return 2
    return int(any(found.get("failed") for found in columns))
