"""The benchmark's table: every row, what the aims say, and what limits the rows below 1.0."""

import csv
import json
import re
from pathlib import Path

from benchmarks import chart, cost, growth, limits, listing, page, summary, table
from benchmarks.layers import AIMS, rows
from benchmarks.limits import LIMITS
from benchmarks.measure import geometric_mean
from benchmarks.peak import Peak
from benchmarks.row import Row

ROWS = rows()
DOCS = Path(__file__).resolve().parents[2] / "docs"


def record(row: Row, median: float, error=(1e-7, 2e-7), peak=100) -> dict:
    return {
        **{
            key: getattr(row, key)
            for key in ("name", "function", "layer", "shape", "group", "dtype", "threads")
        },
        "backward": row.function.endswith("backward"),
        "seconds": {"cnnref": 1e-3, "pytorch": 1e-3 * median},
        "ratio": {"median": median, "lower": median * 0.9, "upper": median * 1.1},
        "waited": [0.0] * 10,
        "left_out": 1,
        "visits": 2,
        "flops": cost.flops(row) / 1e-3,
        "bytes": cost.moved(row) / 1e-3,
        "of_fma": 0.5,
        "of_copy": 0.1,
        "memory": {"peak": peak, "outputs": 50, "allowed": 100},
        "error": {"cnnref": [error[0]], "pytorch": [error[1]]},
    }


def result(records: list[dict]) -> dict:
    line = growth.Line("conv_forward", "batch", "samples", [2.0, 4.0], [0.1, 0.2], 1e9, 0.05, 0.0, 1.0)
    return {
        "machine": {
            "processor": "test",
            "processors": 2,
            "python": "3",
            "others_before": 0.0,
            "others_after": 0.0,
        },
        "versions": {"cnnref": "1", "pytorch": "2"},
        "peak": Peak({("float32", 1): 1e11}, {1: {1024: 1e10}}),
        "rows": records,
        "growth": [line],
        "epoch": {"ratio": 0.8, "limit": 1.2},
        "seconds": 1.0,
    }


def test_the_summary_names_the_lowest_and_the_list_has_every_row(tmp_path):
    records = [record(row, 2.0) for row in ROWS]
    for place, median in zip(range(5, 17), (0.9, *[0.95] * 11), strict=True):
        records[place] = record(ROWS[place], median)
    text = table.write(result(records))
    assert len(text) < 20_000
    assert "## The 10 lowest of the 12 rows below 1.0" in text
    assert f"12 of {len(ROWS)} rows are below 1.0, the lowest at 0.90." in text
    figures = "0.90 | 0.81-0.99, 10 in 2, 1 out"
    assert f"| {ROWS[5].name} | {ROWS[5].shape} | {figures} | {summary.limit(records[5])} |" in text
    assert summary.limit(records[5]).endswith("50% of the FMA peak, 10% of the copy peak")
    assert text.count("50% of the FMA peak") == 10
    assert f"{len(ROWS)} of {10 * len(ROWS)} rounds are left out, in {len(ROWS)} rows." in text

    listed = listing.write(records)
    rows = list(csv.DictReader(listed.splitlines()))
    assert [(r["function"], r["layer"], r["sizes"], r["dtype"], r["threads"]) for r in rows] == [
        (r.function, r.layer, r.shape, r.dtype, str(r.threads)) for r in ROWS
    ]
    assert (rows[5]["PyTorch / cnnref"], rows[5]["what limits it"]) == ("0.90", summary.limit(records[5]))
    assert (rows[4]["PyTorch / cnnref"], rows[4]["what limits it"]) == ("2.00", "")

    shown = page.write(listed)
    (data,) = re.findall(r'<script type="application/json" id="rows-data">(.*?)</script>', shown)
    assert json.loads(data)["rows"] == [list(row.values()) for row in rows]
    chart.groups(records, tmp_path / "bench.svg")
    chart.growth(result(records)["growth"], tmp_path / "growth.svg")
    for name in ("bench.svg", "growth.svg"):
        assert (tmp_path / name).read_text().startswith("<?xml")


def test_the_committed_list_is_what_the_committed_summary_counts():
    rows = list(csv.DictReader((DOCS / "bench-rows.csv").read_text().splitlines()))
    text = (DOCS / "bench.md").read_text()
    below = sum(bool(row["what limits it"]) for row in rows)
    assert f"{below} of {len(rows)} rows are below 1.0" in text
    groups = {row["group"] for row in rows}
    assert groups <= set(AIMS)
    assert len(groups) > 5
    for group in groups:
        mean = geometric_mean([float(r["PyTorch / cnnref"]) for r in rows if r["group"] == group])
        (said,) = re.findall(rf"geometric mean, {group} \| [\d.]+ \| ([\d.]+) ", text)
        assert abs(mean - float(said)) < 0.011, group  # the rows have two decimals


def test_aims_say_what_is_met():
    row = next(r for r in ROWS if r.group == "conv float32")
    met = {
        aim.what: aim.met
        for aim in summary.aims([record(row, 1.4), record(row, 1.7)], {"ratio": 2, "limit": 1.2})
    }
    assert met == {
        "no row below 1.0": True,
        "what limits each row below 1.0": True,
        "geometric mean, conv float32": True,
        "geometric mean, conv float64": None,
        "geometric mean, conv grouped": None,
        "geometric mean, conv transposed": None,
        "geometric mean, pooling and pointwise": None,
        "geometric mean, affine": None,
        "geometric mean, small calls": None,
        "geometric mean, half conv": None,
        "geometric mean, half pooling and pointwise": None,
        "geometric mean, half affine": None,
        "extra memory of a call": True,
        "float32 error, cnnref / PyTorch, median over the cases": True,
        "training epoch of MNIST's size, cnnref / eager PyTorch": False,
    }
    worse = summary.aims([record(row, 0.9, error=(2e-7, 1e-7), peak=100 + summary.PAGES + 1)])
    assert [aim.met for aim in worse if aim.met is not None] == [False] * 5


def test_a_row_below_without_a_reason_is_found(monkeypatch):
    monkeypatch.setattr(limits, "LIMITS", {"relu/": "the reason"})
    known, unknown = (Row(name, "x", {"m": 1, "h": 2, "w": 2, "c": 1}) for name in ("relu", "sigmoid"))
    assert summary.unexplained([record(known, 0.9), record(unknown, 1.1)]) == []
    found = [record(known, 0.9), record(unknown, 0.9)]
    assert summary.unexplained(found) == [unknown.name]
    assert "| the reason; 50% of the FMA peak" in table.write(result(found))
    assert "| **not looked into**; 50% of the FMA peak" in table.write(result(found))
    assert {a.what: a.met for a in summary.aims(found)}["what limits each row below 1.0"] is False


def test_every_text_on_a_limit_belongs_to_a_row():
    halves = [row for row in ROWS if "float16" in row.dtype]
    for texts, those in ((LIMITS, ROWS), (limits.HALF_LIMITS, halves)):
        assert [part for part in texts if not any(row.name.startswith(part) for row in those)] == []
    convolution, relu = (
        next(row for row in halves if row.function == name) for name in ("conv_forward", "relu")
    )
    assert limits.reason(convolution.name) != limits.reason(relu.name) == limits.HALF_LIMITS["relu"]
