"""Measure the rows and write bench.json, bench.md and bench.svg: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import accuracy, chart, cost, growth, machine, peak, summary, table
from benchmarks.layers import rows
from benchmarks.measure import QUICK, Plan, alternate, ratio
from benchmarks.peers import PEERS
from benchmarks.row import Row
from benchmarks.worker import Worker

#: Large blocks go back to the system when they are freed, so that a peak is that of one call.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "2"}


class Pool:
    """The workers, started when first asked for."""

    def __init__(self) -> None:
        self.started: dict[tuple[str, int, bool], Worker] = {}
        self.missing: dict[str, str] = {}

    def get(self, peer: str, threads: int, memory: bool = False) -> Worker:
        """The worker of a peer; `memory`: one apart, for peaks."""
        key = (peer, threads, memory)
        if key not in self.started:
            self.started[key] = Worker(peer, threads, _MALLOC if memory else None)
        return self.started[key]

    def prepared(self, peer: str, row: Row) -> Worker | None:
        """The worker with the row ready; None if the peer is not installed or has no such call."""
        if peer in self.missing:
            return None
        try:
            worker = self.get(peer, row.threads)
        except (EOFError, RuntimeError) as error:
            self.missing[peer] = str(error) or "does not start"
            print(f"{PEERS[peer]}: not measured ({self.missing[peer]})", file=sys.stderr)
            return None
        try:
            return worker if worker.prepare(row) else None
        except (EOFError, RuntimeError) as error:
            if peer in ("cnnref", "pytorch"):
                raise
            print(f"{row.name}: {PEERS[peer]} left out: {error}", file=sys.stderr)
            if isinstance(error, EOFError):
                self.missing[peer] = "its process ended"
            return None

    def close(self) -> None:
        """End all processes."""
        for worker in self.started.values():
            worker.close()


def measure_row(row: Row, pool: Pool, plan: Plan, peaks: peak.Peak) -> dict[str, Any]:
    """Everything about one row."""
    peers = list(PEERS) if row.peers else ["cnnref", "pytorch"]
    workers = {peer: worker for peer in peers if (worker := pool.prepared(peer, row)) is not None}
    two = {peer: workers[peer].seconds for peer in ("cnnref", "pytorch")}
    times = alternate(two, plan)
    others = {peer: worker.seconds for peer, worker in workers.items() if peer not in two}
    if others:
        times |= alternate(others, replace(plan, rounds=5))
    seconds = {peer: float(np.median(of_peer)) for peer, of_peer in times.items()}
    median, lower, upper = ratio(times["cnnref"], times["pytorch"])
    record: dict[str, Any] = {
        "name": row.name,
        "function": row.function,
        "layer": row.layer,
        "shape": row.shape,
        "group": row.group,
        "dtype": row.dtype,
        "threads": row.threads,
        "backward": row.function.endswith("backward"),
        "seconds": seconds,
        "ratio": {"median": median, "lower": lower, "upper": upper},
        "times": times,
        **peaks.shares(row, seconds["cnnref"]),
    }
    if not row.small and sys.platform == "linux":
        apart = pool.get("cnnref", row.threads, memory=True)
        apart.prepare(row)
        record["memory"] = {
            "peak": apart.ask("peak"),
            "outputs": cost.outputs(row),
            "allowed": cost.allowed_memory(row),
        }
    if row.threads == 2:  # the bits of cnnref are those of one thread
        record["error"] = accuracy.errors(row, workers)
    return record


def measure(wanted: list[Row], plan: Plan, minutes: float, whole: bool) -> dict[str, Any]:
    """Measure the peaks and all rows in about so many minutes; if `whole`, the growth and the epoch too."""
    began = time.perf_counter()
    others = machine.busy_elsewhere()
    pool, records = Pool(), []
    peaks = peak.measure()
    for number, row in enumerate(wanted, start=1):
        left = (60 * minutes - (time.perf_counter() - began)) / (len(wanted) - number + 1)
        # About half of a row's time goes into its arrays, its memory and its accuracy.
        record = measure_row(row, pool, replace(plan, budget=max(0.0, min(plan.budget, left / 2))), peaks)
        records.append(record)
        print(
            f"[{number}/{len(wanted)} {time.perf_counter() - began:4.0f} s] {row.name:55}"
            f" {table.duration(record['seconds']['cnnref']):>8}"
            f" {table.duration(record['seconds']['pytorch']):>8}"
            f"  {record['ratio']['median']:5.2f} ({table.spread(record)})",
            flush=True,
        )
    lines = growth.measure(pool.get("cnnref", 1), plan) if whole else []
    versions = {peer: worker.version for (peer, _, _), worker in pool.started.items()}
    pool.close()
    epoch = machine.epoch() if whole else None
    return {
        "machine": machine.describe() | {"others_before": others, "others_after": machine.busy_elsewhere()},
        "versions": versions,
        "peak": peaks,
        "rows": records,
        "growth": lines,
        "epoch": epoch,
        "seconds": time.perf_counter() - began,
    }


def write(result: dict[str, Any], out: Path) -> None:
    """Write the three files."""
    out.mkdir(parents=True, exist_ok=True)
    peaks = {
        "fma": {f"{dtype} {threads}": rate for (dtype, threads), rate in result["peak"].fma.items()},
        "copy": result["peak"].copy,
    }
    plain = result | {"peak": peaks, "growth": [asdict(line) for line in result["growth"]]}
    (out / "bench.json").write_text(json.dumps(plain, indent=1))
    (out / "bench.md").write_text(table.write(result))
    chart.write(result, out / "bench.svg")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="some rows of each group on two threads, no growth"
    )
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="rows whose name has all these words, e.g. 'conv vgg'"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder of the results")
    parser.add_argument("--minutes", type=float, default=10.0, help="the time for the rows of a full run")
    parser.add_argument("--list", action="store_true", help="name the rows and leave")
    options = parser.parse_args()
    wanted = rows(options.only, options.quick)
    if not wanted:
        parser.error(f"--only {options.only!r}: no row has these words in its name")
    if options.list:
        print("\n".join(f"{row.name:60} {row.shape}" for row in wanted))
        return 0
    plan = QUICK if options.quick else Plan()
    whole = not (options.quick or options.only)
    result = measure(wanted, plan, 1.5 if options.quick else options.minutes, whole)
    write(result, options.out)
    for name in summary.unexplained(result["rows"]):
        print(f"{name}: below 1.0, and benchmarks/limits.py does not say why", file=sys.stderr)
    print(f"{options.out / 'bench.md'}: {len(wanted)} rows in {result['seconds']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
