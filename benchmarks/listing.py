"""bench-rows.csv: every measured row, for programs, spreadsheets and the page that filters them."""

from __future__ import annotations

import csv
import io
from typing import Any

from benchmarks import summary
from benchmarks.peers import PEERS

Record = dict[str, Any]


def write(records: list[Record]) -> str:
    """The rows as CSV; a cell is empty where nothing was measured."""
    out = io.StringIO()
    rows = [_row(record) for record in records]
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["function"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(r: Record) -> dict[str, Any]:
    memory, error = r.get("memory") or {}, r.get("error") or {}
    return {
        "function": r["function"],
        "layer": r["layer"],
        "sizes": r["shape"],
        "group": r["group"],
        "dtype": r["dtype"],
        "threads": r["threads"],
        "PyTorch / cnnref": f"{r['ratio']['median']:.2f}",
        "lower quartile": f"{r['ratio']['lower']:.2f}",
        "upper quartile": f"{r['ratio']['upper']:.2f}",
        "visits": r["visits"],
        "rounds": len(r["waited"]),
        "left out": r["left_out"],
        **{f"{PEERS[peer]} us": _microseconds(r["seconds"].get(peer)) for peer in PEERS},
        "GFLOP/s": f"{r['flops'] / 1e9:.1f}" if r["flops"] else "",
        "GB/s": f"{r['bytes'] / 1e9:.2f}" if r["bytes"] else "",
        "of FMA peak": f"{r['of_fma']:.2f}" if r.get("of_fma") else "",
        "of copy peak": f"{r['of_copy']:.2f}" if r.get("of_copy") else "",
        "extra memory": memory.get("peak", ""),
        "memory allowed": memory.get("allowed", ""),
        "cnnref errors": _errors(error.get("cnnref")),
        "PyTorch errors": _errors(error.get("pytorch")),
        "what limits it": summary.limit(r) if r["ratio"]["median"] < 1 else "",
    }


def _microseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:.4g}"


def _errors(medians: list[float] | None) -> str:
    return " ".join(f"{error:.2g}" for error in medians or ())
