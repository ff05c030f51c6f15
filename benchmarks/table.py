"""bench.md: a screen that a person reads, then how it was measured; the rows are in bench-rows.csv."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks import growth, summary
from benchmarks.layers import AIMS
from benchmarks.measure import geometric_mean
from benchmarks.passes import AGREED, MOST
from benchmarks.peers import PEERS
from benchmarks.rounds import WAITED, WIDE

Record = dict[str, Any]

#: The peers of the ratio, measured on every row.
RATIO = ("cnnref", "pytorch")

#: Rows that are shown.
_WORST = 10

#: Threads, and whether backward.
_WAYS = ((1, False), (1, True), (2, False), (2, True))

METHOD = f"""\
Ratio: PyTorch time / cnnref time, the median over paired rounds with its quartiles; the peers take turns,
each in a process of its own; a turn starts when the last one's threads sleep. After all rows have been
visited once, those whose quartiles are more than {WIDE - 1:.0%} apart or hold 1.0 are visited again, at most
{MOST} times, and all others up to {AGREED} times, while the time lasts; the rounds of all visits are pooled.
Arrays are new in each visit and start at another cache line of a page. A round in which one of the two peers
waited for a processor, or the hypervisor had one, for more than {WAITED:.0%} of a turn is left out, whatever
its times: "10 in 2, 1 out" are ten rounds in two visits, one of them left out.
PyTorch: channels_last, `aten` calls in inference mode, the filters of float32
forward convolutions in oneDNN's blocked layout before the clock starts (small calls: `conv2d`). GFLOP/s count
the formula's operations (padding included); GB/s each input and output once. The FMA peak comes from
`benchmarks/peak.c` (independent chains of vector multiply-adds), the copy peak from memcpy of as many bytes
as the row moves; both are measured before the rows and after them, and the better counts."""


def duration(seconds: float) -> str:
    """A time with the unit that fits it, three digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def grid(head: list[str], body: Iterable[list[str]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in body]


def write(result: dict[str, Any]) -> str:
    """The text of bench.md."""
    records = result["rows"]
    words = {True: "met", False: "**not met**", None: "-"}
    aims = grid(
        ["what", "aim", "figure", ""],
        ([a.what, a.aim, a.figure, words[a.met]] for a in summary.aims(records, result.get("epoch"))),
    )
    parts = [
        ["# cnnref beside its peers", "", _machine(result)],
        ["![Every row by group, above 1 cnnref is faster](bench.svg)", "", _every(records)],
        _by_threads(records),
        _worst(records),
        ["## Aims", "", *aims],
        _peers(records),
        _networks(result),
        _growth(result),
        _measuring(result),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{PEERS[peer]} {version}" for peer, version in result["versions"].items())
    held = f", both held to {machine['held_to'].upper()}" if machine.get("held_to") else ""
    return (
        f"{machine['processor']}, {machine['processors']} processors{held}; {versions};"
        f" Python {machine['python']}. {len(result['rows'])} rows in {result['seconds']:.0f} s."
    )


def _every(records: list[Record]) -> str:
    lowest = min(summary.ratios(records), default=float("nan"))
    return (
        "PyTorch's time over cnnref's, a point a row, the bar their geometric mean."
        f" {len(summary.below(records))} of {len(records)} rows are below 1.0, the lowest at {lowest:.2f}."
        " Every row, with times, quartiles, memory, errors and what limits it, is in"
        " [bench-rows.csv](bench-rows.csv); [a page filters them](measured.md)."
    )


def _measuring(result: dict[str, Any]) -> list[str]:
    machine, peak = result["machine"], result["peak"]
    peaks = ", ".join(
        f"{dtype} {threads} T {rate / 1e9:.0f} GFLOP/s" for (dtype, threads), rate in sorted(peak.fma.items())
    )
    copies = ", ".join(
        f"{threads} T {max(rates.values()) / 1e9:.0f} (in cache) to {min(rates.values()) / 1e9:.0f} GB/s"
        for threads, rates in sorted(peak.copy.items())
    )
    return [
        "## How it is measured",
        "",
        METHOD,
        "",
        f"{_left_out(result['rows'])} Other processes took {machine['others_before']:.2f} processors before"
        f" the run and {machine['others_after']:.2f} after it.",
        "",
        f"Measured peaks: {peaks or 'no C compiler'}; copy {copies or '-'}.",
    ]


def _left_out(records: list[Record]) -> str:
    rounds, out = sum(len(r["waited"]) for r in records), sum(r["left_out"] for r in records)
    return f"{out} of {rounds} rounds are left out, in {sum(r['left_out'] > 0 for r in records)} rows."


def _by_threads(records: list[Record]) -> list[str]:
    body = []
    for group in AIMS:
        cells = [group]
        for threads in sorted({r["threads"] for r in records}):
            for way in (False, True):
                some = [r for r in records if r["threads"] == threads and r["backward"] == way]
                values = summary.ratios(some, group=group)
                cells.append(f"{geometric_mean(values):.2f}" if values else "-")
        body.append(cells)
    head = [
        f"{way}, {t} T" for t in sorted({r["threads"] for r in records}) for way in ("forward", "backward")
    ]
    return ["## Geometric means", "", *grid(["PyTorch / cnnref", *head], body)]


def _worst(records: list[Record]) -> list[str]:
    worst = summary.below(records)
    body = [
        [r["name"], r["shape"], f"{r['ratio']['median']:.2f}", f"{spread(r)}, {rounds(r)}", summary.limit(r)]
        for r in worst[:_WORST]
    ]
    lines = [f"## The {len(body)} lowest of the {len(worst)} rows below 1.0, and what limits them", ""]
    if not worst:
        return ["## Rows below 1.0", "", "None."]
    return lines + grid(["row", "sizes", "ratio", "quartiles, rounds", "limit"], body)


def spread(record: Record) -> str:
    """The quartiles of the ratio."""
    return f"{record['ratio']['lower']:.2f}-{record['ratio']['upper']:.2f}"


def rounds(record: Record) -> str:
    """How often the row was measured."""
    out = f", {record['left_out']} out" if record["left_out"] else ""
    return f"{len(record['waited'])} in {record['visits']}{out}"


def _peers(records: list[Record]) -> list[str]:
    body = []
    for peer in PEERS:
        shown = [r for r in records if peer in r["seconds"] and len(r["seconds"]) > len(RATIO)]
        if shown and peer != "cnnref":
            body.append([PEERS[peer], *(_mean_of(shown, peer, threads, way) for threads, way in _WAYS)])
    head = ["their time / cnnref's", *(f"{'backward' if way else 'forward'}, {t} T" for t, way in _WAYS)]
    lines = ["## Other peers", ""]
    if not body:
        return [*lines, "Not measured in this run."]
    text = "On the rows that others are measured on: geometric means of the ratios of median times (rows)."
    return [*lines, text, "", *grid(head, body)]


def _mean_of(records: list[Record], peer: str, threads: int, backward: bool) -> str:
    ratios = [
        r["seconds"][peer] / r["seconds"]["cnnref"]
        for r in records
        if r["threads"] == threads and r["backward"] == backward
    ]
    return f"{geometric_mean(ratios):.2f} ({len(ratios)})" if ratios else "-"


def _networks(result: dict[str, Any]) -> list[str]:
    body = [
        [
            r["name"],
            duration(r["seconds"]["cnnref"]),
            duration(r["seconds"]["pytorch"]),
            f"{r['ratio']['median']:.2f}",
        ]
        for r in result.get("networks", [])
    ]
    text = (
        "Forward and backward of one batch of 4 images of 224x224, in training, chains of the public"
        " functions; PyTorch eager, with autograd. `python -m benchmarks.network --profile` profiles."
    )
    head = ["network", "cnnref", "PyTorch", "ratio"]
    return [
        "## Whole networks",
        "",
        *([text, "", *grid(head, body)] if body else ["Not measured in this run."]),
    ]


def _growth(result: dict[str, Any]) -> list[str]:
    body = [
        [
            line.function,
            line.label,
            f"{line.x[0]:g} to {line.x[-1]:g}",
            f"{duration(line.seconds[0])} to {duration(line.seconds[-1])}",
            f"{line.rate / 1e9:.1f} {'GFLOP/s' if growth.counts_products(line.function) else 'GB/s'}",
            f"{line.r_squared:.4f}",
        ]
        for line in result["growth"]
    ]
    head = ["function", "grows", "from", "time", "rate along the line", "R^2"]
    text = (
        "cnnref, float32, one thread, one extent growing at a time from 8x28x28x64 (64 filters of 3x3,"
        " windows of 2x2), affine from 64x512x256; a straight line fitted to the times."
    )
    return (
        ["## Growth", "", text, "", *grid(head, body)]
        if body
        else ["## Growth", "", "Not measured in this run."]
    )
