"""Strides, pads and dilations of each axis, filters that are not square, groups: against torch in float64."""

import itertools

import numpy as np
import pytest

import cnnref
from cnnref import blog

torch = pytest.importorskip("torch")


def four_sides(n, f, stride, dilation, pad):
    """Padding on the four sides, worked out here: a peer of `cnnref.checks.hyper`."""
    if pad in ("same", "same_lower"):
        sides = []
        for length, taps, step, gap in zip(n, f, stride, dilation, strict=True):
            total = max((-(-length // step) - 1) * step + (taps - 1) * gap + 1 - length, 0)
            small, large = total // 2, total - total // 2
            sides.append((small, large) if pad == "same" else (large, small))
        return sides
    if pad == "valid":
        return [(0, 0), (0, 0)]
    if isinstance(pad, int):
        return [(pad, pad)] * 2
    return [side if isinstance(side, tuple) else (side, side) for side in pad]


def both(value):
    return (value, value) if isinstance(value, int) else value


def expected(A, W, b, dZ, hparameters):
    """Output and gradients by torch, with the padding made explicit."""
    stride, dilation = both(hparameters["stride"]), both(hparameters.get("dilation", 1))
    (top, bottom), (left, right) = four_sides(A.shape[1:3], W.shape[:2], stride, dilation, hparameters["pad"])
    images, filters = A.transpose(0, 3, 1, 2), np.ascontiguousarray(W.transpose(3, 2, 0, 1))
    a, w = torch.tensor(images, requires_grad=True), torch.tensor(filters, requires_grad=True)
    bias = torch.tensor(b.reshape(-1), requires_grad=True)
    padded = torch.nn.functional.pad(a, (left, right, top, bottom))
    Z = torch.conv2d(padded, w, bias, stride, 0, dilation, hparameters.get("groups", 1))
    if dZ is None:
        return Z.detach().numpy().transpose(0, 2, 3, 1)
    Z.backward(torch.tensor(dZ.transpose(0, 3, 1, 2)))
    return (
        Z.detach().numpy().transpose(0, 2, 3, 1),
        a.grad.numpy().transpose(0, 2, 3, 1),
        w.grad.numpy().transpose(2, 3, 1, 0),
        bias.grad.numpy().reshape(1, 1, 1, -1),
    )


def whole(rng, *shape):
    """Whole numbers: every sum is exact, in any order, in float32 too."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def check(shape, f, n_C, hparameters, dtype=np.float64, seed=0):
    """Forward and every gradient equal, bit for bit (the sign of zeros aside)."""
    rng = np.random.default_rng(seed)
    A, b = whole(rng, *shape), whole(rng, 1, 1, 1, n_C)
    W = whole(rng, *f, shape[3] // hparameters.get("groups", 1), n_C)
    n_H, n_W = expected(A, W, b, None, hparameters).shape[1:3]
    dZ = whole(rng, shape[0], n_H, n_W, n_C)
    wanted = expected(A, W, b, dZ, hparameters)
    Z, cache = cnnref.conv_forward(*(x.astype(dtype) for x in (A, W, b)), hparameters)
    found = Z, *cnnref.conv_backward(dZ.astype(dtype), cache)
    for name, got, want in zip(("Z", "dA_prev", "dW", "db"), found, wanted, strict=True):
        assert got.dtype == dtype
        assert got.shape == want.shape, name
        assert np.array_equal(got, want), (name, np.argwhere(got != want)[:5])


SHAPES = [
    ((2, 9, 11, 3), (3, 3), 4),
    ((2, 9, 11, 3), (3, 2), 4),
    ((3, 7, 12, 5), (1, 4), 2),
    ((1, 13, 8, 40), (5, 2), 35),
    ((2, 8, 9, 6), (2, 3), 1),
    ((5, 6, 6, 34), (1, 1), 70),
]
STRIDES = [1, 2, (1, 2), (3, 2), (2, 7)]
PADS = [0, 1, (2, 1), ((1, 0), (0, 2)), ((0, 3), (4, 1)), "same", "same_lower", "valid"]
DILATIONS = [1, 2, (1, 2), (3, 1), (2, 3)]


def fits(shape, f, hparameters):
    dilation = both(hparameters.get("dilation", 1))
    sides = four_sides(shape[1:3], f, both(hparameters["stride"]), dilation, hparameters["pad"])
    return all(
        n + sum(side) >= (taps - 1) * gap + 1
        for n, side, taps, gap in zip(shape[1:3], sides, f, dilation, strict=True)
    )


@pytest.mark.parametrize(("shape", "f", "n_C"), SHAPES)
def test_every_stride_with_every_pad_and_dilation(shape, f, n_C):
    compared = 0
    every = list(itertools.product(STRIDES, PADS, DILATIONS))
    for number, at in enumerate(np.random.default_rng(n_C).permutation(len(every))[:30]):
        stride, pad, dilation = every[at]
        hparameters = {"stride": stride, "pad": pad, "dilation": dilation}
        if fits(shape, f, hparameters):
            check(shape, f, n_C, hparameters, (np.float64, np.float32)[number % 2], number)
            compared += 1
    assert compared > 15


#: Input channels, filters, groups: few and many of each, tails of every vector, depthwise with a multiplier.
GROUPS = [(4, 6, 2), (6, 4, 2), (24, 24, 24), (5, 5, 5), (3, 9, 3), (7, 21, 7), (17, 17, 17), (64, 64, 64),
          (33, 66, 33), (12, 8, 4), (70, 70, 2), (68, 34, 2), (16, 64, 4), (96, 96, 32), (1, 5, 1),
          (130, 130, 130), (8, 2, 2), (64, 16, 16), (20, 100, 20), (48, 240, 48), (32, 32, 16), (24, 24, 6),
          (64, 64, 8), (40, 40, 5), (144, 144, 9)]  # fmt: skip
WINDOWS = [
    ((3, 3), {"stride": 1, "pad": 1}),
    ((3, 3), {"stride": 2, "pad": 1}),
    ((3, 2), {"stride": (2, 3), "pad": ((0, 1), (2, 0))}),
    ((2, 4), {"stride": 1, "pad": "same", "dilation": (2, 1)}),
    ((3, 3), {"stride": 2, "pad": "same_lower", "dilation": (1, 3)}),
    ((1, 1), {"stride": 1, "pad": 0}),
    ((1, 1), {"stride": 2, "pad": 0}),
    ((7, 7), {"stride": 1, "pad": 3}),
    ((5, 3), {"stride": (3, 1), "pad": (2, 6), "dilation": 2}),
    ((5, 5), {"stride": 5, "pad": 2}),  # more phases than are taken together
]


@pytest.mark.parametrize(("n_C_prev", "n_C", "groups"), GROUPS)
def test_groups(n_C_prev, n_C, groups):
    for number, (f, hparameters) in enumerate(WINDOWS):
        shape, dtype = (((2, 9, 8), np.float64), ((3, 7, 10), np.float32))[number % 2]
        check((*shape, n_C_prev), f, n_C, hparameters | {"groups": groups}, dtype, number)


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_groups_in_rows_of_every_width(size):
    """Rows of whole tiles, rows whose last tile overlaps the one before, rows shorter than a tile."""
    for number, width in enumerate((3, 6, 7, 8, 14, 15, 30)):
        for stride, dtype in ((1, np.float32), (2, np.float64), (2, np.float32)):
            hparameters = {"stride": stride, "pad": 1, "groups": 64 // size}
            check((2, 5, width, 64), (3, 3), 64, hparameters, dtype, number)


def test_groups_whose_samples_are_gathered_one_by_one():
    check((3, 60, 70, 32), (3, 3), 32, {"stride": 1, "pad": 1, "groups": 2})


@pytest.mark.parametrize("f", [3, 5, 6, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_panels_of_every_width(f, stride):
    """Whole panels, and what is left of them: no vector may reach into the next pixel's channels."""
    for n_C in (*range(4, 26), 33, 40, 56, 63, 64, 65, 71, 72, 73, 80, 96, 104, 136):
        for dtype in (np.float32, np.float64):
            hparameters = {"stride": stride, "pad": f // 2, "groups": n_C}
            # 16 outputs a row: two sliding tiles and what is left of them.
            check((2, 5, 16 * stride, n_C), (f, f), n_C, hparameters, dtype, n_C)


def chained(A, dZ, f, stride, dilation):
    """A depthwise `dW` of images padded on all sides: of each element, the chain in the order of the pixels.

    Each step is computed in float64, and rounded: right for products that underflow, are 0 or are infinite.
    """
    below, beside = (f // 2 * gap for gap in dilation)
    padded = np.pad(A.astype(np.float64), ((0, 0), (below, below), (beside, beside), (0, 0)))
    dW = np.zeros((f, f, 1, A.shape[3]), A.dtype)
    with np.errstate(invalid="ignore", under="ignore"):
        for sample, y, x in np.ndindex(dZ.shape[:3]):
            taps = np.ix_(y * stride + np.arange(f) * dilation[0], x * stride + np.arange(f) * dilation[1])
            products = padded[sample][taps] * dZ[sample, y, x].astype(np.float64)
            dW = (products[:, :, np.newaxis] + dW).astype(A.dtype)
    return dW


@pytest.mark.parametrize("f", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_filters_are_chains_with_the_padding_as_zeros(f, stride):
    """Rows shorter and longer than a window. A -0 and a zero are 0, an infinity times a zero is NaN."""
    rng = np.random.default_rng(f)
    for width in (1, 2, 3, 4, 5, 6, 7, 8, 15):
        for n_C, dilation in ((8, (1, 1)), (40, (1, 1)), (100, (2, 1)), (16, (1, 2))):
            shape, pad = (3, 4, width * stride, n_C), tuple(f // 2 * gap for gap in dilation)
            hparameters = {"stride": stride, "pad": pad, "dilation": dilation, "groups": n_C}
            tiny = rng.choice([-1e-30, 1e-30, -1e-30], shape)
            A = np.where(rng.random(shape) < 0.003, np.inf, tiny).astype(np.float32)
            W, b = np.ones((f, f, 1, n_C), np.float32), np.zeros((1, 1, 1, n_C), np.float32)
            with np.errstate(invalid="ignore"):
                Z, cache = cnnref.conv_forward(A, W, b, hparameters)
            dZ = rng.choice([-1e-30, 1e-30, 0], Z.shape).astype(np.float32)
            dW, want = cnnref.conv_backward(dZ, cache)[1], chained(A, dZ, f, stride, dilation)
            known = ~np.isnan(want)
            assert np.array_equal(dW, want, equal_nan=True), (width, n_C)
            assert np.array_equal(np.signbit(dW[known]), np.signbit(want[known])), (width, n_C)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("samples", "n_C"), [(6, 72), (5, 88), (4, 96), (4, 112)])
def test_depthwise_images_that_no_cache_holds(samples, n_C, dtype):
    """Rows are read ahead there, or tiles take whole pixels: the samples together are each one alone."""
    rng = np.random.default_rng(3)
    A, W = whole(rng, samples, 90, 92, n_C).astype(dtype), whole(rng, 3, 3, 1, n_C).astype(dtype)
    b, hparameters = whole(rng, 1, 1, 1, n_C).astype(dtype), {"stride": 2, "pad": 1, "groups": n_C}
    Z, cache = cnnref.conv_forward(A, W, b, hparameters)
    dZ = whole(rng, *Z.shape).astype(dtype)
    dA_prev, dW, db = cnnref.conv_backward(dZ, cache)
    sums = np.zeros_like(dW), np.zeros_like(db)
    for sample in range(samples):
        one = slice(sample, sample + 1)
        alone, cache = cnnref.conv_forward(A[one], W, b, hparameters)
        assert np.array_equal(Z[one], alone)
        gradient, *of_filters = cnnref.conv_backward(dZ[one], cache)
        assert np.array_equal(dA_prev[one], gradient)
        for total, part in zip(sums, of_filters, strict=True):
            total += part
    assert np.array_equal(dW, sums[0])
    assert np.array_equal(db, sums[1])


def test_no_samples_no_channels_no_filters():
    for m, n_C_prev, n_C, groups in (
        (0, 4, 6, 2),
        (2, 0, 6, 2),
        (2, 4, 0, 2),
        (0, 6, 6, 6),
        (2, 0, 0, 2**40),
    ):
        if n_C_prev == 0 and groups > n_C > 0:
            continue
        A, b = np.ones((m, 5, 6, n_C_prev)), np.full((1, 1, 1, n_C), 3.0)
        W = np.ones((3, 2, n_C_prev // groups, n_C))
        Z, cache = cnnref.conv_forward(A, W, b, {"stride": (1, 2), "pad": 0, "groups": groups})
        assert Z.shape == (m, 3, 3, n_C)
        if n_C_prev == 0:
            assert (Z == 3).all()
        dA_prev, dW, db = cnnref.conv_backward(np.ones_like(Z), cache)
        assert dA_prev.shape == A.shape
        assert dW.shape == W.shape
        assert not dA_prev.any()
        assert not dW.any()
        assert np.array_equal(db, np.full((1, 1, 1, n_C), 9.0 * m))


def test_padding_never_meets_the_filters():
    """0 * inf is NaN, but what lies in the padding is no term; neither in groups nor with dilation."""
    for groups, f in ((1, (3, 3)), (8, (3, 3)), (2, (3, 2)), (32, (3, 3))):
        A, W = np.ones((1, 5, 6, 32)), np.ones((*f, 32 // groups, 32))
        W[0, 0] = np.inf
        for hparameters in ({"stride": 1, "pad": 1}, {"stride": 1, "pad": ((2, 0), (3, 1)), "dilation": 2}):
            Z, _ = cnnref.conv_forward(A, W, np.zeros((1, 1, 1, 32)), hparameters | {"groups": groups})
            assert not np.isnan(Z).any()
            assert np.isfinite(Z[0, 0]).all()
            assert np.isinf(Z[0, -1, -1]).all()


def test_the_cache_holds_the_hyperparameters_as_given():
    given = {"stride": (2, 1), "pad": "same", "dilation": [1, 2], "groups": 3}
    A, W, b = np.ones((1, 6, 7, 3)), np.ones((2, 3, 1, 6)), np.ones((1, 1, 1, 6))
    _, cache = cnnref.conv_forward(A, W, b, given)
    assert cache.hparameters == given
    assert cache.hparameters is not given
    assert cache.A_prev is A


def test_the_bias_of_the_post_counts_the_terms_of_the_window():
    rng = np.random.default_rng(3)
    for f, n_C_prev, groups, dilation in (((3, 2), 4, 1, 1), ((3, 2), 4, 2, 1), ((1, 3), 6, 6, (1, 2))):
        A, W = whole(rng, 2, 7, 8, n_C_prev), whole(rng, *f, n_C_prev // groups, 6)
        b, none = whole(rng, 1, 1, 1, 6), np.zeros((1, 1, 1, 6))
        hparameters = {"stride": 1, "pad": (1, 2), "dilation": dilation, "groups": groups}
        Z, cache = blog.conv_forward(A, W, b, hparameters)
        plain, _ = cnnref.conv_forward(A, W, none, hparameters)
        assert np.array_equal(Z, plain + b * (f[0] * f[1] * n_C_prev // groups))
        assert np.array_equal(cache.b, b)
        dZ = whole(rng, *Z.shape)
        for mine, true in zip(blog.conv_backward(dZ, cache), cnnref.conv_backward(dZ, cache), strict=True):
            assert np.array_equal(mine, true)
