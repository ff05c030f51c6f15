"""Layer normalization of each pixel: against PyTorch in double, rounded once; edges, bad arguments."""

import numpy as np
import pytest
import torch

import cnnref

SHAPES = [(3, 4, 5, 7), (2, 33, 17, 1), (1, 1, 1, 33), (5, 16, 9, 24), (1, 40, 30, 8), (2, 3, 3, 5003)]


def arrays(shape, dtype, mean=1.0):
    rng = np.random.default_rng(0)
    image, upstream = rng.normal(size=shape) * 3 + mean, rng.normal(size=shape)
    rows = [rng.normal(size=(1, 1, 1, shape[3])) for _ in range(2)]
    return [x.astype(dtype) for x in (image, *rows, upstream)]


def right(x, gamma, beta, g, epsilon=1e-3):
    """Output and gradients, by PyTorch in float64."""
    leaves = [torch.tensor(a.astype(float), requires_grad=True) for a in (x, gamma.ravel(), beta.ravel())]
    A = torch.nn.functional.layer_norm(leaves[0], (x.shape[3],), leaves[1], leaves[2], epsilon)
    A.backward(torch.tensor(g.astype(float)))
    return [
        A.detach().numpy(),
        *(leaf.grad.numpy().reshape(a.shape) for leaf, a in zip(leaves, (x, gamma, beta), strict=True)),
    ]


def computed(x, gamma, beta, g, epsilon=1e-3):
    A, cache = cnnref.layer_norm_forward(x, gamma, beta, epsilon=epsilon)
    return [A, *cnnref.layer_norm_backward(g, cache)]


@pytest.mark.parametrize("mean", [1, 3e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_double_rounded_once(shape, mean):
    given = arrays(shape, np.float32, mean)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1.2e-7, atol=1e-12 * mean * max(shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_float64_is_near(shape):
    given = arrays(shape, np.float64)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize(("rows", "channels"), [(16, 600), (32, 600), (1024, 8), (64, 256)])
def test_every_pixel_beside_the_end_of_a_block_and_of_a_chunk(rows, channels, beside):
    """Blocks are of 16 rows, chunks of 8192 elements or 32 rows: as many, one less and one more."""
    given = arrays((1, rows + beside, 1, channels), np.float32)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1.2e-7, atol=1e-10)


def test_values_whose_squares_float32_does_not_hold():
    x, *rest = arrays((2, 3, 3, 5), np.float32)
    given = (x * np.float32(1e30), *rest)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1.2e-7, atol=1e-38)


def test_nan_and_infinity_spoil_their_pixel_alone():
    x, gamma, beta, g = arrays((2, 3, 3, 5), np.float32)
    x[0, 1, 2, 3], x[1, 0, 0, 0] = np.nan, np.inf
    A, dA_prev, dgamma, dbeta = computed(x, gamma, beta, g)
    for out in (A, dA_prev):
        spoiled = np.isnan(out).all(3)
        assert spoiled[0, 1, 2]
        assert spoiled[1, 0, 0]
        assert np.isnan(out).sum() == 10
    assert np.isnan(dgamma).all()
    assert np.isfinite(dbeta).all()


def test_edges():
    one = np.ones((1, 1, 1, 5))
    np.testing.assert_array_equal(cnnref.layer_norm_forward(np.full((2, 3, 3, 5), 7.0), one, 3 * one)[0], 3)
    for shape in ((0, 3, 3, 5), (2, 3, 3, 0)):
        x, gamma, beta, g = arrays(shape, np.float64)
        A, dA_prev, dgamma, dbeta = computed(x, gamma, beta, g)
        assert A.shape == dA_prev.shape == shape
        assert dgamma.shape == dbeta.shape == gamma.shape
        assert not dgamma.any()
        assert not dbeta.any()


def test_caches_by_hand_and_the_default_of_epsilon():
    x, gamma, beta, g = arrays((2, 3, 4, 5), np.float64)
    A, cache = cnnref.layer_norm_forward(x, gamma, beta)
    assert cache._fields == ("A_prev", "gamma", "hparameters")
    assert cache.A_prev is x
    np.testing.assert_array_equal(A, computed(x, gamma, beta, g, 1e-5)[0])
    for other in (tuple(cache), cache._asdict()):
        for got, wanted in zip(
            cnnref.layer_norm_backward(g, other), computed(x, gamma, beta, g, 1e-5)[1:], strict=True
        ):
            np.testing.assert_array_equal(got, wanted)


def test_statistics_of_another_call_are_not_used():
    """The cache carries them beside its fields, with the epsilon that they are of."""
    x, gamma, beta, g = arrays((2, 3, 4, 5), np.float32)
    wanted = computed(x, gamma, beta, g, 0.5)[1:]
    other = cnnref.layer_norm_forward(x, gamma, beta, epsilon=1e-3)[1]
    assert not np.array_equal(cnnref.layer_norm_backward(g, other)[0], wanted[0])
    other.hparameters["epsilon"] = 0.5
    caches = [other]
    for statistics in (None, (np.ones((2, 24), np.float32), 0.5), (np.ones((2, 23)), 0.5), ([], 0.5), 0.5):
        cache = cnnref.layer_norm_forward(x, gamma, beta, epsilon=0.5)[1]
        cache._statistics = statistics
        caches.append(cache)
    for cache in caches:
        for got, right in zip(cnnref.layer_norm_backward(g, cache), wanted, strict=True):
            np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"gamma": np.ones(5)}, ValueError, r"gamma must have 4 dimensions \(1, 1, 1, n_C_prev\)"),
        ({"beta": np.ones((1, 1, 1, 4))}, ValueError, r"beta must have shape \(1, 1, 1, 5\), got"),
        ({"hparameters": {"eps": 1}}, ValueError, "got also eps"),
        ({"hparameters": {"epsilon": -1}}, ValueError, "must not be negative, got -1"),
        ({"hparameters": {"epsilon": None}}, TypeError, "must be a number, got NoneType"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    x, gamma, beta, _ = arrays((2, 3, 4, 5), np.float64)
    with pytest.raises(error, match=f"^layer_norm_forward: .*{message}"):
        cnnref.layer_norm_forward(**{"A_prev": x, "gamma": gamma, "beta": beta, **changes})


def test_bad_caches_are_named():
    x, gamma, beta, g = arrays((2, 3, 4, 5), np.float64)
    _, cache = cnnref.layer_norm_forward(x, gamma, beta)
    with pytest.raises(ValueError, match="cache must have the 3 fields"):
        cnnref.layer_norm_backward(g, (x, gamma, beta, {}))
    with pytest.raises(ValueError, match="dA must have the shape of the output"):
        cnnref.layer_norm_backward(g[:1], cache)
