"""The benchmark's table: every row, what the aims say, and what limits the rows below 1.0."""

from benchmarks import chart, cost, growth, limits, summary, table
from benchmarks.layers import rows
from benchmarks.limits import LIMITS
from benchmarks.peak import Peak
from benchmarks.row import Row

ROWS = rows()


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


def test_table_has_every_row_and_names_those_below(tmp_path):
    records = [record(row, 2.0) for row in ROWS]
    records[5] = record(ROWS[5], 0.9)
    text = table.write(result(records))
    for row in ROWS:
        assert f"| {row.function} | {row.layer} | {row.shape} | {row.dtype} {row.threads} T |" in text
    shares = "50% of the FMA peak, 10% of the copy peak |"
    assert f"| {ROWS[5].name} | {ROWS[5].shape} | 0.90 | 0.81-0.99 | 10 in 2, 1 out | " in text
    assert f" | 10 in 2, 1 out | {summary.limit(records[5])} |" in text
    assert f"{len(ROWS)} of {10 * len(ROWS)} rounds are left out, in {len(ROWS)} rows." in text
    assert summary.limit(records[5]).endswith(shares[:-2])
    assert text.count("| **0.90** |") == 1
    chart.write(result(records), tmp_path / "bench.svg")
    assert (tmp_path / "bench.svg").read_text().startswith("<?xml")


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
    assert [part for part in LIMITS if not any(row.name.startswith(part) for row in ROWS)] == []
