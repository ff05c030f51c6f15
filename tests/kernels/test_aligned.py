"""Memory of results: large ones start at a cache line, and are in every other way NumPy's own."""

import gc
import tracemalloc

import numpy as np
import pytest

import cnnref

get_handler_name = (np._core if hasattr(np, "_core") else np.core).multiarray.get_handler_name


def result(side=64, channels=8):
    return cnnref.relu(np.ones((1, side, side, channels), np.float32))[0]


@pytest.mark.parametrize("side", [16, 31, 64, 400])
def test_large_results_start_at_a_cache_line(side):
    kept = [result(side) for _ in range(8)]
    assert [x.ctypes.data % 64 for x in kept] == [0] * 8
    assert all(x.flags.owndata and x.base is None for x in kept)


def test_every_result_of_a_convolution_does():
    A_prev, W, b = np.ones((2, 16, 16, 16)), np.ones((3, 3, 16, 32)), np.ones((1, 1, 1, 32))
    Z, cache = cnnref.conv_forward(A_prev, W, b, {"stride": 1, "pad": 1})
    dA_prev, dW, _ = cnnref.conv_backward(Z, cache)
    assert [x.ctypes.data % 64 for x in (Z, dA_prev, dW)] == [0, 0, 0]


def test_resizing_keeps_the_values():
    for size in (2049, 4096, 100_000, 5_000_000, 17):
        x = result()
        x[...] = np.arange(x.size).reshape(x.shape)
        x.resize((size,), refcheck=False)
        kept = min(size, 64 * 64 * 8)
        assert (x[:kept] == np.arange(kept)).all()
        assert (x[kept:] == 0).all()


def test_arrays_made_meanwhile_and_after_are_not_affected():
    before = get_handler_name(np.empty(10))
    x = result()
    assert get_handler_name(x) == "cnnref_aligned"
    assert get_handler_name(np.empty(10_000)) == before
    assert get_handler_name(result(2)) == before


def test_memory_is_given_back():
    result()
    gc.collect()
    tracemalloc.start()
    try:
        x = result(512)
        assert tracemalloc.get_traced_memory()[0] >= x.nbytes
        del x
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
