"""ELU, SELU, CELU, softplus, Mish: accuracy at both ends, limits, kinks, options."""

import mpmath
import numpy as np
import pytest
from test_activation import ulps
from test_linear_units import points

import cnnref

mpmath.mp.prec = 200
mpf = mpmath.mpf
ALPHA, SCALE = mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")


def gate(z):
    return mpmath.tanh(mpmath.log1p(mpmath.exp(z)))


#: The exact value and the terms of the derivative, the units in the last place that each may be off.
EXACT = {
    "elu": (lambda z: max(z, 0) + mpmath.expm1(min(z, 0)), lambda z: (mpmath.exp(min(z, 0)), 0), 3, 3),
    "selu": (
        lambda z: SCALE * (max(z, 0) + ALPHA * mpmath.expm1(min(z, 0))),
        lambda z: (SCALE if z > 0 else SCALE * ALPHA * mpmath.exp(z), 0),
        3,
        3,
    ),
    "softplus": (
        lambda z: mpmath.log1p(mpmath.exp(z)) if z <= 20 else z,
        lambda z: (1 / (1 + mpmath.exp(-z)) if z <= 20 else mpf(1), 0),
        4,
        3,
    ),
    "mish": (
        lambda z: z * gate(z),
        lambda z: (gate(z), z / (1 + mpmath.exp(-z)) * mpmath.sech(mpmath.log1p(mpmath.exp(z))) ** 2),
        5,
        8,
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_values_and_derivatives_keep_their_digits(name, dtype):
    value, terms, most, most_of_slope = EXACT[name]
    z = points(-85 if dtype == np.float32 else -700, dtype)
    A, cache = getattr(cnnref, name)(z)
    assert cache is z
    truth = [value(mpf(float(v))) for v in z]
    assert ulps(np.abs(A), [abs(t) for t in truth], dtype) <= most
    gradient = getattr(cnnref, f"{name}_backward")(np.ones_like(z), z)
    unit = float(np.finfo(dtype).eps)
    for v, got in zip(z, gradient, strict=True):
        first, second = terms(mpf(float(v)))
        assert abs(mpf(float(got)) - (first + second)) <= most_of_slope * unit * max(
            abs(first), abs(second)
        ), v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_nan_and_the_kink(dtype):
    z = np.array([np.nan, -np.inf, np.inf, 0, -1e30], dtype)
    ones = np.ones_like(z)
    for name, value, slope in (
        ("elu", [np.nan, -1, np.inf, 0, -1], [np.nan, 0, 1, 1, 0]),
        ("celu", [np.nan, -1, np.inf, 0, -1], [np.nan, 0, 1, 1, 0]),
        ("softplus", [np.nan, 0, np.inf, np.log(2), 0], [np.nan, 0, 1, 0.5, 0]),
        ("mish", [np.nan, 0, np.inf, 0, 0], [np.nan, 0, 1, 0.6, 0]),
        ("selu", [np.nan, -SCALE * ALPHA, np.inf, 0, -SCALE * ALPHA], [np.nan, 0, SCALE, SCALE * ALPHA, 0]),
    ):
        A, _ = getattr(cnnref, name)(z)
        near = {"rtol": 2 * np.finfo(dtype).eps, "atol": 0}
        np.testing.assert_allclose(A, np.array(value, dtype), **near)
        dZ = getattr(cnnref, f"{name}_backward")(ones, z)
        np.testing.assert_allclose(dZ, np.array(slope, dtype), **near)
    assert cnnref.elu_backward([1.0], [0.0], 2.0)[0] == 2  # that to the left, as in PyTorch
    assert cnnref.celu_backward([1.0], [0.0], 2.0)[0] == 1


def test_options():
    z = np.array([-2.0, -0.5, 0.5, 4.0])
    below = np.minimum(z, 0)
    np.testing.assert_allclose(cnnref.elu(z, 0.5)[0], np.where(z > 0, z, 0.5 * np.expm1(below)), rtol=1e-15)
    np.testing.assert_allclose(
        cnnref.celu(z, 0.5)[0], np.where(z > 0, z, 0.5 * np.expm1(below * 2)), rtol=1e-15
    )
    smooth = np.log1p(np.exp(2 * z)) / 2
    np.testing.assert_allclose(cnnref.softplus(z, 2)[0], smooth, rtol=1e-15)
    np.testing.assert_array_equal(cnnref.softplus(z, 2, threshold=0.9)[0][2:], z[2:])
    np.testing.assert_array_equal(cnnref.softplus_backward(z, z, 2, 0.9)[2:], z[2:])
    for call in (cnnref.celu, cnnref.softplus):
        with pytest.raises(ValueError, match="must be above 0, got -1"):
            call(z, -1)
    with pytest.raises(ValueError, match="alpha must be finite"):
        cnnref.elu(z, np.inf)
