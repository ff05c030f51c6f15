"""Padding and flattening: positions, every bit kept, nothing shared with the input."""

import numpy as np
import pytest

import cnnref
from cnnref import blog

SHAPES = [(2, 3, 4, 5), (1, 1, 1, 1), (0, 3, 4, 2), (3, 7, 1, 2), (1, 60, 70, 33), (2, 0, 3, 1), (2, 3, 4, 0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pad", [0, 1, 2, 9])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pad3d(shape, pad, dtype):
    x = np.random.default_rng(pad).normal(size=shape).astype(dtype)
    out = cnnref.pad3d(x, pad)
    np.testing.assert_array_equal(out, np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))))
    assert out.dtype == dtype
    assert not np.shares_memory(out, x)
    dout = np.random.default_rng(pad).normal(size=out.shape).astype(dtype)
    inner = cnnref.pad3d_backward(dout, pad)
    np.testing.assert_array_equal(inner, dout[:, pad : pad + shape[1], pad : pad + shape[2]])
    assert not np.shares_memory(inner, dout)


def test_pad3d_pads_by_one_unless_told():
    x = np.ones((1, 2, 3, 1))
    assert cnnref.pad3d(x).shape == (1, 4, 5, 1)
    assert cnnref.pad3d_backward(x[:, :, :3]).shape == (1, 0, 1, 1)
    assert cnnref.pad3d(x, stride=np.int8(2)).shape == (1, 6, 7, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_columns(shape):
    x = np.random.default_rng(1).normal(size=shape)
    output, cache = cnnref.arr2col(x)
    features = shape[1] * shape[2] * shape[3]
    np.testing.assert_array_equal(output, x.reshape(shape[0], features))
    assert cache is x
    assert not np.shares_memory(output, x)
    back = cnnref.col2arr(output, cache)
    np.testing.assert_array_equal(back, x)
    assert not np.shares_memory(back, output)
    output, cache = blog.arr2col(x)
    np.testing.assert_array_equal(output, x.transpose(0, 3, 2, 1).reshape(shape[0], features))
    assert not np.shares_memory(output, x)
    back = blog.col2arr(output, cache)
    np.testing.assert_array_equal(back, x)
    assert back.flags.c_contiguous


def test_every_bit_is_copied():
    bits = np.array([0x7FC00123, 0xFFC00001, 0x80000000, 0x00000001], np.uint32)
    x = bits.view(np.float32).reshape(1, 2, 2, 1)
    assert cnnref.arr2col(x)[0].tobytes() == bits.tobytes()
    assert cnnref.pad3d_backward(cnnref.pad3d(x, 3), 3).tobytes() == bits.tobytes()
    assert cnnref.col2arr(x.reshape(1, 4), x).tobytes() == bits.tobytes()


def test_col2arr_keeps_the_dtype_of_the_rows():
    image = np.ones((2, 2, 2, 1), np.float32)
    assert cnnref.col2arr(np.ones((2, 4)), image).dtype == np.float64
    assert cnnref.col2arr(np.ones((2, 4), np.float32), image.astype(float)).dtype == np.float32


def test_masks_and_distributed_values_are_in_c_order():
    assert cnnref.distribute_value(6.0, (2, 3)).flags.c_contiguous
    assert cnnref.create_mask_from_window(np.zeros((2, 3)).T).flags.c_contiguous
