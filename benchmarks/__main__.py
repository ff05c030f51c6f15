"""Measure the rows and write bench.{json,md,svg,html} and bench-rows.csv: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import (
    accuracy,
    against,
    chart,
    cost,
    growth,
    listing,
    machine,
    network,
    page,
    passes,
    peak,
    summary,
    table,
)
from benchmarks.layers import rows
from benchmarks.measure import QUICK, Plan, alternate
from benchmarks.peers import PEERS
from benchmarks.rounds import Rounds
from benchmarks.row import Row
from benchmarks.table import RATIO
from benchmarks.worker import Worker

#: By what each side is held to an instruction set.
_ISAS = {
    "avx2": {
        "CNNREF_ISA": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}

#: Large blocks go back to the system when they are freed, so that a peak is that of one call.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "2"}

#: The first pass is kept to this share of the time where the fewest rounds of every row take less.
FIRST_PASS = 0.5


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
            if peer in RATIO:
                raise
            print(f"{row.name}: {PEERS[peer]} left out: {error}", file=sys.stderr)
            if isinstance(error, EOFError):
                self.missing[peer] = "its process ended"
            return None

    def close(self) -> None:
        """End all processes."""
        for worker in self.started.values():
            worker.close()


@dataclass
class Measured:
    """A row with what has been found of it so far."""

    row: Row
    rounds: Rounds = field(default_factory=Rounds)
    found: dict[str, Any] = field(default_factory=dict)

    def first(self, pool: Pool, plan: Plan) -> None:
        """The first visit: the rounds, and everything that does not depend on the machine's mood."""
        row = self.row
        peers = list(PEERS) if row.peers else list(RATIO)
        workers = {peer: worker for peer in peers if (worker := pool.prepared(peer, row)) is not None}
        self.rounds.add(alternate({peer: workers[peer].turn for peer in RATIO}, plan))
        others = {peer: worker.turn for peer, worker in workers.items() if peer not in RATIO}
        if others:
            times = alternate(others, plan)
            self.found["others"] = {peer: [turn.seconds for turn in turns] for peer, turns in times.items()}
        if not row.small and sys.platform == "linux":
            apart = pool.get("cnnref", row.threads, memory=True)
            apart.prepare(row)
            self.found["memory"] = {
                "peak": apart.ask("peak"),
                "outputs": cost.outputs(row),
                "allowed": cost.allowed_memory(row),
            }
        if row.threads == 2:  # the bits of cnnref are those of one thread
            self.found["error"] = accuracy.errors(row, workers)

    def again(self, pool: Pool, plan: Plan) -> None:
        """One more visit, for the ratio, on arrays elsewhere."""
        workers = {peer: pool.get(peer, self.row.threads) for peer in RATIO}
        for worker in workers.values():
            worker.prepare(self.row, self.rounds.visits)
        self.rounds.add(alternate({peer: worker.turn for peer, worker in workers.items()}, plan))

    def record(self, peaks: peak.Peak) -> dict[str, Any]:
        """What bench.json says of the row."""
        row, found = self.row, dict(self.found)
        pooled, others = self.rounds.record(), found.pop("others", {})
        pooled["seconds"] |= {peer: float(np.median(times)) for peer, times in others.items()}
        pooled["times"] |= others
        return {
            "name": row.name,
            "function": row.function,
            "layer": row.layer,
            "shape": row.shape,
            "group": row.group,
            "dtype": row.dtype,
            "threads": row.threads,
            "backward": row.function.endswith("backward"),
            **pooled,
            **peaks.shares(row, pooled["seconds"]["cnnref"]),
            **found,
        }


def measure(wanted: list[Row], plan: Plan, minutes: float, whole: bool) -> dict[str, Any]:
    """Measure the peaks and all rows in about so many minutes; if `whole`, the growth and the epoch too."""
    began = time.perf_counter()

    def left(share: float = 1.0) -> float:
        return 60 * minutes * share - (time.perf_counter() - began)

    others = machine.busy_elsewhere()
    pool, peaks = Pool(), peak.measure()
    measured = {row.name: Measured(row) for row in wanted}

    def show(one: Measured) -> None:
        seconds = {peer: np.median(one.rounds.seconds(peer)) for peer in RATIO}
        median, lower, upper = one.rounds.ratio()
        print(
            f"[{one.rounds.visits} {time.perf_counter() - began:4.0f} s] {one.row.name:55}"
            f" {table.duration(seconds['cnnref']):>8} {table.duration(seconds['pytorch']):>8}"
            f"  {median:5.2f} ({lower:.2f}-{upper:.2f})",
            flush=True,
        )

    def first(one: Measured, to_come: int) -> None:
        # About half of a row's time goes into its arrays, its memory and its accuracy.
        one.first(pool, replace(plan, budget=min(plan.budget, left(FIRST_PASS) / to_come / 2)))
        show(one)

    def again(name: str, to_come: int) -> None:
        one = measured[name]
        one.again(pool, replace(plan, budget=min(plan.budget, left() / to_come)))
        show(one)

    for number, one in enumerate(measured.values()):
        first(one, len(measured) - number)
    passes.again({name: one.rounds for name, one in measured.items()}, again, left)
    lines = growth.measure(pool.get("cnnref", 1), plan) if whole else []
    networks = network.measure(plan) if whole else []
    versions = {peer: worker.version for (peer, _, _), worker in pool.started.items()}
    pool.close()
    peaks = peaks.best(peak.measure())
    epoch = machine.epoch() if whole else None
    return {
        "machine": machine.describe() | {"others_before": others, "others_after": machine.busy_elsewhere()},
        "versions": versions,
        "peak": peaks,
        "rows": [one.record(peaks) for one in measured.values()],
        "growth": lines,
        "networks": networks,
        "epoch": epoch,
        "seconds": time.perf_counter() - began,
    }


def write(result: dict[str, Any], out: Path) -> None:
    """Write the files."""
    out.mkdir(parents=True, exist_ok=True)
    peaks = {
        "fma": {f"{dtype} {threads}": rate for (dtype, threads), rate in result["peak"].fma.items()},
        "copy": result["peak"].copy,
    }
    plain = result | {"peak": peaks, "growth": [asdict(line) for line in result["growth"]]}
    (out / "bench.json").write_text(json.dumps(plain, indent=1))
    (out / "bench.md").write_text(table.write(result))
    listed = listing.write(result["rows"])
    (out / "bench-rows.csv").write_text(listed)
    (out / "bench.html").write_text(page.write(listed))
    chart.groups(result["rows"], out / "bench.svg")
    chart.growth(result["growth"], out / "growth.svg")


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
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="time for the rows, at most (each is measured once)"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="TREE",
        help="measure cnnref beside that of another checkout of the project, and not beside PyTorch",
    )
    parser.add_argument(
        "--isa",
        choices=tuple(_ISAS),
        help="hold both sides to this one; the table says so",
    )
    parser.add_argument("--list", action="store_true", help="name the rows and leave")
    options = parser.parse_args()
    wanted = rows(options.only, options.quick)
    if not wanted:
        parser.error(f"--only {options.only!r}: no row has these words in its name")
    if options.list:
        print("\n".join(f"{row.name:60} {row.shape}" for row in wanted))
        return 0
    if options.isa is not None:
        os.environ |= _ISAS[options.isa]
    if options.against is not None:
        if not (options.against / "cnnref").is_dir():
            parser.error(f"--against {options.against}: no checkout of the project")
        return against.compare(wanted, options.against.resolve(), options.minutes)
    plan = QUICK if options.quick else Plan()
    whole = not (options.quick or options.only)
    result = measure(wanted, plan, 1.5 if options.quick else options.minutes, whole)
    result["machine"]["held_to"] = options.isa
    write(result, options.out)
    for name in summary.unexplained(result["rows"]):
        print(f"{name}: below 1.0, and benchmarks/limits.py does not say why", file=sys.stderr)
    print(f"{options.out / 'bench.md'}: {len(wanted)} rows in {result['seconds']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
