"""The 24 functions in plain NumPy, written to be read.

An independent implementation: it shares no code with the oracle or with any implementation under
test. Every sum is computed in the dtype of its inputs (float32 in float32). Images are NHWC
``(m, H, W, C)``, filters ``(f, f, n_C_prev, n_C)``; windows run over (row, column) in C order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]


class ConvCache(NamedTuple):
    A_prev: Array
    W: Array
    b: Array
    hparameters: Mapping[str, int]


class PoolCache(NamedTuple):
    A_prev: Array
    hparameters: Mapping[str, int]


class AffineCache(NamedTuple):
    A_prev: Array
    W: Array
    b: Array


class AffineActivationCache(NamedTuple):
    affine_cache: AffineCache
    activation_cache: Any


class CrossEntropyCache(NamedTuple):
    AL: Array
    Y_index: Array


# Padding, windows and convolution


def pad3d(input: Array, stride: int = 1) -> Array:
    return np.pad(input, ((0, 0), (stride, stride), (stride, stride), (0, 0)))


def pad3d_backward(doutput: Array, stride: int = 1) -> Array:
    _, h, w, _ = doutput.shape
    return doutput[:, stride : h - stride, stride : w - stride].copy()


def _windows(x: Array, f: int, s: int) -> Array:
    """Every window of `x` as a view ``(m, rows, columns, C, f, f)``."""
    return sliding_window_view(x, (f, f), axis=(1, 2))[:, ::s, ::s]


def _taps(f: int, s: int, rows: int, columns: int) -> Iterator[tuple[int, int, slice, slice]]:
    """For each place ``(i, j)`` in the window, the rows and columns of the input that stand there."""
    for i in range(f):
        for j in range(f):
            yield i, j, slice(i, i + s * rows, s), slice(j, j + s * columns, s)


def conv_single_step(a_slice_prev: Array, W: Array, b: Array) -> float:
    return float((a_slice_prev * W).sum() + np.asarray(b, dtype=W.dtype).reshape(()))


def conv_forward(
    A_prev: Array, W: Array, b: Array, hparameters: Mapping[str, int]
) -> tuple[Array, ConvCache]:
    windows = _windows(pad3d(A_prev, hparameters["pad"]), W.shape[0], hparameters["stride"])
    Z = np.einsum("mrsckl,klco->mrso", windows, W) + b.reshape(-1)
    return Z, ConvCache(A_prev, W, b, hparameters)


def conv_backward(dZ: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    A_prev, W, _, hparameters = cache
    f, s, p = W.shape[0], hparameters["stride"], hparameters["pad"]
    padded = pad3d(A_prev, p)
    dW = np.einsum("mrsckl,mrso->klco", _windows(padded, f, s), dZ)
    dpadded = np.zeros_like(padded)
    for i, j, rows, columns in _taps(f, s, dZ.shape[1], dZ.shape[2]):
        dpadded[:, rows, columns] += np.einsum("mrso,co->mrsc", dZ, W[i, j])
    return pad3d_backward(dpadded, p), dW, dZ.sum(axis=(0, 1, 2)).reshape(1, 1, 1, -1)


# Pooling


def _flat_windows(A_prev: Array, hparameters: Mapping[str, int]) -> Array:
    """Windows with the ``f * f`` places of each in one last axis, in (row, column) order."""
    f = hparameters["f"]
    windows = _windows(A_prev, f, hparameters["stride"])
    return windows.reshape(*windows.shape[:4], f * f)


def _choice(windows: Array) -> Array:
    """Where each window's maximum stands along the last axis: the first one, or the last NaN."""
    last = windows.shape[-1] - 1
    nan = np.isnan(windows)
    return np.where(nan.any(axis=-1), last - nan[..., ::-1].argmax(axis=-1), windows.argmax(axis=-1))


def pool_forward(
    A_prev: Array, hparameters: Mapping[str, int], mode: str = "max"
) -> tuple[Array, PoolCache]:
    windows = _flat_windows(A_prev, hparameters)
    A = windows.max(axis=-1) if mode == "max" else windows.mean(axis=-1, dtype=A_prev.dtype)
    return A, PoolCache(A_prev, hparameters)


def pool_backward(dA: Array, cache: PoolCache, mode: str = "max") -> Array:
    A_prev, hparameters = cache
    f, s = hparameters["f"], hparameters["stride"]
    chosen = _choice(_flat_windows(A_prev, hparameters)) if mode == "max" else None
    share = dA if mode == "max" else dA / dA.dtype.type(f * f)
    dA_prev = np.zeros_like(A_prev)
    for i, j, rows, columns in _taps(f, s, dA.shape[1], dA.shape[2]):
        dA_prev[:, rows, columns] += share if chosen is None else np.where(chosen == i * f + j, share, 0)
    return dA_prev


def create_mask_from_window(x: Array) -> Array:
    mask = np.zeros_like(x)
    if x.size:
        mask.reshape(-1)[_choice(x.reshape(-1))] = 1
    return mask


def distribute_value(dz: float, shape: tuple[int, ...]) -> Array:
    return np.full(shape, np.float64(dz) / np.prod(shape))


def arr2col(X: Array) -> tuple[Array, Array]:
    m, h, w, c = X.shape
    return X.reshape(m, h * w * c).copy(), X


def col2arr(X: Array, cache: Array) -> Array:
    return X.reshape(cache.shape).copy()


# Affine layer and activations


def affine_forward(A_prev: Array, W: Array, b: Array) -> tuple[Array, AffineCache]:
    return A_prev @ W + b, AffineCache(A_prev, W, b)


def affine_backward(dZ: Array, cache: AffineCache) -> tuple[Array, Array, Array]:
    A_prev, W, _ = cache
    return dZ @ W.T, A_prev.T @ dZ, dZ.sum(axis=0, keepdims=True)


def affine_activation_forward(
    A_prev: Array, W: Array, b: Array, activation: str | None = "relu"
) -> tuple[Array, AffineActivationCache]:
    Z, affine_cache = affine_forward(A_prev, W, b)
    if activation in (None, "NULL"):
        return Z, AffineActivationCache(affine_cache, affine_cache)
    A, activation_cache = relu(Z) if activation == "relu" else sigmoid(Z)
    return A, AffineActivationCache(affine_cache, activation_cache)


def affine_activation_backward(
    dA: Array, cache: AffineActivationCache, activation: str | None
) -> tuple[Array, Array, Array]:
    affine_cache, activation_cache = cache
    if activation == "relu":
        dA = relu_backward(dA, activation_cache)
    elif activation == "sigmoid":
        dA = sigmoid_backward(dA, activation_cache)
    return affine_backward(dA, affine_cache)


def _sigmoid(Z: Array) -> Array:
    """``1 / (1 + exp(-Z))``, with exp of a negative number only, which cannot overflow."""
    e = np.exp(-np.abs(Z))
    return np.where(Z < 0, e / (1 + e), 1 / (1 + e))


def sigmoid(Z: Array) -> tuple[Array, Array]:
    return _sigmoid(Z), Z


def sigmoid_backward(dA: Array, cache: Array) -> Array:
    s = _sigmoid(cache)
    return dA * (s * (1 - s))


def relu(Z: Array) -> tuple[Array, Array]:
    return np.where(Z <= 0, 0, Z).astype(Z.dtype, copy=False), Z


def relu_backward(dA: Array, cache: Array) -> Array:
    return np.where(cache <= 0, 0, dA).astype(dA.dtype, copy=False)


# Softmax and loss


def softmax(X: Array) -> tuple[Array, Array]:
    if X.shape[1] == 0:
        return X.copy(), X
    e = np.exp(X - X.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), X


def softmax_backward(dprobs: Array, cache: Array) -> Array:
    y, _ = softmax(cache)
    return y * (dprobs - (dprobs * y).sum(axis=1, keepdims=True))


def cross_entropy_cost(
    AL: Array, Y: Array, batch_size: int | None = None
) -> tuple[float, CrossEntropyCache]:
    rows = np.arange(len(AL))
    labels = np.asarray(Y).reshape(-1)
    losses = -np.log(AL[rows, labels])
    mean = float(losses.mean()) if len(losses) else float("nan")  # the mean of nothing
    return mean, CrossEntropyCache(AL, np.stack([rows, labels], axis=1))


def cross_entropy_backward(cache: CrossEntropyCache) -> Array:
    AL, (rows, labels) = cache.AL, cache.Y_index.T
    dAL = np.zeros_like(AL)
    dAL[rows, labels] = -1 / (AL[rows, labels] * AL.dtype.type(len(AL)))
    return dAL


def softmax_cross_entropy_backward(cache: CrossEntropyCache) -> Array:
    dX = cache.AL.copy()
    dX[tuple(cache.Y_index.T)] -= 1
    return dX / dX.dtype.type(max(1, len(dX)))
