"""The suite in half precision: right kernels pass, wrong rounding fails and is told, dtypes are declared."""

import subprocess
import sys
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

import cnnref
from conformance.bounds import Arithmetic, Bound
from conformance.bounds.storage import rounded, spacing, stored
from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF
from conformance.diagnosis.script import write
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation, LoadError, load
from conformance.operations import OPERATIONS
from conformance.verdict.compare import compare
from conformance.verdict.judge import Judge, Trial

HALVES = tuple(HALF)


def implementation(**functions):
    """`cnnref` with some functions replaced."""
    every = {name: getattr(cnnref, name) for name in OPERATIONS}
    target = SimpleNamespace(**{**every, **functions})
    return Implementation("it", target, Arithmetic.declared(None, None), options=("*",), dtypes=HALVES)


def single(function, *arguments):
    """``function`` of float32 arrays."""
    return function(*(x.astype(np.float32) if isinstance(x, np.ndarray) else x for x in arguments))


def cut(x, dtype):
    """float32 to half without rounding: bits dropped."""
    if dtype == ml_dtypes.bfloat16:
        return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(dtype)
    with np.errstate(all="ignore"):
        near = x.astype(dtype)
    return np.where(np.abs(near.astype(np.float32)) > np.abs(x), np.nextafter(near, dtype(0)), near)


def truncating(A_prev, W, b):
    return cut(single(cnnref.affine_forward, A_prev, W, b)[0], A_prev.dtype.type), (A_prev, W, b)


def twice(A_prev, W, b):
    products = cnnref.affine_forward(A_prev, W, np.zeros_like(b))[0]
    return (products.astype(np.float32) + b.astype(np.float32)).astype(A_prev.dtype), (A_prev, W, b)


def in_half(A_prev, W, b):
    total = np.broadcast_to(b, (len(A_prev), W.shape[1])).astype(A_prev.dtype)
    for k in range(W.shape[0]):
        exact = total.astype(np.float32) + np.outer(A_prev[:, k].astype(np.float32), W[k].astype(np.float32))
        total = exact.astype(A_prev.dtype)
    return total, (A_prev, W, b)


def half_away(A_prev, W, b):
    """Ties away from zero: the neighbour above where the float32 result lies half-way."""
    wide, dtype = single(cnnref.affine_forward, A_prev, W, b)[0], A_prev.dtype
    with np.errstate(all="ignore"):
        near = wide.astype(dtype).astype(np.float32)
        other = (2 * wide - near).astype(dtype).astype(np.float32)
    tie = (np.abs(wide - near) == np.abs(other - wide)) & (np.abs(other) > np.abs(near)) & np.isfinite(other)
    return np.where(tie, other, near).astype(dtype), (A_prev, W, b)


FAULTS = {
    "half-truncated": truncating, "half-rounded-twice": twice, "sums-in-half": in_half, "ties": half_away,
}  # fmt: skip


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", FAULTS)
def test_wrong_rounding_fails_and_is_named(name, dtype):
    judge = Judge(implementation(affine_forward=FAULTS[name]))
    records = [r for case in generate([OPERATIONS["affine_forward"]], [dtype], 60, 1) for r in judge(case)]
    failed = [r for r in records if r.status == "failed"]
    assert failed
    assert "exact" in {r.tier for r in failed}
    named = [r.diagnosis for r in failed]
    assert set(named) <= {name, "unexplained"}
    assert name == "ties" or named.count(name) > 0.9 * len(named)


@pytest.mark.parametrize("dtype", HALVES)
def test_right_rounding_passes(dtype):
    def mine(A_prev, W, b):
        with np.errstate(all="ignore"):
            return single(cnnref.affine_forward, A_prev, W, b)[0].astype(A_prev.dtype), (A_prev, W, b)

    judge = Judge(implementation(affine_forward=mine))
    records = [r for case in generate([OPERATIONS["affine_forward"]], [dtype], 60, 1) for r in judge(case)]
    assert {r.status for r in records} == {"passed"}
    assert {"exact", "bound", "statistical"} <= {r.tier for r in records}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("op", OPERATIONS)
def test_cnnref_agrees_in_half(op, dtype):
    judge = Judge(implementation())
    records = [r for case in generate([OPERATIONS[op]], [dtype], 6, 5) for r in judge(case)]
    assert {r.status for r in records} == {"passed"}, [r.reason for r in records if r.reason]
    assert any(r.tier != "equal" for r in records) or OPERATIONS[op].bound is None


def test_a_limit_is_that_of_float32_and_half_a_spacing():
    """Each limit against the float32 one of the same arrays, by hand."""
    for dtype, kind in HALF.items():
        case = Case.parse(f"conv_forward:{dtype}:m2h6w7c3_f3k4_s1p1:normal:3")
        trial = Trial(implementation(), case)
        wide = case.replace(dtype="f32")
        expected = trial.expected["Z"]
        theirs = bounds(wide, trial.arrays, trial.expected)["Z"].limit
        mine = trial.limits["Z"].limit
        step = spacing(np.abs(expected) + theirs, np.dtype(kind))
        np.testing.assert_array_equal(mine, theirs + step / 2)
        unit = float(ml_dtypes.finfo(kind).eps) / 2
        assert (mine <= theirs + unit * (np.abs(expected) + theirs) + 1e-45).all()
        assert (mine >= theirs + unit / 2 * np.abs(expected)).all()
        assert rounded(case, "Z")
        assert not rounded(wide, "Z")


@pytest.mark.parametrize("dtype", HALVES)
def test_an_overflow_is_infinite_from_half_a_spacing_beyond_the_largest_number(dtype):
    case = Case.parse(f"affine_forward:{dtype}:m1i2o1:normal:0")
    top = float(ml_dtypes.finfo(HALF[dtype]).max)
    step = float(spacing(np.asarray(top), np.dtype(HALF[dtype])))

    def verdict(expected, got):
        expected, got = np.array([[expected]]), np.array([[got]]).astype(HALF[dtype])
        limit = stored(case, "Z", np.full((1, 1), top * 1e-7), expected)
        return compare(got, expected, Bound("bound", limit, None, None), np.dtype(HALF[dtype])).status

    assert verdict(top + 0.4 * step, top) == verdict(top + 0.6 * step, np.inf) == "passed"
    assert verdict(top + 0.4 * step, np.inf) == verdict(top + 0.6 * step, top) == "failed"
    assert verdict(-2 * top, -np.inf) == "passed"
    assert verdict(-2 * top, np.inf) == verdict(2 * top, top) == "failed"


def test_only_who_declares_a_dtype_is_asked_for_it(tmp_path):
    case = Case.parse("relu:f16:m2h3w4c5:normal:0")
    (record,) = Judge(load("numpy_loops"))(case)
    assert (record.status, record.reason) == ("absent", "not implemented: declares no dtype f16")
    assert load("cnnref").dtypes == load("cnnref.blog").dtypes == ("f32", "f64", "f16", "bf16")
    module = tmp_path / "mine.py"
    module.write_text("dtypes = ('float32', 'float16')\ndef relu(Z): return Z, Z\n")
    assert load(str(module)).dtypes == ("f32", "f16")
    module.write_text("dtypes = ('f8',)\ndef relu(Z): return Z, Z\n")
    with pytest.raises(LoadError, match="dtypes has 'f8', expected some of f32, f64, f16, bf16"):
        load(str(module))


@pytest.mark.parametrize("dtype", HALVES)
def test_the_arrays_are_half_and_hold_its_last_bit(dtype):
    arrays = Trial(implementation(), Case.parse(f"conv_forward:{dtype}:m2h6w7c3_f3k4_s1p1:normal:3")).arrays
    for x in arrays.values():
        assert x.dtype == HALF[dtype]
        assert (x.view(np.uint16) & 1).all()
    wide = Trial(implementation(), Case.parse(f"affine_forward:{dtype}:m3i5o4:wide-x:3")).arrays["A_prev"]
    assert np.abs(wide.astype(float)).max() > 2 ** (ml_dtypes.finfo(HALF[dtype]).nmant)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_script_of_a_failure_runs(dtype, tmp_path):
    module, script = tmp_path / "mine.py", tmp_path / "failure.py"
    for factor, status in (("1.02", 1), ("1", 0)):
        module.write_text(
            "import cnnref\ndtypes = ('f16', 'bf16')\n"
            "def affine_forward(A_prev, W, b):\n"
            "    Z, cache = cnnref.affine_forward(A_prev, W, b)\n"
            f"    return Z * Z.dtype.type({factor}), cache\n"
        )
        trial = Trial(load(str(module)), Case.parse(f"affine_forward:{dtype}:m3i5o4:normal:3"))
        records = trial.records(None)
        assert [r.status for r in records] == ["failed" if status else "passed"]
        script.write_text(write(trial, records, str(module)))
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
