"""Layer and RMS norm of each pixel: against PyTorch in double, rounded once; edges, bad arguments."""

import numpy as np
import pytest
import torch

import cnnref

SHAPES = [(3, 4, 5, 7), (2, 33, 17, 1), (1, 1, 1, 33), (5, 16, 9, 24), (1, 40, 30, 8), (2, 3, 3, 5003)]


both = pytest.mark.parametrize("norm", ["layer", "rms"])


def arrays(shape, dtype, mean=1.0, norm="layer"):
    """Image, gamma, beta (None for RMS norm), upstream gradient."""
    rng = np.random.default_rng(0)
    image, upstream = rng.normal(size=shape) * 3 + mean, rng.normal(size=shape)
    rows = [rng.normal(size=(1, 1, 1, shape[3])) for _ in range(2)]
    x, gamma, beta, g = (x.astype(dtype) for x in (image, *rows, upstream))
    return [x, gamma, beta if norm == "layer" else None, g]


def right(x, gamma, beta, g, epsilon=1e-3):
    """Output and gradients, by PyTorch in float64."""
    given = [x, *(row.ravel() for row in (gamma, beta) if row is not None)]
    leaves = [torch.tensor(a.astype(float), requires_grad=True) for a in given]
    norm = torch.nn.functional.rms_norm if beta is None else torch.nn.functional.layer_norm
    A = norm(leaves[0], (x.shape[3],), *leaves[1:], eps=epsilon)
    A.backward(torch.tensor(g.astype(float)))
    image, *rows = (leaf.grad.numpy() for leaf in leaves)
    return [A.detach().numpy(), image, *(row.reshape(gamma.shape) for row in rows)]


def computed(x, gamma, beta, g, epsilon=1e-3):
    if beta is None:
        A, cache = cnnref.rms_norm_forward(x, gamma, epsilon=epsilon)
        return [A, *cnnref.rms_norm_backward(g, cache)]
    A, cache = cnnref.layer_norm_forward(x, gamma, beta, epsilon=epsilon)
    return [A, *cnnref.layer_norm_backward(g, cache)]


@both
@pytest.mark.parametrize("mean", [1, 3e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_double_rounded_once(shape, mean, norm):
    given = arrays(shape, np.float32, mean, norm)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1.2e-7, atol=1e-12 * mean * max(shape))


@both
@pytest.mark.parametrize("shape", SHAPES)
def test_float64_is_near(shape, norm):
    given = arrays(shape, np.float64, norm=norm)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-11)


@both
@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize(("rows", "channels"), [(16, 600), (32, 600), (1024, 8), (64, 256)])
def test_every_pixel_beside_the_end_of_a_block_and_of_a_chunk(rows, channels, beside, norm):
    """Blocks are of 16 rows, chunks of 8192 elements or 32 rows: as many, one less and one more."""
    given = arrays((1, rows + beside, 1, channels), np.float32, norm=norm)
    for got, wanted in zip(computed(*given), right(*given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1.2e-7, atol=1e-10)


@both
def test_values_whose_squares_float32_does_not_hold(norm):
    x, *rest = arrays((2, 3, 3, 5), np.float32, norm=norm)
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


def test_an_infinity_leaves_the_other_channels_of_rms_norm_zero():
    x, gamma, _, g = arrays((2, 3, 3, 5), np.float32)
    x[1, 0, 0, 0] = np.inf
    A = computed(x, gamma, None, g)[0]
    assert np.isnan(A[1, 0, 0, 0])
    np.testing.assert_array_equal(A[1, 0, 0, 1:], 0)
    assert np.isnan(A).sum() == 1


def test_rms_norm_keeps_the_sign_of_zero():
    x = np.array([0.0, -0.0, 3.0]).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(
        np.signbit(cnnref.rms_norm_forward(x, np.ones((1, 1, 1, 3)))[0]), np.signbit(x)
    )


@pytest.mark.parametrize("layer", [True, False])
def test_a_cache_of_the_other_norm_is_read_as_its_fields(layer):
    """Not with its statistics."""
    x, gamma, beta, g = arrays((2, 3, 4, 5), np.float64)
    caches = [cnnref.layer_norm_forward(x, gamma, beta)[1], cnnref.rms_norm_forward(x, gamma)[1]]
    backward = cnnref.layer_norm_backward if layer else cnnref.rms_norm_backward
    for one, other in zip(backward(g, caches[0]), backward(g, caches[1]), strict=True):
        np.testing.assert_array_equal(one, other)


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
