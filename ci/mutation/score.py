"""The score of judged mutants, the survivors, and those known to compute the same bits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ci.mutation.build import ROOT
from ci.mutation.mutants import Mutant

EQUIVALENT = ROOT / "ci" / "mutation" / "equivalent.txt"


def equivalents() -> dict[str, str]:
    """Mutants known to compute the same bits: a line ``FILE: BEFORE => AFTER`` and, indented below, why.

    Raises
    ------
    ValueError
        If one has no reason.
    """
    found: dict[str, str] = {}
    key = ""
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else ():
        if line.startswith("    ") and key:
            found[key] = f"{found[key]} {line.strip()}".strip()
        elif line.strip() and not line.startswith("#"):
            key = line.strip()
            found[key] = ""
    for key, reason in found.items():
        if not reason:
            raise ValueError(f"{EQUIVALENT.name}: no reason under {key!r}")
    return found


def stale(existing: Iterable[Mutant]) -> int:
    """Print what is listed as equivalent and is no mutant of the sources any more; 1 if anything is."""
    keys = {mutant.key for mutant in existing}
    gone = [key for key in equivalents() if key not in keys]
    for key in gone:
        print(f"{EQUIVALENT.name}: no such mutant any more: {key}")
    return 1 if gone else 0


def report(tried: list[Mutant], done: Mapping[str, Mapping[str, Any]], total: int) -> int:
    """Print the score, of each file too, and every survivor; 1 if one is unexplained."""
    known = equivalents()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for mutant in tried:
        status = str(done[mutant.key]["status"])
        if status == "survived":
            survivors.append(mutant)
            status = "equivalent" if mutant.key in known else status
        counts[mutant.file][status] += 1
    score = sum(counts.values(), Counter())
    valid = len(tried) - score["invalid"]
    print(
        f"{len(tried)} of {total} mutants tried: {score['killed']} of {valid} killed, "
        f"{score['equivalent']} equivalent, {score['survived']} survived, {score['invalid']} do not build"
    )
    for file in sorted(counts):
        print(f"  {file:<26}" + ", ".join(f"{n} {status}" for status, n in sorted(counts[file].items())))
    for mutant in survivors:
        print(mutant.diff)
        if mutant.key in known:
            print(f"  equivalent: {known[mutant.key]}")
    return 1 if score["survived"] else 0
