"""bench.md: what was aimed at and what came, then every row."""

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


def size(count: float) -> str:
    """A number of bytes."""
    return f"{count / 2**20:.2f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def grid(head: list[str], body: Iterable[list[str]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in body]


def write(result: dict[str, Any]) -> str:
    """The text of bench.md."""
    records = result["rows"]
    lines = ["# cnnref beside its peers", "", *_conditions(result), "", "## Aims", ""]
    words = {True: "met", False: "**not met**", None: "-"}
    lines += grid(
        ["what", "aim", "figure", ""],
        ([a.what, a.aim, a.figure, words[a.met]] for a in summary.aims(records, result.get("epoch"))),
    )
    lines += ["", *_by_threads(records), "", *_peers(records), "", *_below(records), "", *_growth(result)]
    for group in AIMS:
        of_group = [r for r in records if r["group"] == group]
        if of_group:
            lines += ["", f"## Rows: {group}", "", *_rows(of_group)]
    return "\n".join([*lines, "", *_memory(records), "", *_errors(records), ""])


def _conditions(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    versions = ", ".join(f"{PEERS[peer]} {version}" for peer, version in result["versions"].items())
    before, after = machine["others_before"], machine["others_after"]
    lines = [
        f"{machine['processor']}, {machine['processors']} processors; {versions};"
        f" Python {machine['python']}. {len(result['rows'])} rows in {result['seconds']:.0f} s."
        f" Other processes took {before:.2f} processors before the run and {after:.2f} after it.",
        "",
        METHOD,
        "",
        _left_out(result["rows"]),
    ]
    peaks = ", ".join(
        f"{dtype} {threads} T {rate / 1e9:.0f} GFLOP/s"
        for (dtype, threads), rate in sorted(result["peak"].fma.items())
    )
    copies = ", ".join(
        f"{threads} T {max(rates.values()) / 1e9:.0f} (in cache) to {min(rates.values()) / 1e9:.0f} GB/s"
        for threads, rates in sorted(result["peak"].copy.items())
    )
    return [*lines, "", f"Measured peaks: {peaks or 'no C compiler'}; copy {copies or '-'}."]


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


def _peers(records: list[Record]) -> list[str]:
    others = [peer for peer in PEERS if peer != "cnnref"]
    shown = [r for r in records if len(r["seconds"]) > 2]
    body = []
    for r in shown:
        ours = r["seconds"]["cnnref"]
        cells = [f"{r['seconds'][peer] / ours:.2f}" if peer in r["seconds"] else "-" for peer in others]
        body.append([r["name"], duration(ours), *cells])
    head = ["row", "cnnref", *(f"{PEERS[peer]} / cnnref" for peer in others)]
    return ["## Other peers", "", "Ratios of the median times.", "", *grid(head, body)]


def _below(records: list[Record]) -> list[str]:
    body = [
        [r["name"], r["shape"], f"{r['ratio']['median']:.2f}", spread(r), rounds(r), summary.limit(r)]
        for r in summary.below(records)
    ]
    lines = ["## Rows below 1.0, and what limits them", ""]
    return lines + (
        grid(["row", "sizes", "ratio", "quartiles", "rounds", "limit"], body) if body else ["None."]
    )


def spread(record: Record) -> str:
    """The quartiles of the ratio."""
    return f"{record['ratio']['lower']:.2f}-{record['ratio']['upper']:.2f}"


def rounds(record: Record) -> str:
    """How often the row was measured."""
    out = f", {record['left_out']} out" if record["left_out"] else ""
    return f"{len(record['waited'])} in {record['visits']}{out}"


def _rows(records: list[Record]) -> list[str]:
    body = []
    for r in records:
        by_flops = r["flops"] and r["group"] != "small calls"
        rate = f"{r['flops'] / 1e9:.1f} GFLOP/s" if by_flops else f"{r['bytes'] / 1e9:.2f} GB/s"
        mark = "**" if r["ratio"]["median"] < 1 else ""
        body.append(
            [
                r["function"],
                r["layer"],
                r["shape"],
                f"{r['dtype']} {r['threads']} T",
                duration(r["seconds"]["cnnref"]),
                duration(r["seconds"]["pytorch"]),
                f"{mark}{r['ratio']['median']:.2f}{mark}",
                spread(r),
                rounds(r),
                rate,
                f"{r['of_fma']:.0%}" if r.get("of_fma") else "-",
                f"{r['of_copy']:.0%}" if r.get("of_copy") else "-",
            ]
        )
    head = [
        "function",
        "layer",
        "sizes",
        "",
        "cnnref",
        "PyTorch",
        "ratio",
        "quartiles",
        "rounds",
        "rate",
        "of FMA",
        "of copy",
    ]
    return grid(head, body)


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


def _memory(records: list[Record]) -> list[str]:
    body = [
        [
            r["name"],
            size(r["memory"]["peak"]),
            size(r["memory"]["outputs"]),
            size(r["memory"]["allowed"]),
            "within" if summary.within(r) else "**over**",
        ]
        for r in records
        if r.get("memory")
    ]
    text = "Growth of the resident memory at its highest during one cnnref call, in a process of its own."
    return ["## Extra memory of a call", "", text, "", *grid(["row", "peak", "outputs", "allowed", ""], body)]


def _errors(records: list[Record]) -> list[str]:
    body = []
    for r in records:
        if r.get("error"):
            cells = [", ".join(f"{e:.2g}" for e in r["error"][peer]) for peer in ("cnnref", "pytorch")]
            body.append([r["function"], r["layer"], r["shape"], *cells, f"{summary.geometric_error(r):.2f}"])
    text = "Median \\|error\\| against PyTorch in float64 on the same float32 values, for each output."
    return [
        "## Float32 error",
        "",
        text,
        "",
        *grid(["function", "layer", "sizes", "cnnref", "PyTorch", "ratio"], body),
    ]
