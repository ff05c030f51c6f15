"""Batch normalization and global average pooling: against exact sums, by hand, statistics, bad arguments."""

import mpmath
import numpy as np
import pytest

import cnnref

SHAPES = [(3, 4, 5, 7), (2, 33, 17, 1), (2, 1, 1, 5), (5, 16, 9, 24), (1, 40, 30, 33), (2, 9, 9, 100)]


def arrays(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    image, upstream = (rng.normal(size=shape) * 3 + 1).astype(dtype), rng.normal(size=shape).astype(dtype)
    channels = [rng.normal(size=(1, 1, 1, shape[3])).astype(dtype) for _ in range(3)]
    return image, upstream, *channels, rng.uniform(0.5, 2, (1, 1, 1, shape[3])).astype(dtype)


def exact_moments(values):
    mpmath.mp.prec = 200
    values = [mpmath.mpf(float(v)) for v in values]
    mean = mpmath.fsum(values) / len(values)
    return mean, mpmath.fsum((v - mean) ** 2 for v in values) / len(values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_uses_the_moments_of_the_batch(shape, dtype):
    A_prev, dA, gamma, beta, old_mean, old_var = arrays(shape, dtype)
    hyper = {"training": True, "epsilon": 1e-3, "momentum": 0.25}
    A, cache = cnnref.batch_norm_forward(A_prev, gamma, beta, old_mean, old_var, hyper)
    assert cache._fields == (
        "A_prev", "gamma", "mean", "variance", "running_mean", "running_var", "hparameters",
    )  # fmt: skip
    assert A.dtype == cache.running_mean.dtype == cache.running_var.dtype == dtype
    assert cache.mean.dtype == cache.variance.dtype == np.float64
    assert cache.mean.shape == cache.variance.shape == (1, 1, 1, shape[3])
    u, c = float(np.finfo(dtype).eps) / 2, shape[3] // 2
    n = A_prev[..., c].size
    mean, variance = exact_moments(A_prev[..., c].ravel())
    assert abs(float(cache.mean[..., c].item()) - mean) <= 8 * u * (abs(mean) + 1)
    assert abs(float(cache.variance[..., c].item()) / variance - 1) <= 8 * u
    unbiased = float(variance) * n / (n - 1)
    np.testing.assert_allclose(cache.running_mean[..., c], 0.75 * old_mean[..., c] + 0.25 * float(mean), 1e-6)
    np.testing.assert_allclose(cache.running_var[..., c], 0.75 * old_var[..., c] + 0.25 * unbiased, 1e-6)
    scale = gamma.astype(float)[..., c].item() / float(mpmath.sqrt(variance + mpmath.mpf(1e-3)))
    truth = (A_prev[..., c].astype(float) - float(mean)) * scale + beta.astype(float)[..., c].item()
    assert np.abs(A[..., c] - truth).max() <= 8 * u * (np.abs(truth).max() + np.abs(beta).max())
    if dtype == np.float64:
        agree_with_differences(A_prev, dA, gamma, beta, hyper, cache)


def agree_with_differences(A_prev, dA, gamma, beta, hyper, cache):
    """Directional derivatives by central differences."""
    rng = np.random.default_rng(1)
    gradients = cnnref.batch_norm_backward(dA, cache)
    inputs = [A_prev, gamma, beta]
    for i, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        step, sums = rng.normal(size=x.shape), []
        for sign in (1e-5, -1e-5):
            moved = [*inputs]
            moved[i] = x + sign * step
            sums.append((dA * cnnref.batch_norm_forward(*moved, None, None, hyper)[0]).sum())
        assert (gradient * step).sum() == pytest.approx((sums[0] - sums[1]) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inference_uses_the_running_statistics(dtype):
    A_prev, dA, gamma, beta, mean, variance = arrays((3, 4, 5, 19), dtype)
    A, cache = cnnref.batch_norm_forward(A_prev, gamma, beta, mean, variance, {"training": False})
    for kept, given in ((cache.running_mean, mean), (cache.running_var, variance)):
        np.testing.assert_array_equal(kept, given)
        assert not np.shares_memory(kept, given)
    np.testing.assert_array_equal(cache.mean, mean)
    wide = [x.astype(np.longdouble) for x in (A_prev, dA, gamma, beta, mean, variance)]
    inverse = 1 / np.sqrt(wide[5] + np.longdouble(1e-5))
    tolerance = {"rtol": 0, "atol": 100 * np.finfo(dtype).eps}
    np.testing.assert_allclose(A, (wide[0] - wide[4]) * inverse * wide[2] + wide[3], **tolerance)
    dA_prev, dgamma, dbeta = cnnref.batch_norm_backward(dA, cache)
    np.testing.assert_allclose(dA_prev, wide[1] * wide[2] * inverse, **tolerance)
    np.testing.assert_allclose(dbeta[0, 0, 0], wide[1].sum((0, 1, 2)), **tolerance)
    np.testing.assert_allclose(
        dgamma[0, 0, 0], (wide[1] * (wide[0] - wide[4]) * inverse).sum((0, 1, 2)), **tolerance
    )
    dA_prev = cnnref.batch_norm_backward(dA, cache._replace(A_prev=np.full_like(A_prev, np.inf)))[0]
    assert np.isfinite(dA_prev).all()  # it does not depend on the image


@pytest.mark.parametrize("channels", [1, 16])
@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("rows", [64, 1024, 16384])
def test_every_pixel_beside_the_end_of_a_run_and_of_a_chunk(rows, beside, channels):
    """Runs are of 64 elements at least, chunks of 16384 by 8 pixels: as many, one less and one more."""
    shape = (1, rows + beside, 1, channels)
    x, gamma, beta, dA = (np.random.default_rng(seed).normal(size=s) for seed, s in enumerate(
        (shape, (1, 1, 1, channels), (1, 1, 1, channels), shape)
    ))  # fmt: skip
    hyper = {"epsilon": 1e-3, "training": True}
    A, cache = cnnref.batch_norm_forward(x, gamma, beta, None, None, hyper)
    deviation = np.sqrt(x.var((0, 1, 2)) + 1e-3)
    normal = (x - x.mean((0, 1, 2))) / deviation
    np.testing.assert_allclose(A, gamma * normal + beta, 1e-10, 1e-10)
    dx, dgamma, _ = cnnref.batch_norm_backward(dA, cache)
    np.testing.assert_allclose(dgamma.reshape(-1), (dA * normal).sum((0, 1, 2)), 1e-9, 1e-9)
    inner = dA - dA.mean((0, 1, 2)) - normal * (dA * normal).mean((0, 1, 2))
    np.testing.assert_allclose(dx, gamma / deviation * inner, 1e-9, 1e-9)


def test_a_large_mean_costs_no_digits_of_the_output():
    A_prev = np.float32(4096) + np.arange(64, dtype=np.float32).reshape(4, 4, 4, 1) / 64
    one, zero = np.ones((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
    A = cnnref.batch_norm_forward(A_prev, one, zero, None, None, {"training": True, "epsilon": 0})[0]
    x = np.arange(64) / 64
    np.testing.assert_allclose(A.ravel(), (x - x.mean()) / x.std(), rtol=0, atol=2e-7)


def test_edges():
    one = np.ones((1, 1, 1, 2))
    constant = np.full((2, 3, 3, 2), 5.0)
    A, cache = cnnref.batch_norm_forward(constant, one, 7 * one, None, None, {"training": True})
    np.testing.assert_array_equal(A, np.full_like(A, 7))  # no variance: the offset
    assert cache.running_mean is cache.running_var is None
    empty = np.zeros((0, 3, 3, 2))
    A, cache = cnnref.batch_norm_forward(empty, one, one, 2 * one, 3 * one, {"training": True})
    assert A.shape == empty.shape
    np.testing.assert_array_equal(cache.running_mean, 2 * one)
    np.testing.assert_array_equal(cache.running_var, 3 * one)
    assert np.isnan(cache.mean).all()
    gradients = cnnref.batch_norm_backward(empty, cache)
    assert [g.shape for g in gradients] == [(0, 3, 3, 2), (1, 1, 1, 2), (1, 1, 1, 2)]
    assert not gradients[1].any()
    assert not gradients[2].any()
    none = np.zeros((2, 3, 3, 0))
    no = np.zeros((1, 1, 1, 0))
    assert cnnref.batch_norm_forward(none, no, no, no, no, {"training": True})[0].shape == none.shape


def test_caches_by_hand():
    A_prev, dA, gamma, beta, *_ = arrays((2, 3, 4, 5), np.float64)
    _, cache = cnnref.batch_norm_forward(A_prev, gamma, beta, None, None, {"training": True})
    wanted = cnnref.batch_norm_backward(dA, cache)
    for other in (tuple(cache), cache._asdict()):
        for a, b in zip(cnnref.batch_norm_backward(dA, other), wanted, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"gamma": np.ones(5)}, ValueError, r"gamma must have 4 dimensions \(1, 1, 1, n_C_prev\)"),
        ({"beta": np.ones((1, 1, 1, 4))}, ValueError, r"beta must have shape \(1, 1, 1, 5\), got"),
        ({"running_var": None}, TypeError, "running_var is None, expected an array"),
        ({"hyper": {}}, ValueError, "hparameters must have the keys training, got none"),
        ({"hyper": {"training": True, "eps": 1}}, ValueError, "got also eps"),
        ({"hyper": {"training": 1}}, TypeError, r"hparameters\['training'\] must be True or False, got int"),
        ({"hyper": {"training": True, "epsilon": -1}}, ValueError, "must not be negative, got -1"),
        ({"hyper": {"training": True, "momentum": 2}}, ValueError, "must be from 0 to 1, got 2"),
        ({"hyper": {"training": True, "momentum": None}}, TypeError, "must be a number, got NoneType"),
        ({"A_prev": np.ones((1, 1, 1, 5))}, ValueError, "more than one value for each channel in training"),
        (
            {"running_mean": None, "running_var": None, "hyper": {"training": False}},
            TypeError,
            "running_mean is None, expected an array where training is False",
        ),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    A_prev, _, gamma, beta, mean, variance = arrays((2, 3, 4, 5), np.float64)
    given = {"A_prev": A_prev, "gamma": gamma, "beta": beta, "running_mean": mean, "running_var": variance}
    given = {**given, "hyper": {"training": True}, **changes}
    with pytest.raises(error, match=f"^batch_norm_forward: .*{message}"):
        cnnref.batch_norm_forward(*given.values())


def test_bad_caches_are_named():
    A_prev, dA, gamma, beta, *_ = arrays((2, 3, 4, 5), np.float64)
    _, cache = cnnref.batch_norm_forward(A_prev, gamma, beta, None, None, {"training": True})
    with pytest.raises(ValueError, match="cache must have the 7 fields"):
        cnnref.batch_norm_backward(dA, (A_prev, gamma))
    with pytest.raises(ValueError, match="dA must have the shape of the output"):
        cnnref.batch_norm_backward(dA[:1], cache)
    with pytest.raises(ValueError, match="mean must have shape"):
        cnnref.batch_norm_backward(dA, cache._replace(mean=np.ones((1, 1, 1, 4))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 7, 7, 16), (2, 5, 3, 17), (1, 1, 1, 64), (0, 2, 3, 4)])
def test_global_average_pool(shape, dtype):
    A_prev, *_ = arrays(shape, dtype)
    A, cache = cnnref.global_average_pool_forward(A_prev)
    assert cache is A_prev
    assert A.shape == (shape[0], 1, 1, shape[3])
    assert A.dtype == dtype
    truth = A_prev.astype(np.longdouble).mean((1, 2), keepdims=True)
    atol = (1 if dtype == np.float32 else 30) * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(A, truth, rtol=atol, atol=atol)
    dA = np.arange(A.size, dtype=dtype).reshape(A.shape)
    dA_prev = cnnref.global_average_pool_backward(dA, cache)
    np.testing.assert_array_equal(dA_prev, np.broadcast_to(dA / dtype(shape[1] * shape[2]), shape))


def test_global_average_pool_refuses_what_has_no_mean():
    with pytest.raises(ValueError, match="global_average_pool_forward: A_prev must have at least one pixel"):
        cnnref.global_average_pool_forward(np.ones((2, 0, 3, 4)))
    with pytest.raises(ValueError, match="global_average_pool_backward: dA must have the shape of"):
        cnnref.global_average_pool_backward(np.ones((2, 1, 1, 3)), np.ones((2, 5, 5, 4)))
