"""`cnnref.blog` against what the post's own R code computed, and each convention in which it differs."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import cnnref
from cnnref import blog

GOLDEN = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "data" / "blog-golden.json.gz").read_bytes())
)
CASES = GOLDEN["cases"]
WITH_OUTPUTS = [case for case in CASES if "out" in case]
STOPPED = [case for case in CASES if "out" not in case]
SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}

#: Names of the golden file's results, in the order in which the functions return them.
RETURNS = {"conv_backward": 3, "affine_backward": 3, "affine_activation_backward": 3}


def decoded(value):
    """A value of the golden file: numbers, arrays, and lists by name."""
    if isinstance(value, dict):
        if {"shape", "data"} <= set(value):
            return np.array([SPECIAL.get(x, x) for x in value["data"]], float).reshape(value["shape"])
        return {key.replace("Y.index", "Y_index"): decoded(x) for key, x in value.items()}
    return SPECIAL.get(value, value) if isinstance(value, str) else value


def call(case):
    keywords = {key: decoded(value) for key, value in case["args"].items()}
    if case["fn"] == "cross_entropy_cost":
        keywords["Y"] = keywords["Y"].astype(int)
    if case["fn"] == "distribute_value":
        keywords["shape"] = tuple(keywords["shape"].astype(int))
    return keywords, getattr(blog, case["fn"])(**keywords)


def agree(got, expected):
    """Relative 1e-12, element by element."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=0)


def agree_deeply(got, expected, keywords):
    """A cache: `expected` has arrays, numbers, lists by name and references to arguments."""
    if isinstance(expected, dict) and set(expected) == {"ref"}:
        for step in expected["ref"].split("/"):
            if step not in ("", "args"):
                keywords = keywords[step]
        expected = keywords
    if isinstance(expected, dict):
        got = got._asdict() if hasattr(got, "_asdict") else got
        assert list(got) == list(expected)
        for key, value in expected.items():
            agree_deeply(got[key], value, keywords)
    else:
        agree(got, expected)


def test_the_file_is_whole():
    assert GOLDEN["format"] == "golden-1"
    assert len(WITH_OUTPUTS) + len(STOPPED) == len(CASES) == 72
    assert len(STOPPED) == 5


@pytest.mark.parametrize("case", WITH_OUTPUTS, ids=[f"{case['id']}-{case['fn']}" for case in WITH_OUTPUTS])
def test_golden(case):
    keywords, result = call(case)
    expected = decoded(case["out"])
    if case["returns"] == "value":
        assert len(expected) == 1
        agree(np.asarray(result), np.reshape(next(iter(expected.values())), np.shape(result)))
        return
    assert len(result) == len(expected)
    for got, (name, value) in zip(result, expected.items(), strict=True):
        if name == "cache" and case["fn"] == "cross_entropy_cost":
            agree(got.AL, keywords["AL"])
            agree(got.Y_index + 1, value["Y_index"])  # R counts from 1
        elif name == "cache":
            agree_deeply(got, value, keywords)
        else:
            agree(got, np.reshape(value, np.shape(got)))


def test_a_wrong_digit_is_seen():
    case = next(case for case in WITH_OUTPUTS if case["fn"] == "conv_forward")
    _, (Z, _) = call(case)
    expected = decoded(case["out"])["Z"]
    expected[-1, -1, -1, -1] *= 1 + 1e-11
    with pytest.raises(AssertionError):
        agree(Z, expected)


@pytest.mark.parametrize("case", STOPPED, ids=[f"{case['id']}-{case['fn']}" for case in STOPPED])
def test_where_r_stops(case):
    """What the prose says: the operation itself where the arguments make sense, else an error."""
    if case["error"].startswith(("subscript out of bounds", "the dims contain negative")):
        with pytest.raises(ValueError, match=f"^{case['fn']}: "):
            call(case)
        return
    keywords, result = call(case)
    if case["fn"] == "conv_forward":  # f = 1: a product for each pixel, the bias for each input channel
        W, b = keywords["W"][0, 0], keywords["b"].ravel()
        agree(result[0], keywords["A_prev"] @ W + W.shape[0] * b)
    elif case["fn"] == "relu_backward":  # plain vectors
        agree(result, np.where(keywords["cache"] < 0, 0, keywords["dA"]))
    else:  # max pooling of a single channel, windows side by side
        assert case["fn"] == "pool_backward"
        A_prev, dA = keywords["cache"]["A_prev"], keywords["dA"]
        f, stride = keywords["cache"]["hparameters"]["f"], keywords["cache"]["hparameters"]["stride"]
        expected = np.zeros_like(A_prev)
        for m, i, j, c in np.ndindex(*dA.shape):
            window = np.s_[m, i * stride : i * stride + f, j * stride : j * stride + f, c]
            expected[window] += blog.create_mask_from_window(A_prev[window]) * dA[m, i, j, c]
        agree(result, expected)


def test_names_and_signatures_are_those_of_cnnref():
    import inspect

    caches_and_threads = ("Cache", "Warning", "_threads", "_config", "kernel_for")
    public = [name for name in cnnref.__all__ if callable(getattr(cnnref, name))]
    functions = [name for name in public if not name.endswith(caches_and_threads)]
    assert blog.__all__ == sorted(functions)
    for name in blog.__all__:
        mine, theirs = getattr(blog, name), getattr(cnnref, name)
        assert mine.__name__ == theirs.__name__ == name
        assert inspect.signature(mine) == inspect.signature(theirs)
        assert theirs.__module__ == "cnnref"
        assert mine.__module__ == ("cnnref" if mine is theirs else "cnnref.blog")
        assert mine.__doc__


@pytest.mark.parametrize(("f", "channels"), [(2, 1), (3, 2), (5, 3)])
def test_the_bias_counts_for_every_product(f, channels):
    rng = np.random.default_rng(f)
    a, W = rng.normal(size=(2, f, f, channels))
    step = [module.conv_single_step(a, W, b) for module in (blog, cnnref) for b in (0.0, 1.0)]
    assert step[1] - step[0] == pytest.approx(f * f * channels)
    assert step[3] - step[2] == pytest.approx(1)
    b = np.full((1, 1, 1, 1), 0.7)
    Z, cache = blog.conv_forward(np.zeros((1, f, f, channels)), W[..., None], b, {"stride": 1, "pad": f})
    np.testing.assert_allclose(Z, 0.7 * f * f * channels, rtol=1e-15)
    np.testing.assert_array_equal(cache.b, b)
    assert cache.b is b


def test_ties_take_all_of_the_gradient_each():
    x = np.array([3.0, 3.0, 1.0, 2.0]).reshape(1, 2, 2, 1)
    _, cache = blog.pool_forward(x, {"f": 2, "stride": 2})
    np.testing.assert_array_equal(blog.pool_backward(np.ones((1, 1, 1, 1)), cache).ravel(), [1, 1, 0, 0])
    np.testing.assert_array_equal(cnnref.pool_backward(np.ones((1, 1, 1, 1)), cache).ravel(), [1, 0, 0, 0])
    np.testing.assert_array_equal(blog.create_mask_from_window([[3.0, 3.0], [1.0, 3.0]]), [[1, 1], [0, 1]])
    assert np.isnan(blog.create_mask_from_window([[np.nan, 1.0]])).all()


@pytest.mark.parametrize(
    "shape", [(2, 7, 9, 1, 3, 2), (1, 8, 8, 5, 2, 2), (3, 6, 5, 17, 3, 1), (2, 5, 6, 2, 2, 4)]
)
def test_pool_backward_is_the_masks_of_the_windows(shape):
    *extents, f, stride = shape
    rng = np.random.default_rng(sum(shape))
    x = rng.integers(-3, 4, extents).astype(float)
    A, cache = blog.pool_forward(x, {"f": f, "stride": stride})
    dA = rng.normal(size=A.shape)
    expected = {"max": np.zeros_like(x), "average": np.zeros_like(x)}
    for m, i, j, c in np.ndindex(*dA.shape):
        window = np.s_[m, i * stride : i * stride + f, j * stride : j * stride + f, c]
        expected["max"][window] += blog.create_mask_from_window(x[window]) * dA[m, i, j, c]
        expected["average"][window] += blog.distribute_value(dA[m, i, j, c], (f, f))
    for mode, value in expected.items():
        np.testing.assert_allclose(blog.pool_backward(dA, cache, mode), value, rtol=1e-14, atol=1e-14)
        in_float32 = blog.pool_backward(
            dA.astype(np.float32), (x.astype(np.float32), cache.hparameters), mode
        )
        np.testing.assert_allclose(in_float32, value, rtol=1e-5, atol=1e-5)


def test_relu_passes_at_zero():
    Z = np.array([-1.0, -1e-300, -0.0, 0.0, 2.0])
    np.testing.assert_array_equal(blog.relu_backward(np.full(5, 5.0), Z), [0, 0, 5, 5, 5])
    np.testing.assert_array_equal(cnnref.relu_backward(np.full(5, 5.0), Z), [0, 0, 0, 0, 5])


def test_sigmoid_as_written():
    one = np.ones(3)
    np.testing.assert_allclose(
        blog.sigmoid_backward(one, np.array([37.0, 36, -40])),
        [0, 2.220446049250313e-16, 4.24835425529159e-18],
        rtol=1e-12,
    )
    far = np.array([-720.0, -40, 40, 720])
    np.testing.assert_array_equal(blog.sigmoid(far)[0], cnnref.sigmoid(far)[0])


@pytest.mark.parametrize("m", [1, 2, 5])
def test_affine_gradients_are_divided_by_the_rows(m):
    rng = np.random.default_rng(m)
    A_prev, W, b, dZ = (rng.normal(size=shape) for shape in ((m, 3), (3, 2), (1, 2), (m, 2)))
    for function, arguments in (
        ("affine_backward", (dZ, (A_prev, W, b))),
        (
            "affine_activation_backward",
            (dZ, blog.affine_activation_forward(A_prev, W, b, "sigmoid")[1], "sigmoid"),
        ),
    ):
        dA_prev, dW, db = getattr(blog, function)(*arguments)
        expected = getattr(cnnref, function)(*arguments)
        np.testing.assert_allclose(dA_prev, expected[0], rtol=1e-14)
        np.testing.assert_allclose(dW, expected[1] / m, rtol=1e-14)
        np.testing.assert_allclose(db, expected[2] / m, rtol=1e-14)


def test_softmax_overflows():
    with np.errstate(all="ignore"):
        for x, expected in (
            ([709.79, 0.0, 0.0], [np.nan, 0, 0]),
            ([709.5, 709.5, 0.0], [0, 0, 0]),
            ([-745.13] * 3, [1 / 3] * 3),
            ([-745.14] * 3, [np.nan] * 3),
            ([-750.0, 0.0], [0, 1]),
        ):
            np.testing.assert_array_equal(blog.softmax(np.array([x]))[0][0], expected)
            wide = np.array([x + [-np.inf] * 80])
            np.testing.assert_array_equal(blog.softmax(wide)[0][0, : len(x)], expected)
        _, cache = blog.softmax(np.array([[1.0, 2.0, -1.0]]))
        dprobs = np.array([[1.0, -2.0, 0.5]])
        np.testing.assert_allclose(
            blog.softmax_backward(dprobs, cache), cnnref.softmax_backward(dprobs, cache), rtol=1e-14
        )


@pytest.mark.parametrize(
    ("Y", "columns"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([1, 2, 3], [0, 1, 2]),
        ([0, 2, 2], [0, 1, 1]),
        ([2, 2, 2], [0, 0, 0]),
        ([10, 30, -20], [1, 2, 0]),
    ],
)
def test_labels_count_by_rank(Y, columns):
    AL = np.array([[0.2, 0.3, 0.5], [0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
    for labels in (Y, np.reshape(Y, (3, 1))):
        loss, cache = blog.cross_entropy_cost(AL, labels)
        np.testing.assert_array_equal(cache.Y_index, [[i, column] for i, column in enumerate(columns)])
        assert loss == cnnref.cross_entropy_cost(AL, columns)[0]


def test_features_in_the_order_of_r():
    h, w, c = np.indices((2, 3, 2)) + 1
    output, _ = blog.arr2col((100 * h + 10 * w + c)[None])
    np.testing.assert_array_equal(output[0], [111, 211, 121, 221, 131, 231, 112, 212, 122, 222, 132, 232])
