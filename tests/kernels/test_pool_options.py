"""Pooling with padding, dilation, two extents, extents rounded up: PyTorch's values, refusals, the bits."""

import random

import numpy as np
import pytest
import torch
from torch.nn import functional

import cnnref
from cnnref import blog

torch.set_num_threads(1)

PLAIN = {"pad": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True}


def torch_pool(x, hyper, mode, dA=None):
    """(A, dA_prev) by torch in float64; NotImplementedError where torch refuses."""
    t = torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float64)).contiguous().requires_grad_()
    f, s, p = hyper["f"], hyper["stride"], hyper["pad"]
    try:
        if mode == "max":
            y = functional.max_pool2d(t, f, s, p, hyper["dilation"], hyper["ceil_mode"])
        else:
            y = functional.avg_pool2d(t, f, s, p, hyper["ceil_mode"], hyper["count_include_pad"])
    except RuntimeError as error:
        raise NotImplementedError(str(error)) from None
    A = y.detach().numpy().transpose(0, 2, 3, 1)
    if dA is None:
        return A, None
    y.backward(torch.tensor(dA.transpose(0, 3, 1, 2).astype(np.float64)))
    return A, t.grad.numpy().transpose(0, 2, 3, 1)


def drawn(seed):
    """(image, hparameters, mode): sometimes with ties throughout, -inf or NaN."""
    one = random.Random(seed)
    mode = one.choice(["max", "average"])

    def two(low, high):
        pair = one.randint(low, high), one.randint(low, high)
        return one.choice([pair, pair[0]])

    hyper = {
        "f": two(1, 5),
        "stride": two(1, 4),
        "pad": two(0, 2),
        "dilation": two(1, 3) if mode == "max" else 1,
        "ceil_mode": one.random() < 0.5,
        "count_include_pad": mode == "max" or one.random() < 0.5,
    }
    extents = one.choice([1, 2]), one.randint(1, 12), one.randint(1, 13), one.choice([1, 2, 3, 5, 16, 17, 33])
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, extents).astype(np.float64)
    if mode == "max" and seed % 4 == 0:
        x[rng.random(extents) < 0.5] = -np.inf
    if mode == "max" and seed % 5 == 0:
        x[rng.random(extents) < 0.1] = np.nan
    return x, hyper, mode


def test_values_and_gradients_are_pytorch_s_and_so_is_what_is_refused():
    compared = refused = 0
    for seed in range(600):
        x, hyper, mode = drawn(seed)
        try:
            expected, _ = torch_pool(x, hyper, mode)
        except NotImplementedError:
            with pytest.raises(ValueError, match=r"^pool_forward: hparameters\['(pad|f|dilation)'\]"):
                cnnref.pool_forward(x, hyper, mode)
            refused += 1
            continue
        try:
            A, cache = cnnref.pool_forward(x, hyper, mode)
        except ValueError as error:
            if "leaves a window without a tap" not in str(error):
                raise
            # Torch gives -inf from no element at all.
            assert np.isneginf(expected).any()
            continue
        dA = np.random.default_rng(seed).integers(-9, 10, A.shape).astype(np.float64)
        _, gradient = torch_pool(x, hyper, mode, dA)
        dA_prev = cnnref.pool_backward(dA, cache, mode)
        close = {"rtol": 1e-13, "atol": 1e-13} if mode == "average" else {"rtol": 0}
        np.testing.assert_allclose(A, expected, **close, err_msg=f"{seed} {hyper}")
        np.testing.assert_allclose(dA_prev, gradient, **close, err_msg=f"{seed} {hyper}")
        assert cnnref.pool_backward(dA, tuple(cache), mode).tobytes() == dA_prev.tobytes()
        compared += 1
    assert compared > 200
    assert refused > 80


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_another_way_to_write_a_plain_call_has_the_same_bits(mode, dtype):
    x = np.random.default_rng(1).normal(size=(2, 9, 11, 19)).astype(dtype)
    A, cache = cnnref.pool_forward(x, {"f": 3, "stride": 2}, mode)
    dA = np.random.default_rng(2).normal(size=A.shape).astype(dtype)
    dA_prev = cnnref.pool_backward(dA, cache, mode)
    for other in (PLAIN, {"pad": "valid"}, {"f": (3, 3), "stride": [2, 2]}, {"pad": ((0, 0), (0, 0))}):
        again, kept = cnnref.pool_forward(x, {"f": 3, "stride": 2} | other, mode)
        assert again.tobytes() == A.tobytes()
        assert cnnref.pool_backward(dA, kept, mode).tobytes() == dA_prev.tobytes()


@pytest.mark.parametrize("channels", [1, 3, 5, 16, 19, 33])
@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_written_into_the_image_gives_the_same_bits(stride, mode, channels):
    """The kernels of dense windows and those of options agree to the last bit on inner windows."""
    x = np.random.default_rng(3).normal(size=(2, 12, 13, channels)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf if mode == "max" else 0)
    dense, _ = cnnref.pool_forward(padded, {"f": 3, "stride": stride}, mode)
    A, cache = cnnref.pool_forward(x, {"f": 3, "stride": stride, "pad": 1}, mode)
    assert A.tobytes() == dense.tobytes()
    dA = np.random.default_rng(4).normal(size=A.shape).astype(np.float32)
    inner = cnnref.pool_backward(dA, (padded, {"f": 3, "stride": stride}), mode)[:, 1:-1, 1:-1]
    assert cnnref.pool_backward(dA, cache, mode).tobytes() == inner.tobytes()


def test_by_hand():
    x = np.array([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]).reshape(1, 2, 3, 1)
    hyper = {"f": (2, 2), "stride": (2, 1), "pad": ((1, 0), (0, 1)), "ceil_mode": True}
    A, cache = cnnref.pool_forward(x, hyper)
    np.testing.assert_array_equal(A[0, :, :, 0], [[1, 3, 3], [5, 5, -6]])
    dA = np.array([[1.0, 10.0, 100.0], [1000.0, 10000.0, 100000.0]]).reshape(A.shape)
    np.testing.assert_array_equal(
        cnnref.pool_backward(dA, cache)[0, :, :, 0], [[1, 0, 110], [0, 11000, 100000]]
    )
    A, _ = cnnref.pool_forward(x, hyper, "average")  # the row beyond is not counted, the padding is
    np.testing.assert_array_equal(A[0, :, :, 0], [[-0.25, 0.25, 0.75], [0.5, -0.5, -3]])
    A, _ = cnnref.pool_forward(x, hyper | {"count_include_pad": False}, "average")
    np.testing.assert_array_equal(A[0, :, :, 0], [[-0.5, 0.5, 3], [0.5, -0.5, -6]])


def test_same_is_half_before_and_the_rest_after():
    x = np.arange(1.0, 8).reshape(1, 1, 7, 1)
    for pad, expected in (("same", [3, 5, 7, 7]), ("same_lower", [2, 4, 6, 7])):
        A, _ = cnnref.pool_forward(x, {"f": (1, 4), "stride": (1, 2), "pad": pad})
        assert A.ravel().tolist() == expected, pad
    A, _ = cnnref.pool_forward(x, {"f": (1, 3), "stride": 1, "pad": "same", "dilation": 2})
    assert A.ravel().tolist() == [3, 4, 5, 6, 7, 6, 7]


def test_a_window_of_minus_infinity_gives_its_gradient_to_its_first_tap_in_the_image():
    x = np.full((1, 3, 3, 17), -np.inf)
    for pad, place in ((1, (0, 0)), (((1, 0), (0, 1)), (0, 0)), (((0, 1), (1, 0)), (0, 0))):
        A, cache = cnnref.pool_forward(x, {"f": 3, "stride": 3, "pad": pad})
        assert np.isneginf(A).all()
        dA_prev = cnnref.pool_backward(np.ones_like(A), cache)
        assert dA_prev.sum() == A.size
        assert (dA_prev[0, place[0], place[1]] == 1).all()


@pytest.mark.parametrize(
    ("changes", "mode", "message"),
    [
        ({"pad": 2}, "max", "hparameters['pad'] must be at most half of the window's 3 rows, got 2"),
        ({"pad": (0, 2)}, "max", "hparameters['pad'] must be at most half of the window's 3 columns, got 2"),
        ({"pad": -1}, "max", "hparameters['pad'] must be at least 0, got -1"),
        ({"pad": "full"}, "max", "'same', 'same_lower' or 'valid', got 'full'"),
        ({"pad": ((1, 1), 1)}, "max", "hparameters['pad'] must be an integer, a pair (h, w)"),
        ({"dilation": 0}, "max", "hparameters['dilation'] must be at least 1, got 0"),
        ({"dilation": 3}, "max", "hparameters['f'] makes a window of 7 rows, larger than A_prev of 5 rows"),
        ({"dilation": 3, "pad": "same", "f": 2, "stride": 3}, "max", None),
        ({"dilation": 2}, "average", "hparameters['dilation'] must be 1 in mode 'average', got 2"),
        ({"count_include_pad": False}, "max", "hparameters['count_include_pad'] must be True in mode 'max'"),
        ({"f": (3, 3, 3)}, "max", "hparameters['f'] must be an integer or a pair (h, w) of them, got"),
        ({"f": (6, 3)}, "max", "hparameters['f'] makes a window of 6 rows, larger than A_prev of 5 rows"),
        ({"f": 10**30}, "max", "hparameters['f'] is out of range"),
        ({"padding": 1}, "max", "hparameters must have only the keys f, stride, pad, dilation, ceil_mode"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(changes, mode, message):
    x = np.zeros((1, 5, 6, 2))
    hyper = {"f": 3, "stride": 2} | changes
    if message is None:
        cnnref.pool_forward(x, hyper, mode)
        return
    for module in (cnnref, blog):
        with pytest.raises((TypeError, ValueError)) as caught:  # the text is compared below
            module.pool_forward(x, hyper, mode)
        assert str(caught.value).startswith("pool_forward: ")
        assert message in str(caught.value)
        with pytest.raises((TypeError, ValueError)) as caught:
            module.pool_backward(x, (x, hyper), mode)
        assert str(caught.value).startswith("pool_backward: ")


@pytest.mark.parametrize("key", ["ceil_mode", "count_include_pad"])
def test_flags_are_true_or_false(key):
    x = np.zeros((1, 5, 6, 2))
    for value in (1, 0, None, "True", 1.0, [True]):
        with pytest.raises(
            TypeError, match=rf"pool_forward: hparameters\['{key}'\] must be True or False, got"
        ):
            cnnref.pool_forward(x, {"f": 3, "stride": 2, key: value}, "average")
    cnnref.pool_forward(x, {"f": 3, "stride": 2, key: np.True_}, "average")


def test_huge_windows_and_strides():
    x = np.arange(30.0).reshape(1, 5, 6, 1)
    for huge in (2**40, 2**62):
        A, cache = cnnref.pool_forward(x, {"f": 3, "stride": huge, "pad": 1, "ceil_mode": True})
        assert A.ravel().tolist() == [x[0, 1, 1, 0]]
        assert cnnref.pool_backward(np.ones_like(A), cache).sum() == 1
        A, _ = cnnref.pool_forward(x, {"f": (2, 1), "stride": 1, "dilation": (4, huge)})
        assert A.shape == (1, 1, 6, 1)
    A, cache = cnnref.pool_forward(x, {"f": (300, 1), "stride": (400, 1), "pad": (149, 0)}, "max")
    assert A.ravel().tolist() == x[0, -1, :, 0].tolist()
    assert cnnref.pool_backward(np.ones_like(A), cache)[0, -1].sum() == 6
    with pytest.raises(ValueError, match="too large to address"):
        cnnref.pool_forward(x, {"f": 2**62, "stride": 1, "pad": 2**61})


def test_positions_are_kept_and_used_only_where_they_belong():
    rng = np.random.default_rng(5)
    x, other = rng.normal(size=(2, 2, 7, 8, 3))
    hyper = {"f": 4, "stride": 2, "pad": 1}
    A, cache = cnnref.pool_forward(x, hyper)
    dA = rng.normal(size=A.shape)
    right = cnnref.pool_backward(dA, (other, hyper))
    assert cnnref.pool_backward(dA, cache._replace(A_prev=other)).tobytes() == right.tobytes()
    cache.hparameters["pad"] = ((1, 1), (0, 2))  # as many windows, elsewhere
    moved = cnnref.pool_backward(dA, (x, dict(cache.hparameters)))
    assert cnnref.pool_backward(dA, cache).tobytes() == moved.tobytes()
    assert moved.tobytes() != cnnref.pool_backward(dA, (x, hyper)).tobytes()
    x[...] = np.nan  # forward decides where the maximum is
    cache.hparameters["pad"] = 1
    assert np.isfinite(cnnref.pool_backward(dA, cache)).all()


@pytest.mark.parametrize(
    "hyper", [{"f": 3, "pad": 1}, {"f": (2, 3), "dilation": 2, "ceil_mode": True}], ids=str
)
def test_the_post_s_maxima_all_take_the_gradient(hyper):
    x = np.random.default_rng(6).integers(0, 3, (2, 9, 8, 3)).astype(np.float64)
    hyper = {"stride": 2} | hyper
    A, cache = blog.pool_forward(x, hyper)
    assert A.tobytes() == cnnref.pool_forward(x, hyper)[0].tobytes()
    dA = np.ones_like(A)
    total = np.zeros_like(x)
    f, d, p = np.broadcast_to(hyper["f"], 2), hyper.get("dilation", 1), hyper.get("pad", 0)
    for i, j, r, q in np.ndindex(A.shape[1], A.shape[2], *f):
        row, column = 2 * i + r * d - p, 2 * j + q * d - p
        if 0 <= row < 9 and 0 <= column < 8:
            total[:, row, column] += x[:, row, column] == A[:, i, j]
    np.testing.assert_array_equal(blog.pool_backward(dA, cache), total)
    for mode in ("max", "average"):
        if mode == "max" or "dilation" not in hyper:
            blog.pool_backward(dA, cache, mode)


@pytest.mark.parametrize("mode", ["max", "average"])
def test_the_bits_do_not_depend_on_threads_or_batch(mode):
    rng = np.random.default_rng(7)
    x = np.round(rng.normal(size=(3, 61, 57, 17)), 1)
    hyper = {"f": (3, 5), "stride": (2, 1), "pad": (1, 2), "ceil_mode": True}
    before = cnnref.get_num_threads()
    found = set()
    try:
        for threads in (1, 2, 3, 8):
            cnnref.set_num_threads(threads)
            A, cache = cnnref.pool_forward(x, hyper, mode)
            dA = np.random.default_rng(8).normal(size=A.shape)
            found.add((A.tobytes(), cnnref.pool_backward(dA, cache, mode).tobytes()))
    finally:
        cnnref.set_num_threads(before)
    assert len(found) == 1
    alone, cache = cnnref.pool_forward(x[1:2], hyper, mode)
    assert alone.tobytes() == A[1:2].tobytes()
    whole = cnnref.pool_backward(dA, (x, hyper), mode)
    assert cnnref.pool_backward(dA[1:2], cache, mode).tobytes() == whole[1:2].tobytes()
