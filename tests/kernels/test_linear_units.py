"""Leaky ReLU, tanh, SiLU and GELU: accuracy at both ends, limits, PyTorch's choices, options, any shape."""

import mpmath
import numpy as np
import pytest
from test_activation import ulps

import cnnref

mpmath.mp.prec = 200
mpf = mpmath.mpf
ROOT = mpmath.sqrt(2 / mpmath.pi)


def logistic(w):
    return 1 / (1 + mpmath.exp(-w))


def doubled(z):
    """The argument of the sigmoid that the tanh form of GELU is."""
    return 2 * ROOT * (z + mpf("0.044715") * z**3)


def doubled_slope(z):
    return 2 * ROOT * (1 + 3 * mpf("0.044715") * z**2)


#: The call, its gradient, the exact value, the two terms of the exact derivative, where that is subnormal.
UNITS = {
    "tanh": (cnnref.tanh, cnnref.tanh_backward, mpmath.tanh, lambda z: (mpmath.sech(z) ** 2, 0), (-40, -300)),
    "silu": (
        cnnref.silu,
        cnnref.silu_backward,
        lambda z: z * logistic(z),
        lambda z: (logistic(z), z * logistic(z) * logistic(-z)),
        (-103, -745),
    ),
    "gelu": (
        cnnref.gelu,
        cnnref.gelu_backward,
        lambda z: z * mpmath.ncdf(z),
        lambda z: (mpmath.ncdf(z), z * mpmath.npdf(z)),
        (-14, -38),
    ),
    "gelu-tanh": (
        lambda z: cnnref.gelu(z, "tanh"),
        lambda g, z: cnnref.gelu_backward(g, z, "tanh"),
        lambda z: z * logistic(doubled(z)),
        lambda z: (logistic(doubled(z)), z * doubled_slope(z) * logistic(doubled(z)) * logistic(-doubled(z))),
        (-10, -21),
    ),
}


def points(low, dtype):
    rng = np.random.default_rng(3)
    ends = [rng.normal(size=150) * 2, rng.uniform(low, -low, 150), rng.uniform(low, 0.8 * low, 80)]
    return np.concatenate([*ends, -(10.0 ** rng.uniform(-9, 0, 60))]).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNITS)
def test_values_keep_their_digits_down_to_the_subnormal_numbers(name, dtype):
    call, _, exact, _, ends = UNITS[name]
    z = points(ends[dtype == np.float64], dtype)
    A, cache = call(z)
    assert cache is z
    assert A.dtype == dtype
    truth = [exact(mpf(float(v))) for v in z]
    size, of = np.abs(A), [abs(t) for t in truth]
    assert (np.signbit(A) == np.array([t < 0 for t in truth])).all()
    assert ulps(size, of, dtype) < {"tanh": 2, "silu": 4}.get(name, 6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNITS)
def test_derivatives_lose_nothing_but_what_their_terms_cancel(name, dtype):
    _, gradient, _, terms, ends = UNITS[name]
    z = np.concatenate([points(ends[dtype == np.float64], dtype), np.linspace(-1.4, -0.6, 60, dtype=dtype)])
    dZ = gradient(np.ones_like(z), z)
    u, w = float(np.finfo(dtype).eps) / 2, float(np.finfo(dtype).smallest_subnormal)
    for v, got in zip(z, dZ, strict=True):
        first, second = terms(mpf(float(v)))
        assert abs(mpf(float(got)) - (first + second)) <= 10 * u * max(abs(first), abs(second)) + w, v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_nan_and_zeros(dtype):
    z = np.array([-np.inf, np.inf, np.nan, -0.0, 0.0, -1e30, 1e30], dtype)
    ones = np.ones_like(z)
    for name in ("silu", "gelu", "gelu-tanh"):
        call, gradient, *_ = UNITS[name]
        np.testing.assert_array_equal(call(z)[0], np.array([0, np.inf, np.nan, 0, 0, 0, 1e30], dtype))
        np.testing.assert_array_equal(gradient(ones, z), [0, 1, np.nan, 0.5, 0.5, 0, 1])
        assert np.signbit(call(z)[0])[[0, 3, 5]].all()
    np.testing.assert_array_equal(cnnref.tanh(z)[0], [-1, 1, np.nan, 0, 0, -1, 1])
    assert np.signbit(cnnref.tanh(z)[0])[3]
    np.testing.assert_array_equal(cnnref.tanh_backward(ones, z), [0, 0, np.nan, 1, 1, 0, 0])


def test_leaky_relu_by_hand():
    z = np.array([-2.0, -0.0, 0.0, 3.0, np.nan, np.inf, -np.inf])
    A, cache = cnnref.leaky_relu(z)
    assert cache is z
    np.testing.assert_array_equal(A, [-0.02, 0, 0, 3, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(cnnref.leaky_relu(z, negative_slope=0.25)[0][:1], [-0.5])
    dZ = cnnref.leaky_relu_backward(np.full(7, 4.0), z, 0.25)
    np.testing.assert_array_equal(dZ, [1, 1, 1, 4, 1, 4, 1])  # at 0 and for NaN the slope, as in PyTorch


def test_gelu_by_hand():
    assert cnnref.gelu(np.float64([1.0]))[0][0] == pytest.approx(0.8413447460685429, rel=1e-15)
    assert cnnref.gelu(np.float64([1.0]), "tanh")[0][0] == pytest.approx(0.8411919906082768, rel=1e-15)
    assert cnnref.silu(np.float64([1.0]))[0][0] == pytest.approx(0.7310585786300049, rel=1e-15)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3), (2, 0, 5), (3, 4, 5, 17)])
@pytest.mark.parametrize("name", UNITS)
def test_any_shape(name, shape):
    call, gradient, *_ = UNITS[name]
    z = np.random.default_rng(0).normal(size=shape)
    assert call(z)[0].shape == gradient(z, z).shape == shape


def test_bad_options_are_named():
    z = np.ones(3)
    for call in (lambda *a: cnnref.gelu(z, *a), lambda *a: cnnref.gelu_backward(z, z, *a)):
        with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', got 'erf'"):
            call("erf")
        with pytest.raises(TypeError, match="approximate must be 'none' or 'tanh', got bool"):
            call(True)
    for call in (lambda *a: cnnref.leaky_relu(z, *a), lambda *a: cnnref.leaky_relu_backward(z, z, *a)):
        with pytest.raises(TypeError, match="negative_slope must be a number, got str"):
            call("0.1")
        with pytest.raises(ValueError, match="negative_slope must be finite, got nan"):
            call(np.nan)
    with pytest.raises(ValueError, match="tanh_backward: dA must have the shape of cache"):
        cnnref.tanh_backward(z, np.ones(4))
