"""What NumPy would make an array of with another meaning: masks, results that were not unpacked, caches."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
from calls import ARRAYS, CACHES, NAMES, arguments, refused

import cnnref
from cnnref import blog

both = pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
each = pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name in NAMES for key in ARRAYS[name]]
    + [("cross_entropy_cost", "Y"), ("col2arr", "cache")],
)


def masked(x):
    return np.ma.MaskedArray(x, np.arange(np.size(x)).reshape(np.shape(x)) % 2 == 0)


@both
@each
def test_a_mask_is_not_lost(name, key, module):
    good = arguments()[name][key]
    for value in (masked(good), [*masked(np.asarray(good))]):
        if isinstance(value, list) and not isinstance(value[0], np.ma.MaskedArray):
            value[0] = np.ma.masked
        refused(name, TypeError, key, "masked array", ".filled(", module=module, **{key: value})


@both
@each
def test_a_result_and_its_cache_in_the_place_of_an_array(name, key, module):
    good = arguments()[name][key]
    image = np.zeros((2, 6, 7, 3))
    _, pool = cnnref.pool_forward(image, {"f": 2, "stride": 2})
    for cache in (good, pool, tuple(pool), pool._asdict()):
        refused(name, TypeError, key, "unpack it: A, cache = ...", module=module, **{key: (good, cache)})


@both
@each
def test_three_gradients_in_the_place_of_an_array(name, key, module):
    gradients = (arguments()[name][key], np.zeros((3, 3, 3, 4)), np.zeros((1, 1, 1, 4)))
    refused(name, TypeError, key, "unpack it", "db = ...", module=module, **{key: gradients})


@both
@each
def test_a_cache_in_the_place_of_an_array(name, key, module):
    """As in ``conv_backward(cache, dZ)``."""
    for function in CACHES:
        cache = arguments()[function]["cache"]
        refused(name, TypeError, key, type(cache).__name__, "unpack", module=module, **{key: cache})


@both
@pytest.mark.parametrize("name", CACHES)
def test_a_result_and_its_cache_in_the_place_of_a_cache(name, module):
    cache = arguments()[name]["cache"]
    for result in (np.zeros((5, 4)), 0.5):
        refused(name, TypeError, "cache", "unpack it: A, cache = ...", module=module, cache=(result, cache))


def test_the_usual_slips():
    Z = np.random.default_rng(0).normal(size=(4, 5))
    for slip in (
        lambda: cnnref.relu(cnnref.relu(Z)),
        lambda: cnnref.sigmoid((Z, Z)),
        lambda: cnnref.relu_backward(Z, cnnref.relu(Z)),
        lambda: cnnref.relu_backward(cnnref.relu(Z), Z),
        lambda: cnnref.cross_entropy_cost(cnnref.softmax(Z), [0, 1, 2, 3]),
        lambda: cnnref.cross_entropy_backward(cnnref.cross_entropy_cost(cnnref.softmax(Z)[0], [0, 1, 2, 3])),
    ):
        with pytest.raises(TypeError, match="unpack it"):
            slip()


def test_what_is_still_an_array():
    """Lists, tuples of numbers and rows, named tuples of numbers, matrices, and a cache made by hand."""

    class Point(NamedTuple):
        x: float
        y: float

    class Frame:
        """As of pandas: labels beside the numbers, which have always gone by place."""

        index = (2, 1)

        def __array__(self, dtype=None, copy=None):
            return np.array([[-1.0, 2.0], [3.0, -4.0]])

    rows = [np.array([-1.0, 2.0]), np.array([3.0, -4.0])]
    np.testing.assert_array_equal(cnnref.relu(np.ma.MaskedArray(rows, False))[0], [[0, 2], [3, 0]])
    expected = [[0, 2], [3, 0]]
    for value in (rows, [[-1.0, 2.0], [3.0, -4.0]], ((-1.0, 2.0), (3.0, -4.0)), np.stack(rows), Frame()):
        np.testing.assert_array_equal(cnnref.relu(value)[0], expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = cnnref.relu(np.matrix(rows))
    assert all(type(x) is np.ndarray for x in matrix)
    np.testing.assert_array_equal(matrix[0], expected)
    np.testing.assert_array_equal(cnnref.relu(Point(-1.0, 2.0))[0], [0, 2])
    np.testing.assert_array_equal(cnnref.relu((*rows, rows[0]))[0], [[0, 2], [3, 0], [0, 2]])  # of one shape
    A, cache = cnnref.affine_activation_forward(np.ones((2, 3)), np.ones((3, 4)), np.zeros((1, 4)), "NULL")
    given = (tuple(cache.affine_cache), cache.affine_cache)
    for made in (given, cache, cache._asdict()):
        assert len(cnnref.affine_activation_backward(A, made, "NULL")) == 3


def image(*shape):
    return np.zeros(shape)


NCHW, PYTORCH = "A_prev.transpose(0, 2, 3, 1)", "W.transpose(2, 3, 1, 0)"
CONV = {"stride": 1, "pad": 1}


@both
@pytest.mark.parametrize(
    ("images", "filters", "groups", "said", "unsaid"),
    [
        ((2, 3, 32, 32), (5, 5, 3, 8), 1, [f"pass {NCHW}"], [PYTORCH]),
        ((2, 32, 32, 3), (8, 3, 5, 5), 1, [f"pass {PYTORCH}"], [NCHW]),
        ((2, 3, 32, 32), (8, 3, 5, 5), 1, [f"pass {NCHW}", f"pass {PYTORCH}"], []),
        ((2, 6, 9, 9), (5, 5, 3, 8), 2, [f"pass {NCHW}"], [PYTORCH]),
        ((2, 9, 9, 4), (5, 5, 3, 8), 1, [], [NCHW, PYTORCH]),
    ],
)
def test_channels_first(images, filters, groups, said, unsaid, module):
    hparameters = CONV | {"groups": groups}
    bias = image(1, 1, 1, 8)
    with pytest.raises(ValueError, match="conv_forward: W has") as caught:
        module.conv_forward(image(*images), image(*filters), bias, hparameters)
    assert all(words in str(caught.value) for words in said)
    assert not any(words in str(caught.value) for words in unsaid)
    # What is said is right: it is taken then.
    if said:
        x = image(*images).transpose(0, 2, 3, 1) if f"pass {NCHW}" in said else image(*images)
        w = image(*filters).transpose(2, 3, 1, 0) if f"pass {PYTORCH}" in said else image(*filters)
        assert module.conv_forward(x, w, bias, hparameters)[0].shape[3] == 8


def test_channels_first_of_the_others():
    turned = {"stride": 1, "pad": 0}
    for filters, words in (((3, 3, 4, 5), (NCHW,)), ((5, 4, 3, 3), (NCHW, PYTORCH))):
        with pytest.raises(ValueError, match="conv_transpose_forward: W has") as caught:
            cnnref.conv_transpose_forward(image(2, 5, 9, 8), image(*filters), image(1, 1, 1, 4), turned)
        assert all(word in str(caught.value) for word in words)
    refused(
        "pool_forward",
        ValueError,
        f"pass {NCHW}",
        A_prev=image(2, 3, 9, 9),
        hparameters={"f": 4, "stride": 1},
    )
    refused(
        "pool_forward",
        ValueError,
        "larger than A_prev of 3x3",
        A_prev=image(2, 3, 3, 9),
        hparameters={"f": 4, "stride": 1},
    )
    channels = {key: image(1, 1, 1, 3) for key in ("gamma", "beta", "running_mean", "running_var")}
    refused("batch_norm_forward", ValueError, f"pass {NCHW}", A_prev=image(2, 3, 9, 8), **channels)
    good = arguments()["conv_backward"]
    turned = np.moveaxis(good["dZ"], 3, 1)
    refused("conv_backward", ValueError, "pass dZ.transpose(0, 2, 3, 1)", dZ=turned)
    A, cache = cnnref.pool_forward(image(2, 6, 8, 3), {"f": 2, "stride": 2})
    advice = "pass dA.transpose(0, 2, 3, 1)"
    refused("pool_backward", ValueError, advice, dA=np.moveaxis(A, 3, 1), cache=cache)


@both
@pytest.mark.parametrize(
    ("name", "key", "shape", "words"),
    [
        ("conv_forward", "b", (4,), "reshape to (1, 1, 1, 4)"),
        ("conv_forward", "b", (4, 1), "reshape to (1, 1, 1, 4)"),
        ("conv_forward", "b", (1, 4, 1, 1), "reshape to (1, 1, 1, 4)"),
        ("conv_transpose_forward", "b", (4, 1, 1, 1), "reshape to (1, 1, 1, 4)"),
        ("affine_forward", "b", (4,), "reshape to (1, 4)"),
        ("affine_forward", "b", (4, 1), "reshape to (1, 4)"),
        ("batch_norm_forward", "gamma", (3,), "reshape to (1, 1, 1, 3)"),
        ("batch_norm_forward", "gamma", (1, 3, 1, 1), "reshape to (1, 1, 1, 3)"),
        ("conv_forward", "A_prev", (6, 7, 3), "a single image is A_prev[None]"),
        ("pool_forward", "A_prev", (6, 7, 3), "images of one channel are A_prev[..., None]"),
        ("affine_forward", "A_prev", (6,), "a single row is A_prev[None]"),
        ("affine_forward", "A_prev", (2, 6, 7, 3), "cnnref.arr2col(A_prev)[0]"),
    ],
)
def test_another_shape_of_the_same_numbers(name, key, shape, words, module):
    refused(name, ValueError, f"{name}: {key} must have ", words, module=module, **{key: image(*shape)})


def test_nothing_is_advised_where_nothing_would_help():
    for name, key, shape in (
        ("conv_forward", "b", (5,)),
        ("conv_forward", "b", (1, 1, 1, 5)),
        ("affine_forward", "b", (2, 2)),
        ("conv_backward", "dZ", (2, 9, 9, 9)),
    ):
        with pytest.raises(ValueError, match=key) as caught:
            getattr(cnnref, name)(**arguments()[name] | {key: image(*shape)})
        assert "pass" not in str(caught.value)
        assert "reshape to (1, 1, 1, 4)" not in str(caught.value)


class Loud(float):
    """A number whose text is code of its own."""

    def __repr__(self):
        raise AssertionError

    __str__ = __repr__


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5, "got float 1.5"),
        ("2", "got str '2'"),
        (True, "got bool True"),
        (np.float32(0.5), "got float32 0.5"),
        (None, "got NoneType"),
        (Loud, "got Loud"),
        ("x" * 100, "got str"),
        (b"2", "got bytes b'2'"),
    ],
    ids=["float", "text", "bool", "float32", "None", "own-class", "long", "bytes"],
)
def test_the_value_stands_beside_its_type(value, shown):
    value = Loud(2) if value is Loud else value
    with pytest.raises(TypeError) as caught:
        cnnref.conv_forward(
            image(2, 6, 7, 3), image(3, 3, 3, 4), image(1, 1, 1, 4), {"stride": 1, "pad": 1, "groups": value}
        )
    assert str(caught.value) == f"conv_forward: hparameters['groups'] must be an integer, {shown}"


def test_values_of_sequences():
    keywords = "; or give its keys as keywords, as in stride=1, pad=0"
    text = f"hparameters must be a mapping, got tuple (1, 1){keywords}"
    refused("conv_forward", TypeError, text, hparameters=(1, 1))
    refused("conv_forward", TypeError, "got list [1, 2, 3, 4]", hparameters=[1, 2, 3, 4])
    refused("conv_forward", TypeError, "got list", hparameters=list(range(10**5)))
    refused("pool_forward", TypeError, "mode must be 'max' or 'average', got int 3", mode=3)


@pytest.mark.parametrize("name", ["cross_entropy_cost", "softmax_cross_entropy"])
def test_labels_that_are_one_hot_or_floats_say_how_to_make_labels(name):
    function, scores = getattr(cnnref, name), np.full((3, 4), 0.25)
    for one_hot in (np.eye(4)[:3], np.eye(4, dtype=int)[:3]):
        with pytest.raises((TypeError, ValueError), match=r"; of one-hot rows .* are Y\.argmax\(1\)$"):
            function(scores, one_hot)
    with pytest.raises(TypeError, match=r"got dtype float64; pass Y\.astype\(np\.int64\)$"):
        function(scores, np.array([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=r"got \(3, 3\)$"):
        function(scores, np.zeros((3, 3), int))
