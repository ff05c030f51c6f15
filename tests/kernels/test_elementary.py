"""exp and log against NumPy's (float32) and mpmath's exact values (float64), at every edge."""

import mpmath
import numpy as np
import pytest

from cnnref._dispatch import available

mpmath.mp.prec = 160


@pytest.fixture(scope="module", params=available())
def elementary(request):
    from importlib import import_module

    return import_module(f"cnnref._{request.param}.elementary")


def ulps(got, x, exact):
    """The largest error, in units of the last place of the exact value."""
    worst = 0.0
    for value, argument in zip(got, x, strict=True):
        truth = exact(mpmath.mpf(float(argument)))
        if truth != 0:
            unit = mpmath.mpf(2) ** max(int(mpmath.floor(mpmath.log(abs(truth), 2))) - 52, -1074)
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - truth) / unit))
    return worst


def floats(step, offset):
    """Every `step`-th of all 2^32 bit patterns as float32."""
    return np.arange(offset, 1 << 32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("name", ["exp", "exp_nonpositive"])
def test_exp_of_float32(elementary, name):
    x = floats(4099, 77)
    x = np.concatenate([x, np.random.default_rng(0).uniform(-105, 90, 400_000).astype(np.float32)])
    x = x[(x <= 0) | np.isnan(x)] if name == "exp_nonpositive" else x
    with np.errstate(all="ignore"):
        got = getattr(elementary, name)(x)
        exact = np.exp(x.astype(np.float64))
        rounded = exact.astype(np.float32)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(got), np.isnan(x))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded))
    finite = np.isfinite(rounded)
    assert finite.sum() > 500_000
    unit = np.maximum(np.spacing(rounded[finite]).astype(np.float64), 2.0**-149)
    assert np.max(np.abs(got[finite] - exact[finite]) / unit) < 0.99


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-40, 40), (-708, 709), (-745, -708)])
def test_exp_of_float64(elementary, low, high):
    x = np.random.default_rng(1).uniform(low, high, 3000)
    assert ulps(elementary.exp(x), x, mpmath.exp) < 1.09
    x = -np.abs(x)
    np.testing.assert_array_equal(elementary.exp(x), elementary.exp_nonpositive(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_have_the_bits_of_numbers(elementary, dtype):
    """Where one of them may be subnormal, too, and the others of its group are not."""
    rng = np.random.default_rng(4)
    end = 110 if dtype == np.float32 else 760
    rising = np.sort(rng.uniform(-end, end, 6400))
    x = np.concatenate([rising, rng.normal(size=6400), np.zeros(64)]).astype(dtype)
    x[6400:12800:640] = 0.95 * end
    x[12800:12807] = [np.inf, -np.inf, np.nan, -0.0, 0.97 * end, -0.97 * end, 1e30]
    np.testing.assert_array_equal(elementary.exp_lanes(x), elementary.exp(x))
    size = np.abs(x)
    np.testing.assert_array_equal(elementary.exp_minus(size), elementary.exp_nonpositive(-size))


def test_edges_of_exp(elementary):
    x = np.array([np.inf, -np.inf, 0.0, -0.0, 709.7827128933841, 1e300, -745.1332191019411, -745.2])
    expected = [np.inf, 0, 1, 1, np.inf, np.inf, 5e-324, 0]
    np.testing.assert_array_equal(elementary.exp(x), expected)
    assert np.isfinite(elementary.exp(np.array([709.782712893384])))
    x = np.array([88.72283, 88.72284, -103.97207, -103.97209, -np.inf], np.float32)
    np.testing.assert_array_equal(np.isinf(elementary.exp(x)), [False, True, False, False, False])
    np.testing.assert_array_equal(elementary.exp(x)[2:] > 0, [True, False, False])


def test_log(elementary):
    rng = np.random.default_rng(2)
    for x in (
        np.exp(rng.uniform(-745, 709, 3000)),
        rng.uniform(0.5, 2, 3000),
        1 + rng.normal(size=3000) * 1e-5,
        rng.integers(1, 1000, 300) * 5e-324,
    ):
        assert ulps(elementary.log(x), x, mpmath.log) < 0.53
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            elementary.log(np.array([0.0, -0.0, -1.0, np.nan, np.inf, -np.inf, 1.0])),
            [-np.inf, -np.inf, np.nan, np.nan, np.inf, np.nan, 0],
        )
