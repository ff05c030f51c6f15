"""``conformance matrix``: several implementations judged, one page written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from conformance.commands import process_options, settings_options
from conformance.commands.usage import (
    AGREES,
    DEFAULT_DIRECTORY,
    DEFAULT_IMPLEMENTATION,
    DISAGREES,
    UNUSABLE,
    UsageError,
    examples,
    split,
)
from conformance.implementations import adapters
from conformance.operations import select

_EXAMPLES = examples(
    "conformance matrix                                 cnnref and every adapter",
    "conformance matrix --impl mykernels.py numpy_loops --ops 'pool_*' --cases 50",
)


def add_command(commands: Any) -> None:
    """Add ``matrix`` to the command line."""
    parser = commands.add_parser(
        "matrix", help="several implementations side by side, on one page", epilog=_EXAMPLES
    )
    parser.description = (
        "Judge several implementations, each in child processes, and write matrix.html and matrix.json. "
        "What is not installed is named as such."
    )
    many: dict[str, Any] = {"action": "extend", "nargs": "+"}
    parser.add_argument("--impl", **many, metavar="M", help="as for run (default cnnref and every adapter)")
    parser.add_argument("--ops", **many, metavar="OP", help="operations or shell patterns (default all)")
    parser.add_argument(
        "--cases", type=int, default=10, metavar="N", help="per operation, dtype (default 10)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seeds shapes and data (default 0)")
    parser.add_argument(
        "--out", type=Path, default=Path(DEFAULT_DIRECTORY), metavar="DIR", help="where the page goes"
    )
    settings_options.add(parser)
    process_options.add(parser)
    process_options.add_isolate(parser)
    parser.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance matrix``; its status is 1 if anything disagrees, or nothing was compared."""
    from tqdm import tqdm

    from conformance.runs import matrix

    if asked.cases < 1 or not 0 <= asked.seed < 10**9:
        raise UsageError(
            f"--cases {asked.cases} --seed {asked.seed}: expected at least 1 case, a seed of 0 to 999999999"
        )
    try:
        operations = select(split(asked.ops))
    except ValueError as error:
        raise UsageError(f"--ops: {error}") from error
    asked.out.mkdir(parents=True, exist_ok=True)  # said now, and not after all is judged
    specs = asked.impl or [DEFAULT_IMPLEMENTATION, *adapters()]
    settings, holding = settings_options.settings(asked), process_options.holding(asked)
    columns = []
    for spec in specs:
        with tqdm(total=2 * asked.cases * len(operations), desc=spec, unit="case", disable=None) as bar:
            found = matrix.column(spec, operations, asked.cases, asked.seed, settings, holding, bar.update)
        columns.append(found)
        if "unusable" in found:
            print(f"{spec}: not run: {found['unusable']}")
            continue
        print(
            f"{spec}: {found['passed']} passed, {found['failed']} failed, {found['absent']} absent, "
            f"{found['refused']} refused, "
            f"{len(found['crashed'])} killed the process; {found['seconds']} s"
        )
        for op, cell in found["operations"].items():
            if cell["failed"] or cell["status"] == "failed":
                word = "differ as declared" if cell["status"] == "differs" else "failed"
                print(f"  {op}: {cell['failed']} {word}: {cell['differs']}")
    page = matrix.write(columns, {"cases": asked.cases, "seed": asked.seed}, asked.out)
    print(f"Matrix: {page}")
    if all("unusable" in found for found in columns):
        return UNUSABLE
    for found in columns:
        if not found.get("passed") and not found.get("failed") and "unusable" not in found:
            print(f"{found['implementation']}: nothing was compared")
    ran = [found for found in columns if "unusable" not in found]
    wrong = any(found["failed"] or found["undeclared"] or not found["passed"] for found in ran)
    return DISAGREES if wrong else AGREES
