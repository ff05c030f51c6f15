"""The benchmark's rows, their arrays and their costs. What a call takes decides nothing here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, cost, growth
from benchmarks.inputs import draw
from benchmarks.layers import AIMS, rows
from benchmarks.peak import Peak
from benchmarks.row import Row
from benchmarks.worker import Worker
from conformance.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
ROWS = rows()


def test_every_function_has_rows_in_both_dtypes_on_both_thread_counts_and_among_the_small_calls():
    wanted = {
        (name, dtype, threads)
        for name in OPERATIONS
        for dtype in ("float32", "float64")
        for threads in (1, 2)
    }
    assert {(r.function, r.dtype, r.threads) for r in ROWS if "float16" not in r.dtype} == wanted
    halves = [r for r in ROWS if "float16" in r.dtype]
    assert {(r.dtype, r.threads) for r in halves} == {(d, t) for d in ("float16", "bfloat16") for t in (1, 2)}
    assert {"relu", "softmax", "conv_forward", "conv_backward", "affine_forward", "pool_forward"} <= {
        r.function for r in halves
    }
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
    if row.function in ("layer_norm_forward", "rms_norm_forward"):
        return 8 * 2 * 2 * 8 * 8  # two float64 for each pixel
    if row.function == "affine_activation_forward":
        return cost.itemsize(row) * row.letter("m") * row.letter("o")  # Z
    if row.function == "softmax_cross_entropy":
        return cost.itemsize(row) * row.letter("m") * row.letter("n")  # the probabilities
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
                # PyTorch's float64 gradient of the hard sigmoid takes 1/6 from float32.
                near = 1e-7 if row.function == "hardsigmoid_backward" else 1e-9
                np.testing.assert_allclose(got, expected, rtol=near, atol=1e-12, err_msg=row.name)
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


def test_every_function_that_rounds_is_held_against_the_truth():
    exact = {r.function for r in ROWS if not accuracy.rounds(r)}
    chooses = {name for name, entry in OPERATIONS.items() if entry.bound is None}
    assert exact == chooses | {"distribute_value", "pool_forward", "pool_backward"}


def test_another_build_is_loaded_from_its_own_tree(tmp_path):
    """``--against`` measures the cnnref of that tree, with this tree's rows."""
    package = tmp_path / "cnnref"
    package.mkdir()
    (package / "__init__.py").write_text(
        "def set_num_threads(n): pass\n"
        "def show_config(mode): return {'cnnref': 'of another tree', 'instruction_set': 'none'}\n"
    )
    worker = Worker("cnnref", 1, tree=tmp_path)
    try:
        assert worker.version == "of another tree (none)"
    finally:
        worker.close()


def test_the_time_of_a_sweep_is_divided_by_parts():
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.sweep", "1"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for part in ("oracle", "oracle, for bounds", "bounds", "comparing", "implementation"):
        line = next(line for line in found.stdout.splitlines() if line.startswith(f"{part:<20}"))
        assert float(line.split()[-5]) > 0, line
