"""Softmax and cross entropy: values by hand, against exact sums, edges, gradients that belong together."""

import math

import mpmath
import numpy as np
import pytest

import cnnref

#: Around the width of a group of rows, of an accumulator row, and of the switch to whole rows.
WIDTHS = [1, 2, 7, 15, 16, 17, 33, 63, 64, 65, 80, 100, 1003]


def exact_softmax(row):
    mpmath.mp.prec = 200
    values = [mpmath.exp(mpmath.mpf(float(v))) for v in row]
    total = mpmath.fsum(values)
    return [v / total for v in values]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", WIDTHS)
def test_softmax_and_its_gradient_are_accurate(n, dtype):
    rng = np.random.default_rng(n)
    x = (rng.normal(size=(3, n)) * 6).astype(dtype)
    dp = rng.normal(size=(3, n)).astype(dtype)
    p, cache = cnnref.softmax(x)
    dx = cnnref.softmax_backward(dp, cache)
    assert cache is x
    assert p.dtype == dx.dtype == dtype
    u = float(np.finfo(dtype).eps) / 2
    for i in range(3):
        exact = exact_softmax(x[i])
        # x - max is rounded to u |x - max|, which is a relative error of the exponential.
        spread = float(x[i].max() - x[i].min())
        for j in range(n):
            assert abs(float(p[i, j]) - exact[j]) <= (6 + 2 * spread) * u * exact[j], (i, j)
        dot = mpmath.fsum(e * mpmath.mpf(float(d)) for e, d in zip(exact, dp[i], strict=True))
        size = float(np.abs(dp[i]).max())
        for j in range(n):
            truth = exact[j] * (mpmath.mpf(float(dp[i, j])) - dot)
            assert abs(float(dx[i, j]) - truth) <= (20 + 6 * spread) * u * exact[j] * 2 * size, (i, j)


@pytest.mark.parametrize("n", [1, 10, 16, 64, 65, 200])
@pytest.mark.parametrize("m", [1, 15, 16, 17, 50])
def test_a_row_does_not_depend_on_the_others(m, n):
    rng = np.random.default_rng(m * n)
    x, dp = rng.normal(size=(2, m, n))
    p, _ = cnnref.softmax(x)
    dx = cnnref.softmax_backward(dp, x)
    for i in {0, m // 2, m - 1}:
        assert cnnref.softmax(x[i : i + 1])[0].tobytes() == p[i].tobytes()
        assert cnnref.softmax_backward(dp[i : i + 1], x[i : i + 1]).tobytes() == dx[i].tobytes()


@pytest.mark.parametrize("filler", [0, 70])
def test_softmax_edges(filler):
    inf, nan = np.inf, np.nan
    rows = [[760.0, 0, 0], [-800.0, -800, -800], [1e308, -1e308, 0], [-inf, 0, 0]]
    expected = [[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [0, 0.5, 0.5]]
    undefined = [[inf, 0, 0], [nan, 0, 0], [-inf, -inf, -inf], [inf, inf, 0]]
    x = np.pad(np.array(rows), ((0, 0), (0, filler)), constant_values=-inf)
    np.testing.assert_array_equal(cnnref.softmax(x)[0][:, :3], expected)
    x = np.pad(np.array(undefined), ((0, 0), (0, filler)), constant_values=-inf)
    assert np.isnan(cnnref.softmax(x)[0]).all()


def test_empty_softmax():
    for shape in ((0, 4), (4, 0), (0, 100)):
        x = np.empty(shape)
        assert cnnref.softmax(x)[0].shape == shape
        assert cnnref.softmax_backward(x, x).shape == shape


def test_cross_entropy_by_hand():
    AL = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
    loss, cache = cnnref.cross_entropy_cost(AL, [1, 0])
    assert type(loss) is float
    assert loss == pytest.approx((math.log(4) + math.log(8)) / 2, rel=1e-15)
    assert type(cache) is cnnref.CrossEntropyCache
    assert cache._fields == ("AL", "Y_index")
    assert cache.AL is AL
    np.testing.assert_array_equal(cache.Y_index, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(cnnref.cross_entropy_backward(cache), [[0, -2, 0], [-4, 0, 0]])
    np.testing.assert_array_equal(
        cnnref.softmax_cross_entropy_backward(cache), [[0.25, -0.375, 0.125], [-0.4375, 0.375, 0.0625]]
    )
    for labels in (np.array([[1], [0]]), np.array([1, 0], np.uint8), (1, 0)):
        assert cnnref.cross_entropy_cost(AL, labels, 2)[0] == loss
    for hand_made in (tuple(cache), cache._asdict(), {"Y_index": [[0, 1], [1, 0]], "AL": AL}):
        np.testing.assert_array_equal(cnnref.cross_entropy_backward(hand_made), [[0, -2, 0], [-4, 0, 0]])


def test_cross_entropy_edges():
    assert cnnref.cross_entropy_cost(np.array([[0.0, 1.0]]), [0])[0] == np.inf
    assert cnnref.cross_entropy_cost(np.array([[0.0, 1.0]]), [1])[0] == 0
    assert np.isnan(cnnref.cross_entropy_cost(np.array([[np.nan, 1.0]]), [0])[0])
    assert np.isnan(cnnref.cross_entropy_cost(np.array([[-0.5, 1.0]]), [0])[0])
    loss, cache = cnnref.cross_entropy_cost(np.empty((0, 3)), np.empty(0, int))
    assert np.isnan(loss)
    assert cache.Y_index.shape == (0, 2)
    assert cnnref.cross_entropy_backward(cache).shape == (0, 3)
    assert cnnref.softmax_cross_entropy_backward(cache).shape == (0, 3)
    assert cnnref.cross_entropy_backward((np.array([[0.0, 1.0]]), [[0, 0]]))[0, 0] == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 255, 256, 257, 5000])
def test_cross_entropy_is_a_sum_in_double(m, dtype):
    rng = np.random.default_rng(m)
    AL = rng.uniform(0.01, 1, (m, 3)).astype(dtype)
    Y = rng.integers(0, 3, m)
    loss, _ = cnnref.cross_entropy_cost(AL, Y)
    exact = -math.fsum(math.log(v) for v in AL[np.arange(m), Y].astype(float)) / m
    assert loss == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("n", [2, 10, 100])
def test_gradients_chain(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(7, n)) * 3
    Y = rng.integers(0, n, 7)
    probs, cache = cnnref.softmax(x)
    _, entropy_cache = cnnref.cross_entropy_cost(probs, Y)
    chained = cnnref.softmax_backward(cnnref.cross_entropy_backward(entropy_cache), cache)
    fused = cnnref.softmax_cross_entropy_backward(entropy_cache)
    np.testing.assert_allclose(fused, chained, rtol=0, atol=1e-15)
    h = 1e-5
    for i, j in ((0, 0), (3, n - 1)):
        up, down = x.copy(), x.copy()
        up[i, j] += h
        down[i, j] -= h
        slope = cnnref.cross_entropy_cost(cnnref.softmax(up)[0], Y)[0]
        slope -= cnnref.cross_entropy_cost(cnnref.softmax(down)[0], Y)[0]
        assert slope / (2 * h) == pytest.approx(fused[i, j], rel=1e-6, abs=1e-9)
