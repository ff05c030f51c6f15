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
