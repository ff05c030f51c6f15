"""Pooling: values by hand, an independent loop over many shapes, ties and NaN, what the cache keeps."""

import copy
import pickle

import numpy as np
import pytest

import cnnref

SHAPES = [
    # m, H, W, C, f, stride
    (2, 7, 5, 3, 2, 2),
    (1, 9, 11, 1, 3, 2),
    (3, 6, 8, 16, 3, 1),
    (2, 5, 13, 17, 2, 3),
    (1, 4, 4, 33, 4, 1),
    (2, 8, 6, 2, 1, 2),
    (1, 12, 10, 8, 5, 4),
    (2, 3, 40, 1, 2, 5),
    (1, 20, 21, 3, 17, 1),  # positions no longer fit a byte
    (1, 1, 1, 5, 1, 1),
    (1, 7, 9, 65, 2, 9),  # stride above the window and the image
    (2, 8, 9, 8, 2, 2),
    (1, 7, 10, 31, 3, 3),
    (2, 9, 9, 12, 3, 2),
    (1, 40, 21, 10, 17, 17),
    (0, 6, 5, 4, 2, 2),
]


def windows(x, f, stride):
    """Yield (i, j, the window's slices)."""
    for i in range((x.shape[1] - f) // stride + 1):
        for j in range((x.shape[2] - f) // stride + 1):
            yield i, j, (slice(i * stride, i * stride + f), slice(j * stride, j * stride + f))


def loop_forward(x, f, stride, mode):
    out = np.empty(
        (len(x), (x.shape[1] - f) // stride + 1, (x.shape[2] - f) // stride + 1, x.shape[3]), x.dtype
    )
    for i, j, (rows, columns) in windows(x, f, stride):
        window = x[:, rows, columns].astype(np.float64)
        out[:, i, j] = window.max((1, 2)) if mode == "max" else window.mean((1, 2))
    return out


def loop_backward(dA, x, f, stride, mode):
    dx = np.zeros(x.shape)
    for i, j, (rows, columns) in windows(x, f, stride):
        for sample in range(len(x)):
            for c in range(x.shape[3]):
                share = np.zeros((f, f))
                if mode == "max":
                    share.flat[np.argmax(x[sample, rows, columns, c])] = 1  # the first
                else:
                    share[:] = 1 / (f * f)
                dx[sample, rows, columns, c] += share * dA[sample, i, j, c]
    return dx


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_against_loops(shape, mode, dtype):
    *extents, f, stride = shape
    rng = np.random.default_rng(sum(shape))
    x = rng.integers(-9, 9, extents).astype(dtype)  # with ties
    A, cache = cnnref.pool_forward(x, {"f": f, "stride": stride}, mode)
    expected = loop_forward(x, f, stride, mode)
    assert A.dtype == dtype
    assert A.shape == expected.shape
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(A, expected, rtol=tolerance if mode == "average" else 0, atol=tolerance)
    dA = rng.integers(-50, 50, A.shape).astype(dtype)
    dx = cnnref.pool_backward(dA, cache, mode)
    assert dx.dtype == dtype
    expected = loop_backward(dA, x, f, stride, mode)
    atol = 50 * f * f * np.finfo(dtype).eps if mode == "average" else 0
    np.testing.assert_allclose(dx, expected, rtol=0, atol=atol)
    for hand_made in (tuple(cache), cache._asdict()):
        assert cnnref.pool_backward(dA, hand_made, mode).tobytes() == dx.tobytes()


def test_by_hand():
    x = np.array([[1.0, 3.0, 2.0], [4.0, 0.0, 9.0], [5.0, 8.0, 7.0]]).reshape(1, 3, 3, 1)
    A, cache = cnnref.pool_forward(x, {"f": 2, "stride": 1})
    np.testing.assert_array_equal(A[0, :, :, 0], [[4, 9], [8, 9]])
    dx = cnnref.pool_backward(np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(A.shape), cache)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 0, 0], [1, 0, 1010], [0, 100, 0]])
    A, cache = cnnref.pool_forward(x, {"f": 2, "stride": 1}, "average")
    np.testing.assert_array_equal(A[0, :, :, 0], [[2, 3.5], [4.25, 6]])
    dx = cnnref.pool_backward(np.array([[4.0, 8.0], [16.0, 32.0]]).reshape(A.shape), cache, "average")
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 3, 2], [5, 15, 10], [4, 12, 8]])


@pytest.mark.parametrize("channels", [1, 3, 16, 19])
def test_first_maximum_and_last_nan(channels):
    nan = np.nan
    rows = {
        "tie": ([2.0, 5.0, 5.0, 5.0], 5.0, 1),
        "all -inf": ([-np.inf] * 4, -np.inf, 0),
        "nan first": ([nan, 7.0, 8.0, 9.0], nan, 0),
        "two nan": ([nan, 7.0, nan, 9.0], nan, 2),
        "-0 and 0": ([-0.0, 0.0, 0.0, -0.0], -0.0, 0),
        "inf and nan": ([np.inf, nan, np.inf, 1.0], nan, 1),
    }
    for name, (values, top, position) in rows.items():
        x = np.tile(np.reshape(values, (1, 2, 2, 1)), (1, 1, 1, channels))
        A, cache = cnnref.pool_forward(x, {"f": 2, "stride": 2})
        np.testing.assert_array_equal(A.ravel(), np.full(channels, top), err_msg=name)
        assert np.signbit(A).all() == np.signbit(top), name
        dx = cnnref.pool_backward(np.full(A.shape, 3.0), cache)
        expected = np.zeros(4)
        expected[position] = 3
        np.testing.assert_array_equal(
            dx[0].reshape(4, channels), np.tile(expected[:, None], channels), err_msg=name
        )


def test_average_of_nan_and_infinities():
    x = np.array([1.0, np.nan, 2.0, 3.0, np.inf, 1.0, 1.0, np.inf, np.inf, 0.0, 0.0, -np.inf]).reshape(
        3, 2, 2, 1
    )
    A, _ = cnnref.pool_forward(x, {"f": 2, "stride": 2}, "average")
    np.testing.assert_array_equal(A.ravel(), [np.nan, np.inf, np.nan])


def test_the_other_mode_answers_from_the_input():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 6, 7, 5))
    hparameters = {"f": 3, "stride": 2}
    A, of_average = cnnref.pool_forward(x, hparameters, "average")
    _, of_max = cnnref.pool_forward(x, hparameters, "max")
    dA = rng.normal(size=A.shape)
    for mode in ("max", "average"):
        assert (
            cnnref.pool_backward(dA, of_average, mode).tobytes()
            == cnnref.pool_backward(dA, of_max, mode).tobytes()
        )
    assert not np.array_equal(
        cnnref.pool_backward(dA, of_max, "max"), cnnref.pool_backward(dA, of_max, "average")
    )


def test_cache_is_the_plain_named_tuple():
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    hparameters = {"f": 2, "stride": 2}
    _, cache = cnnref.pool_forward(x, hparameters)
    assert type(cache) is cnnref.PoolCache
    assert cache._fields == ("A_prev", "hparameters")
    assert len(cache) == 2
    assert cache.A_prev is x
    assert cache.hparameters == hparameters
    hparameters["f"] = 3
    assert cache.hparameters["f"] == 2
    assert "argmax" not in repr(cache)


@pytest.mark.parametrize(
    "copier", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
)
def test_copies_of_the_cache(copier):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 6, 6, 3))
    A, cache = cnnref.pool_forward(x, {"f": 3, "stride": 3})
    dA = rng.normal(size=A.shape)
    assert cnnref.pool_backward(dA, copier(cache)).tobytes() == cnnref.pool_backward(dA, cache).tobytes()


def test_a_changed_cache_does_not_use_what_forward_kept():
    rng = np.random.default_rng(5)
    x, other = rng.normal(size=(2, 1, 6, 6, 2))
    A, cache = cnnref.pool_forward(x, {"f": 2, "stride": 2})
    dA = rng.normal(size=A.shape)
    replaced = cache._replace(A_prev=other)
    expected = cnnref.pool_backward(dA, (other, {"f": 2, "stride": 2}))
    assert cnnref.pool_backward(dA, replaced).tobytes() == expected.tobytes()
    cache.hparameters["f"] = 1  # as many windows, of another size
    dx = cnnref.pool_backward(dA, cache)
    np.testing.assert_array_equal(dx[:, ::2, ::2], dA)


def test_positions_that_are_none_cannot_write_elsewhere():
    for f in (2, 17):
        x = np.random.default_rng(6).normal(size=(1, 40, 40, 1))
        A, cache = cnnref.pool_forward(x, {"f": f, "stride": f})
        positions, *_ = cache._argmax
        positions[...] = np.iinfo(positions.dtype).max
        assert not cnnref.pool_backward(np.ones_like(A), cache).any()


def test_forward_decides_where_the_maximum_is():
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
    A, cache = cnnref.pool_forward(x, {"f": 2, "stride": 2})
    x[0, 0, 0, 0] = 9
    np.testing.assert_array_equal(cnnref.pool_backward(np.ones_like(A), cache).ravel(), [0, 0, 0, 1])


def test_gradient_of_another_dtype():
    x = np.random.default_rng(7).normal(size=(1, 5, 5, 3)).astype(np.float32)
    A, cache = cnnref.pool_forward(x, {"f": 2, "stride": 1})
    dA = np.random.default_rng(8).normal(size=A.shape)
    dx = cnnref.pool_backward(dA, cache)
    assert dx.dtype == np.float64
    assert (
        dx.tobytes()
        == cnnref.pool_backward(dA, cnnref.pool_forward(x.astype(float), {"f": 2, "stride": 1})[1]).tobytes()
    )


@pytest.mark.parametrize("f", [256, 257])
def test_windows_whose_positions_need_more_bytes(f):
    x = np.random.default_rng(f).normal(size=(1, 260, 259, 1)).astype(np.float32)
    x[0, 100, 200] = 9
    A, cache = cnnref.pool_forward(x, {"f": f, "stride": 1})
    assert A[0, 1, 2, 0] == x[0, 1 : 1 + f, 2 : 2 + f].max()
    dA = np.ones_like(A)
    dx = cnnref.pool_backward(dA, cache)
    assert dx.sum() == A.size
    assert dx[0, 100, 200, 0] == A.size


@pytest.mark.parametrize("stride", [2**31, 2**62, 2**63 - 1])
def test_stride_beyond_every_image(stride):
    x = np.random.default_rng(9).normal(size=(2, 5, 7, 3))
    for mode in ("max", "average"):
        A, cache = cnnref.pool_forward(x, {"f": 2, "stride": stride}, mode)
        expected, _ = cnnref.pool_forward(x[:, :2, :2], {"f": 2, "stride": 1}, mode)
        np.testing.assert_array_equal(A, expected)
        dx = cnnref.pool_backward(np.ones_like(A), cache, mode)
        assert dx.sum() == A.size
        assert not dx[:, 2:].any()


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("f", [5, 16, 20])
def test_rows_of_one_image_divided_among_threads(f, mode):
    rng = np.random.default_rng(10)
    x = np.round(rng.normal(size=(1, 150, 97, 17)), 1)
    A, cache = cnnref.pool_forward(x, {"f": f, "stride": 2}, mode)
    dA = rng.normal(size=A.shape)
    before = cnnref.get_num_threads()
    results = set()
    try:
        for threads in (1, 2, 3, 5, 8):
            cnnref.set_num_threads(threads)
            results.add(cnnref.pool_backward(dA, cache, mode).tobytes())
    finally:
        cnnref.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("f", [2, 3])
@pytest.mark.parametrize("mode", ["max", "average"])
def test_images_that_no_cache_holds(f, mode):
    """Rows are read ahead there: the samples together are each one alone."""
    A_prev = np.random.default_rng(4).normal(size=(4, 91, 90, 64))
    hparameters = {"f": f, "stride": 2}
    A, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    gradient = cnnref.pool_backward(A, cache, mode)
    for sample in range(4):
        alone, cache = cnnref.pool_forward(A_prev[sample : sample + 1], hparameters, mode)
        assert np.array_equal(A[sample : sample + 1], alone)
        assert np.array_equal(gradient[sample : sample + 1], cnnref.pool_backward(alone, cache, mode))


def test_mask_from_window():
    np.testing.assert_array_equal(cnnref.create_mask_from_window([[1.0, 3.0], [4.0, 2.0]]), [[0, 0], [1, 0]])
    np.testing.assert_array_equal(cnnref.create_mask_from_window([[4.0, 3.0], [4.0, 4.0]]), [[1, 0], [0, 0]])
    np.testing.assert_array_equal(
        cnnref.create_mask_from_window([[np.nan, 3.0], [np.nan, 4.0]]), [[0, 0], [1, 0]]
    )
    assert cnnref.create_mask_from_window(np.ones((2, 2), np.float32)).dtype == np.float32
    assert cnnref.create_mask_from_window(np.empty((0, 3))).shape == (0, 3)


def test_distribute_value():
    np.testing.assert_array_equal(cnnref.distribute_value(3.0, (2, 3)), np.full((2, 3), 0.5))
    assert cnnref.distribute_value(np.float32(1), (3, 3)).dtype == np.float64
    assert cnnref.distribute_value(1, 4).tolist() == [0.25] * 4
    assert cnnref.distribute_value(1.0, np.array([1, 2])).shape == (1, 2)
    assert cnnref.distribute_value(1.0, (0, 2)).shape == (0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_positions_in_windows_of_more_than_65536_elements(dtype):
    """They have 64 bits each; of a few windows a row, the row is written by lanes that go beyond it."""
    generator = np.random.default_rng(0)
    x, f, stride = generator.permutation(264 * 266).reshape(1, 264, 266, 1).astype(dtype), 257, 3
    A, cache = cnnref.pool_forward(x, {"f": f, "stride": stride})
    dA = generator.standard_normal(A.shape).astype(dtype)
    expected = np.zeros(x.shape)
    for i, j in np.ndindex(A.shape[1:3]):
        window = x[0, stride * i : stride * i + f, stride * j : stride * j + f, 0]
        row, column = np.unravel_index(window.argmax(), window.shape)
        assert A[0, i, j, 0] == window[row, column]
        expected[0, stride * i + row, stride * j + column, 0] += dA[0, i, j, 0]
    np.testing.assert_allclose(cnnref.pool_backward(dA, cache), expected, rtol=1e-5, atol=1e-6)
