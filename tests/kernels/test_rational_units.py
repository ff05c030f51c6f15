"""ReLU6, hard tanh, hard sigmoid, hard swish, softsign: accuracy, ends, limits, options."""

from fractions import Fraction

import numpy as np
import pytest

import cnnref

#: The exact value and derivative, the units in the last place that each may be off.
EXACT = {
    "hardsigmoid": (lambda z: (z + 3) / 6, lambda z: Fraction(1, 6), 1, 1),
    "hardswish": (lambda z: z * (z + 3) / 6, lambda z: (z + Fraction(3, 2)) / 3, 2, 2),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2, 1, 3),
}


def off(got, exact):
    """The largest error in units in the last place of the exact value."""
    near = np.array([float(value) for value in exact], got.dtype)
    units = [Fraction(float(unit)) for unit in np.spacing(np.abs(near))]
    return max(abs(Fraction(float(g)) - e) / u for g, e, u in zip(got, exact, units, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_digits_are_kept_where_terms_cancel(name, dtype):
    rng = np.random.default_rng(4)
    near = [
        -3 + 10.0 ** rng.uniform(-6, 0, 60),
        -1.5 + rng.normal(size=60) * 1e-4,
        rng.uniform(-2.99, 2.99, 200),
    ]
    z = np.concatenate(near).astype(dtype)
    value, slope, most, most_of_slope = EXACT[name]
    points = [Fraction(float(x)) for x in z]
    assert off(getattr(cnnref, name)(z)[0], [value(x) for x in points]) <= most
    gradient = getattr(cnnref, f"{name}_backward")(np.ones_like(z), z)
    assert off(gradient, [slope(x) for x in points]) <= most_of_slope


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "values", "slopes"),
    [
        ("relu6", [np.nan, 0, 6, 0, 0, 3, 6], [0, 0, 0, 0, 0, 1, 0]),
        ("hardtanh", [np.nan, -1, 1, -1, 0, 1, 1], [0, 0, 0, 0, 1, 0, 0]),
        ("hardsigmoid", [np.nan, 0, 1, 0, 0.5, 1, 1], [0, 0, 0, 0, 1 / 6, 0, 0]),
        ("hardswish", [np.nan, 0, np.inf, 0, 0, 3, 6], [np.nan, 0, 1, 0, 0.5, 1, 1]),
        ("softsign", [np.nan, -1, 1, -0.75, 0, 0.75, 6 / 7], [np.nan, 0, 0, 1 / 16, 1, 1 / 16, 1 / 49]),
    ],
)
def test_nan_limits_and_ends(name, values, slopes, dtype):
    z = np.array([np.nan, -np.inf, np.inf, -3, -0.0, 3, 6], dtype)
    A, cache = getattr(cnnref, name)(z)
    assert cache is z
    np.testing.assert_array_equal(A, np.array(values, dtype))
    gradient = getattr(cnnref, f"{name}_backward")(np.ones_like(z), z)
    np.testing.assert_allclose(gradient, np.array(slopes, dtype), rtol=np.finfo(dtype).eps, atol=0)


def test_large_numbers_lose_nothing():
    z = np.float32([3e38, -3e38, 1e9])
    np.testing.assert_array_equal(cnnref.relu6(z)[0], [6, 0, 6])
    np.testing.assert_array_equal(cnnref.hardswish(z)[0], np.float32([3e38, 0, 1e9]))
    np.testing.assert_array_equal(cnnref.softsign(z)[0], [1, -1, 1])
    assert cnnref.softsign_backward(np.float32([1e37]), np.float32([1e19]))[0] == pytest.approx(0.1, rel=1e-6)


def test_ends_are_taken_by_name_and_position_and_checked():
    z = np.linspace(-4, 4, 9)
    np.testing.assert_array_equal(cnnref.hardtanh(z, -2, max_val=3)[0], np.clip(z, -2, 3))
    np.testing.assert_array_equal(cnnref.hardtanh_backward(z, z, -2, 3), np.where((z > -2) & (z < 3), z, 0))
    np.testing.assert_array_equal(cnnref.hardtanh(z, 1, 1)[0], np.ones(9))
    for call in (lambda *a: cnnref.hardtanh(z, *a), lambda *a: cnnref.hardtanh_backward(z, z, *a)):
        with pytest.raises(ValueError, match=r"min_val must be at most max_val, got 2\.0 and 1\.0"):
            call(2)
        with pytest.raises(TypeError, match="max_val must be a number, got str"):
            call(0, "1")
