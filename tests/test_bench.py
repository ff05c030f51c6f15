"""The benchmark's rows, arithmetic and table. What a call takes decides nothing here."""

import math

import numpy as np
import pytest

from benchmarks import accuracy, chart, cost, growth, limits, passes, summary, table
from benchmarks.inputs import draw
from benchmarks.layers import AIMS, rows
from benchmarks.limits import LIMITS
from benchmarks.measure import FEWEST, Plan, Turn, alternate, geometric_mean, ratio
from benchmarks.peak import Peak
from benchmarks.rounds import WAITED, Rounds
from benchmarks.row import Row
from benchmarks.worker import Worker
from conformance.operations import OPERATIONS

ROWS = rows()


def test_every_function_has_rows_in_both_dtypes_on_both_thread_counts_and_among_the_small_calls():
    wanted = {
        (name, dtype, threads)
        for name in OPERATIONS
        for dtype in ("float32", "float64")
        for threads in (1, 2)
    }
    assert {(r.function, r.dtype, r.threads) for r in ROWS} == wanted
    assert {r.function for r in ROWS if r.small} == {r.function for r in rows(quick=True)} == set(OPERATIONS)


def test_names_are_unique_and_groups_have_aims():
    assert len({r.name for r in ROWS}) == len(ROWS)
    assert {r.group for r in ROWS} == set(AIMS)


def test_no_row_makes_pytorch_corrupt_memory():
    """Float32 1x1 stride 2 with fewer than 16 channels."""
    convolutions = [r.sizes for r in ROWS if r.function.startswith("conv_") and "k" in r.sizes]
    assert not [z for z in convolutions if z["f"] == 1 and z["s"] > 1 and z["c"] < 16]


def test_only_takes_rows_with_every_word():
    chosen = rows("conv_forward vgg-2/ float32")
    assert [r.name for r in chosen] == ["conv_forward/vgg-2/float32/1", "conv_forward/vgg-2/float32/2"]


@pytest.mark.parametrize("row", [r for r in ROWS if r.small and r.threads == 1], ids=lambda r: r.name)
def test_arrays_fit_the_function_and_are_the_same_each_time(row):
    from benchmarks.peers import cnnref_peer

    first, second, third = draw(row), draw(row, 1), draw(row, 2)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    lines = [[lines_before(x) for x in drawn.values()] for drawn in (first, second, third)]
    assert set(lines[0]) == {0}
    assert lines[1] != lines[2]  # each visit has a layout of its own
    assert not [x for drawn in (first, second, third) for x in drawn.values() if x.ctypes.data % 64]
    assert all(x.dtype == row.dtype for x in first.values() if x.dtype.kind == "f")
    got = cnnref_peer.arrays(row, cnnref_peer.prepare(row, first)())
    assert cost.outputs(row) == sum(x.nbytes for x in got if x.ndim) + kept_in_cache(row)


def lines_before(x: np.ndarray) -> int:
    """Cache lines between the start of an array's memory and the array."""
    assert x.base is not None
    return (x.ctypes.data - x.base.ctypes.data) // 64


def kept_in_cache(row: Row) -> int:
    """Bytes of a forward function's cache that are neither inputs nor the output."""
    if row.function == "pool_forward" and row.sizes["mode"] == "max":
        return 2 * 4 * 4 * 3  # a position of one byte for each window
    if row.function == "batch_norm_forward":
        return cost.itemsize(row) * 4 * row.letter("c")  # the statistics
    if row.function == "affine_activation_forward":
        return cost.itemsize(row) * row.letter("m") * row.letter("o")  # Z
    return 0


def test_pytorch_gives_what_cnnref_gives():
    """Both subjects of a ratio compute the same thing, in the same layout."""
    ours, theirs = Worker("cnnref", 1), Worker("pytorch", 1)
    try:
        for row in ROWS:
            if not row.small or row.threads != 1 or row.dtype != "float64":
                continue
            assert ours.prepare(row)
            assert theirs.prepare(row)
            for got, expected in zip(ours.ask("arrays"), theirs.ask("arrays"), strict=True):
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12, err_msg=row.name)
        turn = ours.turn(3)
        assert turn.seconds > 0
        assert turn.waited >= 0
    finally:
        ours.close()
        theirs.close()


def test_worker_reports_an_error_and_goes_on():
    worker = Worker("cnnref", 1)
    try:
        with pytest.raises(RuntimeError, match="AttributeError"):
            worker.prepare(Row("no_such_function", "x", {"m": 1, "h": 2, "w": 2, "c": 1}))
        assert worker.prepare(Row("relu", "x", {"m": 1, "h": 2, "w": 2, "c": 1}))
    finally:
        worker.close()


def test_peers_take_turns_and_no_one_always_goes_first():
    log = []

    def timer(peer, seconds):
        def time(repetitions):
            log.append((peer, repetitions))
            return Turn(seconds)

        return time

    times = alternate(
        {"a": timer("a", 0.001), "b": timer("b", 0.002)}, Plan(rounds=4, block=0.01, budget=1.0)
    )
    assert log == [("a", 1), ("b", 1)] + [("a", 10), ("b", 5), ("b", 5), ("a", 10)] * 2
    assert times == {"a": [Turn(0.001)] * 4, "b": [Turn(0.002)] * 4}


def test_slow_rows_are_measured_in_few_rounds():
    times = alternate({"a": lambda repetitions: Turn(5.0)}, Plan(budget=1.0))
    assert times == {"a": [Turn(5.0)] * FEWEST}


def test_ratio_pairs_the_rounds():
    assert ratio([1, 1, 10, 1, 1], [2, 3, 30, 4, 5]) == (3, 3, 4)
    assert geometric_mean([1, 4]) == pytest.approx(2)
    assert math.isnan(geometric_mean([]))


def rounds_of(*ratios: float, waited: float = 0.0) -> dict[str, list[Turn]]:
    """A visit with a round for each ratio."""
    return {"cnnref": [Turn(1.0)] * len(ratios), "pytorch": [Turn(x, waited) for x in ratios]}


def pooled(*visits: dict[str, list[Turn]]) -> Rounds:
    found = Rounds()
    for visit in visits:
        found.add(visit)
    return found


def test_rounds_of_all_visits_count_those_that_disagree_too():
    found = pooled(rounds_of(2, 2, 2), rounds_of(9, 9, 9, 9))
    assert found.visits == 2
    assert found.ratio() == (9, 2, 9)
    assert found.record()["times"]["pytorch"] == [2, 2, 2, 9, 9, 9, 9]


def test_a_round_is_left_out_for_waiting_alone_and_never_the_last_three():
    found = pooled(rounds_of(5, 5, 1), rounds_of(7, 7, waited=WAITED + 0.01), rounds_of(100, waited=WAITED))
    assert found.left_out() == [False, False, False, True, True, False]
    record = found.record()
    assert record["seconds"] == {"cnnref": 1, "pytorch": 5}
    assert (record["left_out"], record["visits"], len(record["times"]["pytorch"])) == (2, 3, 6)
    never_free = pooled(rounds_of(5, 5), rounds_of(7, 7, waited=1.0))
    assert never_free.seconds("pytorch") == [5, 5, 7, 7]
    assert not pooled(rounds_of(5, 5, 5, waited=1.0)).settled()


@pytest.mark.parametrize(
    ("ratios", "settled"),
    [((2, 2.1, 2.2), True), ((2, 2.2, 3), False), ((0.9, 0.92, 0.95), True), ((0.98, 1.01, 1.02), False)],
)
def test_a_row_is_settled_when_its_quartiles_are_close_and_on_one_side_of_one(ratios, settled):
    assert pooled(rounds_of(*ratios)).settled() is settled


def test_rows_that_disagree_are_visited_first_until_they_agree_and_every_row_some_times():
    narrow, wide, hard = rounds_of(2, 2, 2), rounds_of(1.5, 2, 3), rounds_of(0.5, 1, 2)
    rows = {name: pooled(visit) for name, visit in {"a": narrow, "b": wide, "c": hard}.items()}
    log: list[tuple[str, int]] = []

    def visit(row, to_come):
        log.append((row, to_come))
        rows[row].add({"a": rounds_of(2, 2), "b": rounds_of(2, 2, 2), "c": hard}[row])

    passes.again(rows, visit, lambda: 1.0)
    # "b" agrees after its second visit, "c" never does.
    log_of_c = [("c", 1)] * (passes.MOST - 5)
    assert log == [("b", 2), ("c", 1), ("c", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2), ("c", 1), *log_of_c]
    assert {name: found.visits for name, found in rows.items()} == {"a": 3, "b": 3, "c": passes.MOST}


def test_no_visit_begins_when_the_time_is_up():
    rows = {name: pooled(rounds_of(1, 2, 3)) for name in "abc"}
    time = iter((2.0, 1.0, 0.0))
    log = []
    passes.again(rows, lambda row, to_come: log.append(row), lambda: next(time))
    assert log == ["a", "b"]


def test_costs_of_a_convolution():
    row = Row(
        "conv_forward", "x", {"m": 2, "h": 8, "w": 6, "c": 3, "f": 3, "k": 5, "s": 2, "p": 1}, threads=2
    )
    assert row.extents == (4, 3)
    assert cost.flops(row) == 2 * (2 * 4 * 3 * 5) * 27
    assert cost.outputs(row) == 4 * 2 * 4 * 3 * 5
    # A padded sample of 10x8x3 and the five filters rounded up to a vector of 16, for each of two threads.
    assert cost.allowed_memory(row) == cost.outputs(row) + 2 * 4 * (10 * 8 * 3 + 27 * 16)


def test_copy_peak_is_read_between_the_measured_sizes():
    peak = Peak({("float32", 1): 1e11}, {1: {1024: 100.0, 4096: 25.0}})
    assert peak.copy_at(2048, 1) == pytest.approx(50)
    assert peak.copy_at(1, 1) == 100
    assert peak.copy_at(1e9, 1) == 25
    other = Peak({("float32", 1): 2e11}, {1: {1024: 50.0, 4096: 30.0}})
    assert peak.best(other) == Peak({("float32", 1): 2e11}, {1: {1024: 100.0, 4096: 30.0}})
    row = Row("relu", "x", {"m": 1, "h": 16, "w": 16, "c": 1})
    assert peak.shares(row, 2.0) == {
        "flops": 0,
        "bytes": 1024,
        "of_fma": 0,
        "of_copy": pytest.approx(1024 / 72.5, rel=0.5),
    }


def test_median_error_refuses_other_shapes():
    assert accuracy.median_error(np.array([1.0, 2, 5]), np.array([1.0, 1, 1])) == 1
    with pytest.raises(ValueError, match="differ in shape"):
        accuracy.median_error(np.zeros((2, 1)), np.zeros((1, 2)))


def test_fit_of_a_straight_line_and_of_a_bent_one():
    x = [1.0, 2, 3, 4]
    assert growth.fit(x, [3.0, 5, 7, 9]) == (pytest.approx(2), pytest.approx(1), pytest.approx(1))
    assert growth.fit(x, [1.0, 8, 1, 8])[2] < 0.5


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


def test_every_function_that_rounds_is_held_against_the_truth():
    exact = {r.function for r in ROWS if not accuracy.rounds(r)}
    moves = {"pad3d", "pad3d_backward", "arr2col", "col2arr", "create_mask_from_window", "distribute_value"}
    assert exact == moves | {"relu", "relu_backward", "pool_forward", "pool_backward"}
