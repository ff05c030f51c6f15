"""The losses of each element and its target: formulas, the order of their sums, and what they refuse."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import cnnref
from conformance.operations import OPERATIONS, having

NAMES = tuple(name for name in having("losses") if not OPERATIONS[name].forward)
SHAPES = ((1,), (15,), (16,), (3, 5), (1, 1023), (2, 1025), (5, 4096), (3, 4, 5, 77))


def drawn(shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype(dtype), rng.random(shape).astype(dtype)


def in_order(terms):
    """Terms added up as the module says, each a double."""
    total = 0.0
    for start in range(0, terms.size, 4096):
        lanes = [0.0] * 16
        for k, term in enumerate(terms.ravel()[start : start + 4096]):
            lanes[k % 16] += float(term)
        part = 0.0
        for lane in lanes:
            part += lane
        total += part
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_terms_of_a_mean_are_added_in_the_order_that_is_promised(shape, dtype):
    X, T = drawn(shape, dtype)
    loss, cache = cnnref.mse_loss(X, T)
    assert loss == in_order((X - T) * (X - T)) / X.size
    assert cache.X is X
    assert cache.T is T
    np.testing.assert_array_equal(cnnref.mse_loss_backward(cache), (X - T) * dtype(2 / X.size))


def test_the_sum_keeps_what_float32_loses():
    X = np.sqrt(np.float32([2.0**26, 1, 1, 2])).astype(np.float32)
    loss, _ = cnnref.mse_loss(X, np.zeros_like(X))
    exact = sum(Fraction(float(np.float32(x * x))) for x in X) / 4
    assert loss == float(exact)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 3, 8])
def test_autograd_and_any_number_of_threads(name, threads):
    X, T = drawn((37, 2011))
    before = cnnref.get_num_threads()
    cnnref.set_num_threads(threads)
    try:
        loss, cache = getattr(cnnref, name)(X, T)
        gradient = getattr(cnnref, f"{name}_backward")(cache)
    finally:
        cnnref.set_num_threads(before)
    assert loss == getattr(cnnref, name)(X, T)[0]
    case_of = OPERATIONS[name]
    x = torch.from_numpy(X).requires_grad_()
    wanted = case_of.oracle(torch, DEFAULTS, {"X": x, "T": torch.from_numpy(T)})
    wanted.backward()
    np.testing.assert_allclose(loss, wanted.item(), rtol=1e-13)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-12, atol=1e-20)


class Defaults:
    """A case with no option."""

    @staticmethod
    def value(name):
        return {"beta": 1, "delta": 1}[name]


DEFAULTS = Defaults()


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_nothing_and_other_shapes(name):
    call, back = getattr(cnnref, name), getattr(cnnref, f"{name}_backward")
    for shape in ((0, 3), (0, 0)):
        loss, cache = call(np.ones(shape), np.ones(shape))
        assert np.isnan(loss)
        assert back(cache).shape == shape
    with pytest.raises(ValueError, match=rf"{name}: T must have the shape of X"):
        call(np.ones((2, 3)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=rf"{name}_backward: cache.T must have the shape of cache.X"):
        back({"X": np.ones((2, 3)), "T": np.ones((3, 2))})
    with pytest.raises(TypeError, match=rf"{name}: X must"):
        call(np.ones((2, 3), complex), np.ones((2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_half_is_float32_with_the_gradient_rounded(name):
    X, T = drawn((3, 1500), np.float16)
    loss, cache = getattr(cnnref, name)(X, T)
    wide, wide_cache = getattr(cnnref, name)(X.astype(np.float32), T.astype(np.float32))
    assert loss == wide
    back = getattr(cnnref, f"{name}_backward")
    np.testing.assert_array_equal(back(cache), back(wide_cache).astype(np.float16))
