"""PReLU: slopes of channels and of all, the order of their sum, and what reaches it."""

from fractions import Fraction

import numpy as np
import pytest

import cnnref


def exact_sum(dA, Z, axes):
    """The sum of ``dA Z`` where Z is not above 0, in rational numbers, rounded to double at the end."""
    terms = np.where(Z > 0, 0, 1) * np.vectorize(lambda g, z: Fraction(float(g)) * Fraction(float(z)))(dA, Z)
    return np.vectorize(float, otypes=[np.float64])(terms.sum(axes, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 64, 130])  # each way in which they are summed
def test_the_formula_for_slopes_of_channels_and_of_all(dtype, channels):
    rng = np.random.default_rng(channels)
    Z, dA = rng.normal(size=(2, 2, 3, 5, channels)).astype(dtype)
    for extent, axes in ((channels, (0, 1, 2)), (1, (0, 1, 2, 3))):
        slopes = rng.normal(size=(1, 1, 1, extent)).astype(dtype)
        A, cache = cnnref.prelu(Z, slopes)
        assert cache.Z is Z
        assert cache.slopes is slopes
        np.testing.assert_array_equal(A, np.where(Z > 0, Z, slopes * Z))
        dZ, dslopes = cnnref.prelu_backward(dA, cache)
        np.testing.assert_array_equal(dZ, np.where(Z > 0, dA, slopes * dA))
        truth = exact_sum(dA, Z, axes)
        size = np.abs(np.where(Z > 0, 0, dA * Z)).sum(axes, dtype=np.float64, keepdims=True)
        # The sum is in double; float32 rounds it once.
        rounding = np.spacing(np.abs(truth).astype(dtype)).astype(np.float64) / 2
        assert dslopes.shape == slopes.shape
        assert (np.abs(dslopes - truth) <= rounding + 64 * 2.0**-53 * size).all()


def test_the_sum_keeps_what_float32_loses():
    Z = np.full((1, 1, 4, 1), -1, np.float32)
    dA = np.float32([2.0**26, 1, 1, -(2.0**26)]).reshape(Z.shape)
    assert cnnref.prelu_backward(dA, (Z, Z[:, :, :1]))[1].item() == -2


def test_at_zero_and_nan_the_slope_counts_and_above_zero_nothing_reaches_its_gradient():
    Z = np.array([[[[0.0, -0.0, np.nan, np.inf, 1.0, -np.inf]]]])
    slopes = np.full((1, 1, 1, 6), 0.5)
    A, cache = cnnref.prelu(Z, slopes)
    np.testing.assert_array_equal(A, [[[[0, -0.0, np.nan, np.inf, 1, -np.inf]]]])
    dZ, dslopes = cnnref.prelu_backward(np.array([[[[2, 2, 2, 0, np.nan, 2]]]]), cache)
    np.testing.assert_array_equal(dZ, [[[[1, 1, 1, 0, np.nan, 1]]]])
    np.testing.assert_array_equal(dslopes, [[[[0, 0, np.nan, 0, 0, -np.inf]]]])


def test_one_slope_is_that_of_one_channel_of_all_elements():
    rng = np.random.default_rng(0)
    Z, dA = rng.normal(size=(2, 3, 40, 50, 7)).astype(np.float32)
    slope = np.full((1, 1, 1, 1), 0.25, np.float32)
    of_all = cnnref.prelu_backward(dA, (Z, slope))
    flat = cnnref.prelu_backward(dA.reshape(1, 1, -1, 1), (Z.reshape(1, 1, -1, 1), slope))
    np.testing.assert_array_equal(of_all[1], flat[1])
    np.testing.assert_array_equal(of_all[0].ravel(), flat[0].ravel())


@pytest.mark.parametrize("shape", [(3,), (1, 1, 1, 2), (1, 3, 1, 1), (3, 1, 1, 3)])
def test_other_slopes_are_refused(shape):
    Z = np.ones((2, 3, 4, 6))
    with pytest.raises(ValueError, match=r"prelu: slopes must have"):
        cnnref.prelu(Z, np.ones(shape))
    with pytest.raises(ValueError, match=r"prelu_backward: cache.slopes must have"):
        cnnref.prelu_backward(Z, (Z, np.ones(shape)))
    with pytest.raises(ValueError, match=r"dA must have the shape of cache.Z"):
        cnnref.prelu_backward(Z[:1], (Z, np.ones((1, 1, 1, 1))))


def test_slopes_of_channels_first_are_told():
    with pytest.raises(ValueError, match=r"Z looks like NCHW: pass Z.transpose\(0, 2, 3, 1\)"):
        cnnref.prelu(np.ones((2, 3, 4, 6)), np.ones((1, 1, 1, 3)))
