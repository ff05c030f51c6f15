"""Batch normalization of values of every size, against exact arithmetic: more than float32 holds."""

import ml_dtypes
import mpmath
import numpy as np
import pytest

import cnnref

WIDE = np.float64
#: Unit roundoff and smallest number of what a result is rounded to.
FORMATS = {
    np.dtype(np.float32): (2.0**-24, 2.0**-149),
    np.dtype(np.float64): (2.0**-53, 2.0**-1074),
    np.dtype(np.float16): (2.0**-11, 2.0**-24),
    np.dtype(ml_dtypes.bfloat16): (2.0**-8, 2.0**-133),
}
SHAPE = (3, 2, 4, 2)


def drawn(dtype, scale, offset=0.0, gamma=1.0, upstream=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.uniform(-1, 1, SHAPE) + offset) * scale
    g = rng.uniform(-1, 1, SHAPE) * upstream
    return x.astype(dtype), g.astype(dtype), np.asarray([[[[gamma, -gamma / 2]]]], dtype)


def exact(x, g, gamma, epsilon, statistics=None):
    """(A less beta, dA_prev, dgamma, dbeta) of a channel, and what the roundings of each are relative to."""
    mpmath.mp.prec = 400
    x, g = ([mpmath.mpf(float(v)) for v in values.ravel()] for values in (x, g))
    gamma, n = mpmath.mpf(float(gamma)), len(x)
    mean = mpmath.fsum(x) / n if statistics is None else mpmath.mpf(float(statistics[0]))
    variance = mpmath.fsum((v - mean) ** 2 for v in x) / n
    if statistics is not None:
        variance = mpmath.mpf(float(statistics[1]))
    r = 1 / mpmath.sqrt(variance + mpmath.mpf(epsilon))
    normal = [(v - mean) * r for v in x]
    dgamma, dbeta = mpmath.fsum(a * b for a, b in zip(g, normal, strict=True)), mpmath.fsum(g)
    b, k = (dbeta / n, dgamma / n) if statistics is None else (0, 0)
    # What the double sums are off by is relative to these: the means of values that cancel.
    double = [n * mpmath.mpf(2) ** -52 * (abs(v) + abs(mean)) * r for v in x]
    loss = mpmath.fsum(abs(a) * d for a, d in zip(g, double, strict=True))
    wide = [gamma * v for v in normal], [gamma * r * (a - b - v * k) for a, v in zip(g, normal, strict=True)]
    sizes = (
        [(abs(gamma * v), abs(gamma) * d) for v, d in zip(normal, double, strict=True)],
        [
            (
                abs(gamma) * r * (abs(a) + abs(b) + abs(v * k)),
                abs(gamma) * r * (d * abs(k) + loss / n * (1 + abs(v))),
            )
            for a, v, d in zip(g, normal, double, strict=True)
        ],
        [(abs(dgamma), loss)],
        [(abs(dbeta), n * mpmath.mpf(2) ** -52 * mpmath.fsum(abs(a) for a in g))],
    )
    return (*wide, [dgamma], [dbeta]), sizes


def held(got, wanted, sizes, dtype, times, largest):
    """Every value within `times` roundings of the dtype, and what double sums are off by."""
    u, w = FORMATS[np.dtype(dtype)]
    half = np.dtype(dtype).itemsize == 2
    inner = 2.0**-24 if half else u
    for value, truth, (size, loss) in zip(np.asarray(got, WIDE).ravel(), wanted, sizes, strict=True):
        limit = times * inner * size + loss * 4 + w + (u * abs(truth) if half else 0)
        if abs(truth) + limit > largest:
            assert not np.isfinite(value) or abs(value - truth) <= limit
        else:
            assert np.isfinite(value), (value, truth)
            assert abs(mpmath.mpf(float(value)) - truth) <= limit, (value, truth, limit)


def check(x, g, gamma, epsilon, training=True, running=(None, None)):
    zero = np.zeros_like(gamma)
    hyper = {"training": training, "epsilon": epsilon}
    A, cache = cnnref.batch_norm_forward(x, gamma, zero, *running, hyper)
    gradients = cnnref.batch_norm_backward(g, cache)
    assert {out.dtype for out in (A, *gradients)} == {x.dtype}
    assert cache.mean.dtype == cache.variance.dtype == WIDE
    largest = float(ml_dtypes.finfo(x.dtype).max)
    for c in range(SHAPE[3]):
        statistics = None if training else (running[0][..., c].item(), running[1][..., c].item())
        wanted, sizes = exact(x[..., c], g[..., c], gamma[..., c].item(), epsilon, statistics)
        for got, truth, size, times in zip((A, *gradients), wanted, sizes, (6, 8, 1.01, 1.01), strict=True):
            held(got[..., c], truth, size, x.dtype, times, largest)


SINGLE = (np.float32, ml_dtypes.bfloat16)


@pytest.mark.parametrize("dtype", SINGLE)
@pytest.mark.parametrize("scale", [1e18, 1e19, 3e19, 1e25, 1e33, 3e38])
@pytest.mark.parametrize("epsilon", [0, 1e-5])
def test_large_values_have_their_gradients(dtype, scale, epsilon):
    x, g, gamma = drawn(dtype, scale)
    check(x, g, gamma, epsilon)


@pytest.mark.parametrize("dtype", SINGLE)
@pytest.mark.parametrize("scale", [1e-18, 1e-22, 1e-30, 1e-37, 1e-39, 1e-43])
@pytest.mark.parametrize("gamma", [1, 1e-20, 1e-35])
def test_tiny_values_without_epsilon(dtype, scale, gamma):
    if dtype is not np.float32 and scale < 1e-39:
        scale = 1e-39  # its smallest numbers are larger
    x, g, gamma = drawn(dtype, scale, gamma=gamma)
    check(x, g, gamma, 0)


@pytest.mark.parametrize("dtype", SINGLE)
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
@pytest.mark.parametrize("gamma", [1e-30, 1e-3, 1e30])
@pytest.mark.parametrize("upstream", [1e-36, 1e-20, 1e20, 1e36])
def test_scale_and_upstream_gradient_of_any_size(dtype, scale, gamma, upstream):
    x, g, gamma = drawn(dtype, scale, gamma=gamma, upstream=upstream)
    check(x, g, gamma, 0)


@pytest.mark.parametrize("offset", [1e2, 1e4, 1e5, 3e6])
@pytest.mark.parametrize("scale", [1.0, 1e19, 1e-25])
def test_a_mean_of_many_deviations(offset, scale):
    x, g, gamma = drawn(np.float32, scale, offset)
    check(x, g, gamma, 0)


@pytest.mark.parametrize("scale", [1, 100, 6e4, 1e-3, 1e-6])
def test_float16(scale):
    x, g, gamma = drawn(np.float16, scale)
    check(x, g, gamma, 0)


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_float64(scale):
    x, g, gamma = drawn(np.float64, scale)
    check(x, g, gamma, 0)


@pytest.mark.parametrize("variance", [1e-38, 1e-44, 1.0, 3e38])
@pytest.mark.parametrize("gamma", [1e-30, 1.0, 1e15])
def test_inference_with_a_variance_of_any_size(variance, gamma):
    x, g, gamma = drawn(np.float32, np.sqrt(variance), gamma=gamma, upstream=1e-3)
    running = np.full((1, 1, 1, 2), np.sqrt(variance) / 3, "f"), np.full((1, 1, 1, 2), variance, "f")
    check(x, g, gamma, 0, False, running)


def test_channels_do_not_meddle():
    """A huge channel beside ordinary ones leaves these their bits, with any number of threads."""
    rng = np.random.default_rng(3)
    x, g = rng.normal(size=(2, 6, 31, 33, 9)).astype(np.float32)
    gamma = rng.normal(size=(1, 1, 1, 9)).astype(np.float32)
    hyper = {"training": True}
    other = x.copy()
    other[..., 4] *= np.float32(1e25)
    results = []
    for image in (x, other):
        A, cache = cnnref.batch_norm_forward(image, gamma, gamma, None, None, hyper)
        results.append((A, *cnnref.batch_norm_backward(g, cache)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(np.delete(a, 4, 3), np.delete(b, 4, 3))
        assert np.isfinite(b).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("kept", [np.float16, np.float32, np.float64])
def test_the_statistics_of_a_cache_do_not_take_part_in_promotion(dtype, kept):
    x, g, gamma = drawn(dtype, 1)
    _, cache = cnnref.batch_norm_forward(x, gamma, gamma, None, None, {"training": True})
    wanted = cnnref.batch_norm_backward(g, cache)
    by_hand = cache._replace(mean=cache.mean.astype(kept), variance=cache.variance.astype(kept))
    for given in (by_hand, tuple(by_hand), by_hand._asdict()):
        for got, best in zip(cnnref.batch_norm_backward(g, given), wanted, strict=True):
            assert got.dtype == dtype
            np.testing.assert_allclose(got.astype(WIDE), best.astype(WIDE), 0.02, 0.02)


def test_the_running_statistics_keep_their_dtype():
    for dtype, kept in ((np.float32, np.float32), (np.float16, np.float32), (np.float64, np.float64)):
        x, _, gamma = drawn(dtype, 1)
        _, cache = cnnref.batch_norm_forward(x, gamma, gamma, gamma, gamma, {"training": True})
        assert cache.running_mean.dtype == cache.running_var.dtype == kept
