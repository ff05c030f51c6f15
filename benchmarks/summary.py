"""From measured rows to verdicts: ratios by group against the aims, rows below 1.0, memory, accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.layers import AIMS
from benchmarks.limits import reason
from benchmarks.measure import geometric_mean

Record = dict[str, Any]

#: Memory comes in pages, and the first call of a kind touches some of the interpreter's own.
PAGES = 256 * 1024
ERROR_FLOOR = 1e-12


@dataclass(frozen=True)
class Aim:
    """One aim of the issue: what it asks, what was measured, whether it is met."""

    what: str
    aim: str
    figure: str
    met: bool | None


def ratios(records: Iterable[Record], **where: Any) -> list[float]:
    """PyTorch time / cnnref time of the records with these values."""
    return [r["ratio"]["median"] for r in records if all(r[key] == value for key, value in where.items())]


def below(records: Iterable[Record]) -> list[Record]:
    """The rows below 1.0, the worst first."""
    return sorted((r for r in records if r["ratio"]["median"] < 1), key=lambda r: float(r["ratio"]["median"]))


def aims(records: list[Record], epoch: Record | None = None) -> list[Aim]:
    """Every aim with its figure; `met` is None where nothing was measured."""
    worst = below(records)
    lowest = min(ratios(records), default=float("nan"))
    found = [
        Aim(
            "no row below 1.0", "1.00", f"{lowest:.2f} ({len(worst)} of {len(records)} rows below)", not worst
        )
    ]
    silent = unexplained(records)
    found.append(
        Aim(
            "what limits each row below 1.0",
            "said",
            f"{len(worst) - len(silent)} of {len(worst)} rows" if worst else "no such row",
            not silent if records else None,
        )
    )
    for group, aim in AIMS.items():
        values = ratios(records, group=group)
        mean = geometric_mean(values)
        met = mean >= aim if values else None
        found.append(Aim(f"geometric mean, {group}", f"{aim:.2f}", f"{mean:.2f} ({len(values)} rows)", met))
    measured = [r for r in records if r.get("memory")]
    over = [r for r in measured if not within(r)]
    found.append(
        Aim(
            "extra memory of a call",
            "outputs + a padded sample and a panel set per thread",
            f"{len(over)} of {len(measured)} rows over",
            not over if measured else None,
        )
    )
    judged = [r for r in records if r.get("error")]
    compared = [geometric_error(r) for r in judged]
    typical = float(np.median(compared)) if compared else float("nan")
    worse = sum(value > 1 for value in compared)
    found.append(
        Aim(
            "float32 error, cnnref / PyTorch, median over the cases",
            "at most 1.00",
            f"{typical:.3f} ({worse} of {len(compared)} cases above 1)",
            typical <= 1 if compared else None,
        )
    )
    if epoch:
        met = epoch["ratio"] <= epoch["limit"]
        what = "training epoch of MNIST's size, cnnref / eager PyTorch"
        found.append(Aim(what, f"at most {epoch['limit']:.2f}", f"{epoch['ratio']:.2f}", met))
    return found


def within(record: Record) -> bool:
    """Whether the row's memory is within what is allowed."""
    return bool(record["memory"]["peak"] <= record["memory"]["allowed"] + PAGES)


def geometric_error(record: Record) -> float:
    """The median error of cnnref over PyTorch's, the geometric mean over the row's outputs.

    A median of zero (more than half of the elements are exact) counts as `ERROR_FLOOR`, far below any other.
    """
    pairs = zip(record["error"]["cnnref"], record["error"]["pytorch"], strict=True)
    return geometric_mean([max(ours, ERROR_FLOOR) / max(theirs, ERROR_FLOOR) for ours, theirs in pairs])


def unexplained(records: Iterable[Record]) -> list[str]:
    """The names of the rows below 1.0 of which `LIMITS` says nothing."""
    return [r["name"] for r in below(records) if not reason(r["name"])]


def limit(record: Record) -> str:
    """The words on what limits a row, with how far it is from the peaks."""
    words = reason(record["name"]) or "**not looked into**"
    shares = [
        f"{record[key]:.0%} of the {what} peak"
        for key, what in (("of_fma", "FMA"), ("of_copy", "copy"))
        if record.get(key)
    ]
    return "; ".join(filter(None, [words, ", ".join(shares)]))
