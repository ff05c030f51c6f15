"""The average of finite values is finite, for windows and for whole images, where their sum is not."""

import ml_dtypes
import numpy as np
import pytest

import cnnref

DTYPES = [np.float32, np.float64, ml_dtypes.bfloat16, np.float16]
WINDOWS = [
    {"f": 2, "stride": 2},
    {"f": 2, "stride": 1},
    {"f": 3, "stride": 2},
    {"f": 3, "stride": 1, "pad": 1},
    {"f": 3, "stride": 1, "pad": 1, "count_include_pad": False},
    {"f": (2, 3), "stride": (1, 2), "pad": 1, "count_include_pad": False},
    {"f": 3, "stride": 2, "pad": 1, "ceil_mode": True},
    {"f": 5, "stride": 3, "pad": "same"},
    {"f": 17, "stride": 1},
]


def images(dtype, channels, seed=0):
    """Values up to the largest, of both signs, and a corner of the largest alone."""
    rng = np.random.default_rng(seed)
    largest = ml_dtypes.finfo(dtype).max
    x = (rng.uniform(0.5, 1, (2, 19, 21, channels)) * float(largest)).astype(dtype)
    x[0, :, 10:] *= dtype(-1)
    x[1, :9, :9] = largest
    return x


def scaled(x):
    """The same values, so small that no sum overflows: exact, as powers of two are."""
    return np.ldexp(x.astype(np.float64), -20)


@pytest.mark.parametrize("hyper", WINDOWS, ids=str)
@pytest.mark.parametrize("channels", [1, 3, 8, 20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_average_pool(dtype, channels, hyper):
    x = images(dtype, channels)
    A = cnnref.pool_forward(x, hyper, mode="average")[0]
    assert A.dtype == dtype
    assert np.isfinite(A.astype(np.float64)).all()
    truth = np.ldexp(cnnref.pool_forward(scaled(x), hyper, mode="average")[0], 20)
    largest, u = float(ml_dtypes.finfo(dtype).max), float(ml_dtypes.finfo(dtype).eps) / 2
    # The sum's own roundings, in float32 for halves, and that of the result; at a quarter, without overflow.
    limit = (17 * 17 if hyper["f"] == 17 else 25) * min(u, 2.0**-24) * (largest / 4) + u * np.abs(truth / 4)
    assert (np.abs(A.astype(np.float64) / 4 - truth / 4) <= limit).all()


@pytest.mark.parametrize("channels", [1, 3, 20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_global_average_pool(dtype, channels):
    x = images(dtype, channels)
    x[0, ::2] *= dtype(-1)  # some accumulators reach inf, others -inf
    A = cnnref.global_average_pool_forward(x)[0]
    truth = np.ldexp(cnnref.global_average_pool_forward(scaled(x))[0], 20)
    u = float(ml_dtypes.finfo(dtype).eps) / 2
    atol = 1e-12 * float(ml_dtypes.finfo(dtype).max)
    np.testing.assert_allclose(A.astype(np.float64), truth, rtol=u * 1.01 + 1e-12, atol=atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinities_and_nan_of_the_image_stay(dtype):
    x = images(dtype, 9)
    x[0, 3, 3], x[0, 3, 4], x[1, 12, 12] = np.inf, -np.inf, np.nan
    x[1, 2, 2, 0] = -np.inf
    for hyper in WINDOWS[:7]:
        A = cnnref.pool_forward(x, hyper, mode="average")[0]
        plain = np.where(np.isfinite(x), x * 2.0**-20, x)
        truth = cnnref.pool_forward(plain, hyper, mode="average")[0]
        np.testing.assert_array_equal(np.isnan(A), np.isnan(truth))
        np.testing.assert_array_equal(np.isinf(A), np.isinf(truth))
        np.testing.assert_array_equal(np.sign(A[np.isinf(A)]), np.sign(truth[np.isinf(truth)]))
    A = cnnref.global_average_pool_forward(x[:1])[0]
    assert np.isnan(A).all()
    A = cnnref.global_average_pool_forward(x[1:, :9, :9])[0].ravel()
    assert A[0] == -np.inf
    assert np.isfinite(A[1:]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_the_largest_number_is_itself(dtype):
    """No rounding takes it beyond; float64's own may take it some units below."""
    largest = np.finfo(dtype).max
    least = largest * dtype(1 - (1e-13 if dtype == np.float64 else 0))
    for n in (2, 3, 5, 7, 11):
        for x in (np.full((1, n, n, 2), largest, dtype), np.full((1, n, n, 2), -largest, dtype)):
            pooled = cnnref.pool_forward(x, {"f": n, "stride": 1}, mode="average")[0]
            for mean in (pooled, cnnref.global_average_pool_forward(x)[0]):
                assert ((np.abs(mean) >= least) & (np.abs(mean) <= largest)).all()
                assert (np.sign(mean) == np.sign(x[0, 0, 0, 0])).all()
