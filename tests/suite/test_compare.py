"""The verdict: each way an output can be wrong is failed for that reason, and nothing else is."""

import numpy as np
import pytest

from conformance.bounds import Bound
from conformance.bounds.storage import spacing
from conformance.verdict.compare import compare

F32 = np.dtype(np.float32)
INF, NAN = np.inf, np.nan


def bound(limit=0.0, tier="bound", statistical=None):
    return Bound(tier, np.asarray(limit, np.float64), statistical, 1.0)


def arrays(got, expected):
    return np.array(got, np.float32), np.array(expected, np.float64)


def test_equal_arrays_pass_with_nothing_to_report():
    verdict = compare(*arrays([1, 2, 3], [1, 2, 3]), bound(), F32)
    assert (verdict.status, verdict.max_error_ulp, verdict.max_bound_fraction) == ("passed", 0.0, 0.0)


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        (np.zeros((1, 3), np.float32), r"shape is (1, 3), expected (3,)"),
        (np.zeros(3, np.float64), "dtype is float64, expected float32"),
        ([0.0, 0.0, 0.0], "is a list, expected a NumPy array"),
        (None, "is a NoneType, expected a NumPy array"),
    ],
)
def test_form_is_compared_before_values(got, reason):
    verdict = compare(got, np.zeros(3), bound(), F32)
    assert (verdict.status, verdict.reason) == ("failed", reason)


def test_python_float_is_asked_for_where_the_contract_has_one():
    assert compare(1.5, np.array(1.5), bound(), None).status == "passed"
    verdict = compare(np.float32(1.5), np.array(1.5), bound(), None)
    assert verdict.reason == "is a numpy.float32, expected a Python float"
    verdict = compare(np.array(1.5), np.array(1.5), bound(), None)
    assert verdict.reason == "is a numpy.ndarray, expected a Python float"


def test_error_is_measured_against_the_limit_of_its_own_element():
    verdict = compare(*arrays([1.5, 100], [1, 100]), bound([0.25, 1000]), F32)
    assert (verdict.status, verdict.index, verdict.max_bound_fraction) == ("failed", (0,), 2.0)
    assert (verdict.expected, verdict.got) == (1.0, 1.5)
    assert compare(*arrays([1.5, 100], [1, 100]), bound([0.5, 0]), F32).status == "passed"


@pytest.mark.parametrize(
    ("got", "expected", "passes"),
    [
        (NAN, NAN, True),
        (NAN, 1.0, False),
        (1.0, NAN, False),
        (INF, INF, True),
        (-INF, INF, False),
        (INF, 1.0, False),
        (1.0, INF, False),
        (NAN, INF, False),
        (INF, 1e39, True),  # beyond float32
        (INF, -1e39, False),
        (-0.0, 0.0, True),
    ],
)
def test_nan_and_infinities_stand_where_the_oracle_has_them(got, expected, passes):
    verdict = compare(*arrays([0, got], [0, expected]), bound(0.5), F32)
    assert verdict.status == ("passed" if passes else "failed"), verdict.reason
    if not passes:
        assert verdict.index == (1,)


@pytest.mark.parametrize("tier", ["equal", "exact"])
def test_one_ulp_fails_where_nothing_is_rounded(tier):
    verdict = compare(*arrays([np.nextafter(np.float32(1), np.float32(2))], [1]), bound(0, tier), F32)
    assert (verdict.status, verdict.max_error_ulp) == ("failed", 1.0)
    assert "1 of 1 elements differ" in verdict.reason


def test_statistical_limit_alone_is_only_a_suspicion():
    suspect = compare(*arrays([1.2], [1]), bound(1.0, "statistical", np.array([0.1])), F32)
    assert (suspect.status, suspect.suspect) == ("failed", True)
    certain = compare(*arrays([3.0], [1]), bound(1.0, "statistical", np.array([0.1])), F32)
    assert (certain.status, certain.suspect) == ("failed", False)


def test_nothing_to_compare_passes_by_its_form():
    assert compare(np.zeros((0, 3), np.float32), np.zeros((0, 3)), bound(), F32).status == "passed"
    assert compare(np.zeros((3, 0), np.float32), np.zeros((0, 3)), bound(), F32).status == "failed"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spacing_is_numpys_down_to_the_smallest_normal(dtype):
    values = np.array([1.0, 1.5, 2.0, 3e30, 1e-30, -7.25], dtype)
    assert np.array_equal(spacing(values.astype(np.float64), np.dtype(dtype)), np.abs(np.spacing(values)))
    smallest = np.finfo(dtype).smallest_subnormal
    assert spacing(np.zeros(1), np.dtype(dtype))[0] == smallest


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_pass_over_the_elements_finds_what_numpy_finds(dtype, order):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shape = tuple(rng.integers(1, 6, 3))
        expected = rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 10, shape)
        limit = np.abs(expected) * 2.0 ** rng.integers(-12, -4, shape)
        limit[rng.random(shape) < 0.1] = 0.0
        got = np.asarray(expected + limit * rng.integers(-3, 3, shape) / 2, dtype, order=order)
        error = np.abs(got.astype(np.float64) - expected)
        with np.errstate(all="ignore"):
            share = np.where(error == 0, 0.0, error / limit)
        worst = tuple(map(int, np.unravel_index(share.argmax(), shape)))
        verdict = compare(got, expected, bound(limit), np.dtype(dtype))
        assert (verdict.index, verdict.max_bound_fraction) == (worst, share.max())
        assert verdict.max_error_ulp == (error / spacing(expected, np.dtype(dtype))).max()
        assert (verdict.expected, verdict.got) == (expected[worst], got[worst])
        if share.max() > 1:
            assert verdict.reason.startswith(f"{(error > limit).sum()} of {error.size} elements exceed")
