"""``run --errors``: what the implementation does with invalid input, as a table."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from conformance.operations import OPERATIONS
from conformance.runs.options import Options
from conformance.runs.worker import Holding
from conformance.verdict.invalid import DOES, Answer, answers

#: Inputs of one function that are named, of those that are answered or end the process.
_NAMED = 6


def tell(options: Options, directory: Path, holding: Holding) -> None:
    """Try invalid input, print the table, and write every answer into ``errors.tsv``."""
    from conformance.implementations.implementation import load

    warnings.simplefilter("ignore")
    implementation = load(
        options.implementation, options.settings, holding.time_limit, wrapped=holding.wrapped
    )
    try:
        found = list(answers(implementation, [OPERATIONS[name] for name in options.operations]))
    finally:
        implementation.close()
    print(table(found), end="")
    lines = ["\t".join(("op", "argument", "what", "does", "said")), *("\t".join(a) for a in found)]
    (directory / "errors.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")


def table(found: Iterable[Answer]) -> str:
    """How many inputs of each function are refused, answered, or end the process."""
    counts: dict[str, Counter[str]] = {}
    bad: dict[str, list[str]] = {}
    for answer in found:
        counts.setdefault(answer.op, Counter())[answer.does] += 1
        if answer.does in DOES[2:]:
            bad.setdefault(answer.op, []).append(f"{answer.argument}: {answer.what}")
    lines = [f"{'Invalid input (no failures)':<36}" + "".join(f"{does:>17}" for does in DOES)]
    for op, each in counts.items():
        lines.append(f"  {op:<34}" + "".join(f"{each[does]:>17}" for does in DOES))
        if op in bad:
            more = len(bad[op]) - _NAMED
            rest = f" and {more} more" if more > 0 else ""
            lines.append(f"    not refused: {'; '.join(bad[op][:_NAMED])}{rest}")
    return "".join(f"{line}\n" for line in lines)
