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


@pytest.mark.parametrize("n", [10, 64, 65, 200])
@pytest.mark.parametrize("at", [-39.0, 0.0, 39.0, 60.0, -60.0])
@pytest.mark.parametrize("size", [1e-36, 1e-28, 1.0, 1e25, 3e38])
def test_gradients_of_any_size_keep_their_digits(n, at, size):
    """Wherever the row lies, shifted or not: neither sums nor quotients in float32 underflow or overflow."""
    rng = np.random.default_rng(n)
    x = (at + rng.uniform(-1, 1, (3, n))).astype(np.float32)
    g = (rng.uniform(-1, 1, (3, n)) * size).astype(np.float32)
    g[1], g[1, 0] = size, -size  # their difference may be too large
    e = np.exp(x.astype(np.float64) - x.max())
    p, wide = e / e.sum(1, keepdims=True), g.astype(np.float64)
    of_probs = p * (wide - (p * wide).sum(1, keepdims=True))
    of_logs = wide - p * wide.sum(1, keepdims=True)
    u, w = 2.0**-24, 2.0**-149
    with np.errstate(over="ignore"):
        possible = np.abs(of_logs.astype(np.float32)) < np.inf
    assert possible.any()
    near = np.abs(cnnref.softmax_backward(g, x) - of_probs) <= 40 * u * p * size + 2 * w
    assert near.all()
    near = np.abs(cnnref.log_softmax_backward(g, x) - of_logs) <= (4 + 40 * n**0.5 * p) * u * size + 2 * w
    assert near[possible].all()


@pytest.mark.parametrize("n", [1, 10, 64, 65, 200])
@pytest.mark.parametrize("backward", [cnnref.softmax_backward, cnnref.log_softmax_backward])
def test_no_gradient_gives_none(backward, n):
    """To the last bit of a double, in rows that are computed together and in one alone."""
    x = np.random.default_rng(n).normal(size=(17, n))
    assert not backward(np.zeros_like(x), x).any()


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
    with pytest.warns(cnnref.ProbabilityWarning, match=r"AL\[0, 0\] = -0.5"):
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 16, 17, 64, 65, 200])
def test_log_softmax_and_its_gradient_are_accurate(n, dtype):
    rng = np.random.default_rng(n)
    x = (rng.normal(size=(3, n)) * 6).astype(dtype)
    dl = rng.normal(size=(3, n)).astype(dtype)
    logp, cache = cnnref.log_softmax(x)
    dx = cnnref.log_softmax_backward(dl, cache)
    assert cache is x
    assert logp.dtype == dx.dtype == dtype
    u = float(np.finfo(dtype).eps) / 2
    for i in range(3):
        exact = exact_softmax(x[i])
        total = mpmath.fsum(mpmath.mpf(float(d)) for d in dl[i])
        spread = float(x[i].max() - x[i].min())
        for j in range(n):
            truth = mpmath.log(exact[j])
            assert abs(float(logp[i, j]) - truth) <= 2 * u * abs(truth) + 8 * u, (i, j)
            truth = mpmath.mpf(float(dl[i, j])) - exact[j] * total
            size = abs(truth) + (8 + 2 * spread) * exact[j] * float(np.abs(dl[i]).sum())
            assert abs(float(dx[i, j]) - truth) <= 2 * u * size, (i, j)


def test_log_softmax_of_special_rows():
    x = np.array([[-np.inf] * 3, [0, -np.inf, 1], [0, np.inf, 1], [0, np.nan, 1], [1e4, 1e4, -1e4]])
    logp = cnnref.log_softmax(x)[0]
    assert np.isnan(logp[[0, 2, 3]]).all()
    np.testing.assert_allclose(logp[1], [-1.3132616875182228, -np.inf, -0.3132616875182228], rtol=1e-15)
    np.testing.assert_allclose(logp[4], [-np.log(2), -np.log(2), -2e4 - np.log(2)], rtol=1e-15)
    with pytest.raises(ValueError, match=r"log_softmax: X must have 2 dimensions \(m, n\)"):
        cnnref.log_softmax(np.ones(3))
    with pytest.raises(ValueError, match="log_softmax_backward: dlogp must have the shape of cache"):
        cnnref.log_softmax_backward(np.ones((2, 3)), np.ones((3, 2)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignored", [None, -100, 2])
def test_smoothed_and_ignored_labels(smoothing, ignored):
    rng = np.random.default_rng(7)
    m, n = 600, 21
    x = rng.normal(size=(m, n))
    y = rng.integers(0, n, m)
    if ignored is not None:
        y[::3] = ignored
    counts = np.ones(m, bool) if ignored is None else y != ignored
    p = cnnref.softmax(x)[0]
    target = np.full((m, n), smoothing / n)
    target[counts, y[counts]] += 1 - smoothing
    target[~counts] = 0
    loss, cache = cnnref.cross_entropy_cost(p, y, m, smoothing, ignored)
    assert type(cache) is cnnref.CrossEntropyCache
    assert loss == pytest.approx(-(target * np.log(p)).sum() / counts.sum(), rel=1e-13)
    for given in (cache, tuple(cache), cache._asdict()):
        dAL = cnnref.cross_entropy_backward(given, label_smoothing=smoothing, ignore_index=ignored)
        np.testing.assert_allclose(dAL, -target / p / counts.sum(), rtol=1e-13)
        dX = cnnref.softmax_cross_entropy_backward(given, label_smoothing=smoothing, ignore_index=ignored)
        truth = np.where(counts[:, None], p - target, 0) / counts.sum()
        np.testing.assert_allclose(dX, truth, rtol=1e-12, atol=1e-18)
        np.testing.assert_allclose(cnnref.softmax_backward(dAL, x), dX, rtol=1e-10, atol=1e-16)


def test_options_of_the_loss_at_the_edges():
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert math.isnan(cnnref.cross_entropy_cost(p, [-1, -1], ignore_index=-1)[0])
    _, cache = cnnref.cross_entropy_cost(p, [-1, -1], ignore_index=-1)
    assert not cnnref.cross_entropy_backward(cache, ignore_index=-1).any()
    assert not cnnref.softmax_cross_entropy_backward(cache, ignore_index=-1).any()
    assert cnnref.cross_entropy_cost(p, [0, 0], label_smoothing=0.1)[0] == np.inf
    assert cnnref.cross_entropy_cost(p, [0, 0], label_smoothing=0)[0] == pytest.approx(math.log(2) / 2)
    blog, _ = cnnref.blog.cross_entropy_cost(p, [70, -1], ignore_index=-1)
    assert blog == pytest.approx(math.log(2))
    with pytest.raises(ValueError, match="ignore_index must be no rank of a label, 0 to 1, got 1"):
        cnnref.blog.cross_entropy_cost(p, [5, 9], ignore_index=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"label_smoothing": 1.5}, ValueError, "label_smoothing must be from 0 to 1, got 1.5"),
        ({"label_smoothing": "0.1"}, TypeError, "label_smoothing must be a number, got str"),
        ({"ignore_index": 0.5}, TypeError, "ignore_index must be an integer or None, got float"),
        ({"ignore_index": True}, TypeError, "ignore_index must be an integer or None, got bool"),
        ({"ignore_index": 2**70}, ValueError, "ignore_index is out of range"),
    ],
)
def test_bad_options_of_the_loss_are_named(options, error, message):
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    _, cache = cnnref.cross_entropy_cost(p, [0, 1])
    with pytest.raises(error, match=f"^cross_entropy_cost: {message}"):
        cnnref.cross_entropy_cost(p, [0, 1], **options)
    for name in ("cross_entropy_backward", "softmax_cross_entropy_backward"):
        with pytest.raises(error, match=f"^{name}: {message}"):
            getattr(cnnref, name)(cache, **options)
    with pytest.raises(ValueError, match="Y must hold class indices from 0 to 1 or -100, got 2 in row 1"):
        cnnref.cross_entropy_cost(p, [-100, 2], ignore_index=-100)
    with pytest.raises(ValueError, match=r"Y_index must hold \(1, a column from 0 to 1 or -100\) in row 1"):
        cnnref.cross_entropy_backward((p, [[0, 1], [1, 7]]), ignore_index=-100)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_of_logits_keeps_what_a_probability_loses(dtype):
    """A probability of 1 - 1e-9 and one of e^-200 are 1 and 0 in float32, and their logarithms are not."""
    X = np.array([[0, 20.7], [-200, 0]], dtype)
    loss, cache = cnnref.softmax_cross_entropy(X, [1, 0])
    rows = [np.log1p(np.exp(-np.float64(X[0, 1]))), 200]
    assert loss == pytest.approx(np.mean(rows), rel=1e-7)
    alone = cnnref.softmax_cross_entropy(X[:1], [1])[0]
    assert alone == pytest.approx(rows[0], rel=1e-6)
    assert cache.AL.dtype == dtype
    np.testing.assert_array_equal(cache.AL, cnnref.softmax(X)[0])


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 3}])
def test_the_loss_of_logits_is_that_of_their_logarithms(options):
    generator = np.random.default_rng(0)
    X, Y = generator.standard_normal((700, 37)), generator.integers(0, 37, 700)
    loss, cache = cnnref.softmax_cross_entropy(X, Y, **options)
    assert loss == pytest.approx(cnnref.cross_entropy_cost(cnnref.softmax(X)[0], Y, **options)[0], rel=1e-13)
    of_cost = cnnref.cross_entropy_cost(cnnref.softmax(X)[0], Y, **options)[1]
    for mine, right in zip(cache, of_cost, strict=True):
        np.testing.assert_array_equal(mine, right)
    with pytest.raises(ValueError, match=r"softmax_cross_entropy: Y must have shape \(700,\) or"):
        cnnref.softmax_cross_entropy(X, Y[1:])
