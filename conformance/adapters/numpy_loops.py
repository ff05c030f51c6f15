"""The functions in plain NumPy, written to be read.

An independent implementation: it shares no code with the oracle or with any implementation under
test. Every sum is computed in the dtype of its inputs (float32 in float32). Images are NHWC
``(m, H, W, C)``, filters ``(f, f, n_C_prev, n_C)``; windows run over (row, column) in C order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.adapters._numpy_conv import (
    ConvCache,
    conv_backward,
    conv_forward,
    conv_single_step,
    conv_transpose_backward,
    conv_transpose_forward,
)
from conformance.adapters._numpy_exponential import (
    celu,
    celu_backward,
    elu,
    elu_backward,
    mish,
    mish_backward,
    selu,
    selu_backward,
    softplus,
    softplus_backward,
)
from conformance.adapters._numpy_losses import LossCache, mse_loss, mse_loss_backward
from conformance.adapters._numpy_pool import (
    PoolCache,
    create_mask_from_window,
    distribute_value,
    pool_backward,
    pool_forward,
)
from conformance.adapters._numpy_rational import (
    hardsigmoid,
    hardsigmoid_backward,
    hardswish,
    hardswish_backward,
    hardtanh,
    hardtanh_backward,
    relu6,
    relu6_backward,
    softsign,
    softsign_backward,
)
from conformance.adapters._numpy_units import (
    BatchNormCache,
    LayerNormCache,
    PReLUCache,
    RMSNormCache,
    batch_norm_backward,
    batch_norm_forward,
    gelu,
    gelu_backward,
    global_average_pool_backward,
    global_average_pool_forward,
    layer_norm_backward,
    layer_norm_forward,
    leaky_relu,
    leaky_relu_backward,
    log_softmax,
    log_softmax_backward,
    logistic,
    prelu,
    prelu_backward,
    rms_norm_backward,
    rms_norm_forward,
    silu,
    silu_backward,
    tanh,
    tanh_backward,
)

__all__ = [
    "AffineActivationCache",
    "AffineCache",
    "BatchNormCache",
    "ConvCache",
    "CrossEntropyCache",
    "LayerNormCache",
    "LossCache",
    "PReLUCache",
    "PoolCache",
    "RMSNormCache",
    "affine_activation_backward",
    "affine_activation_forward",
    "affine_backward",
    "affine_forward",
    "arr2col",
    "batch_norm_backward",
    "batch_norm_forward",
    "celu",
    "celu_backward",
    "col2arr",
    "conv_backward",
    "conv_forward",
    "conv_single_step",
    "conv_transpose_backward",
    "conv_transpose_forward",
    "create_mask_from_window",
    "cross_entropy_backward",
    "cross_entropy_cost",
    "distribute_value",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "global_average_pool_backward",
    "global_average_pool_forward",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "layer_norm_backward",
    "layer_norm_forward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "mish",
    "mish_backward",
    "mse_loss",
    "mse_loss_backward",
    "pad3d",
    "pad3d_backward",
    "pool_backward",
    "pool_forward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "rms_norm_backward",
    "rms_norm_forward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "softplus",
    "softplus_backward",
    "softsign",
    "softsign_backward",
    "tanh",
    "tanh_backward",
]

Array = NDArray[Any]

#: What it takes beyond the plain calls.
options = ("conv_*.*", "pool_*.*", "*cross_entropy*.*")


class AffineCache(NamedTuple):
    """What affine_backward needs."""

    A_prev: Array
    W: Array
    b: Array


class AffineActivationCache(NamedTuple):
    """The cache of the affine layer and that of the activation."""

    affine_cache: AffineCache
    activation_cache: Any


class CrossEntropyCache(NamedTuple):
    """Probabilities, and (row, column) of each label's."""

    AL: Array
    Y_index: Array


# Padding


def pad3d(input: Array, stride: int = 1) -> Array:
    """Zero-padded copy, `stride` zeros on each side of both axes of the image."""
    return np.pad(input, ((0, 0), (stride, stride), (stride, stride), (0, 0)))


def pad3d_backward(doutput: Array, stride: int = 1) -> Array:
    """The part of the gradient that is not padding."""
    _, h, w, _ = doutput.shape
    result: Array = doutput[:, stride : h - stride, stride : w - stride].copy()
    return result


# Images as rows


def arr2col(X: Array) -> tuple[Array, Array]:
    """Each sample as one row, in C order."""
    m, h, w, c = X.shape
    return X.reshape(m, h * w * c).copy(), X


def col2arr(X: Array, cache: Array) -> Array:
    """The inverse of arr2col; only the shape of the cache matters."""
    result: Array = X.reshape(cache.shape).copy()
    return result


# Affine layer and activations


def affine_forward(A_prev: Array, W: Array, b: Array) -> tuple[Array, AffineCache]:
    """``Z = A W + b``."""
    return A_prev @ W + b, AffineCache(A_prev, W, b)


def affine_backward(dZ: Array, cache: AffineCache) -> tuple[Array, Array, Array]:
    """``dA = dZ W^T``, ``dW = A^T dZ``, db: dZ summed over the samples."""
    A_prev, W, _ = cache
    return dZ @ W.T, A_prev.T @ dZ, dZ.sum(axis=0, keepdims=True)


def affine_activation_forward(
    A_prev: Array, W: Array, b: Array, activation: str | None = "relu"
) -> tuple[Array, AffineActivationCache]:
    """The affine layer, then the activation."""
    Z, affine_cache = affine_forward(A_prev, W, b)
    if activation in (None, "NULL"):
        return Z, AffineActivationCache(affine_cache, affine_cache)
    A, activation_cache = relu(Z) if activation == "relu" else sigmoid(Z)
    return A, AffineActivationCache(affine_cache, activation_cache)


def affine_activation_backward(
    dA: Array, cache: AffineActivationCache, activation: str | None
) -> tuple[Array, Array, Array]:
    """The gradient through the activation, then through the affine layer."""
    affine_cache, activation_cache = cache
    if activation == "relu":
        dA = relu_backward(dA, activation_cache)
    elif activation == "sigmoid":
        dA = sigmoid_backward(dA, activation_cache)
    return affine_backward(dA, affine_cache)


def sigmoid(Z: Array) -> tuple[Array, Array]:
    """``1 / (1 + exp(-Z))``."""
    return logistic(Z), Z


def sigmoid_backward(dA: Array, cache: Array) -> Array:
    """``dA y (1 - y)``."""
    s = logistic(cache)
    result: Array = dA * (s * (1 - s))
    return result


def relu(Z: Array) -> tuple[Array, Array]:
    """``max(Z, 0)``; NaN stays NaN."""
    return np.where(Z <= 0, 0, Z).astype(Z.dtype, copy=False), Z


def relu_backward(dA: Array, cache: Array) -> Array:
    """`dA` where Z is not <= 0: NaN lets it through, as in torch."""
    return np.where(cache <= 0, 0, dA).astype(dA.dtype, copy=False)


# Softmax and loss


def softmax(X: Array) -> tuple[Array, Array]:
    """``exp(x - max x)`` over its sum, for each row."""
    if X.shape[1] == 0:
        return X.copy(), X
    e = np.exp(X - X.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), X


def softmax_backward(dprobs: Array, cache: Array) -> Array:
    """``y (g - sum g y)`` for each row."""
    y, _ = softmax(cache)
    result: Array = y * (dprobs - (dprobs * y).sum(axis=1, keepdims=True))
    return result


def _target(labels: Array, n: int, smoothing: float, ignored: int | None) -> tuple[Array, int]:
    """What each row is held against, 0 in those that do not count, and the number that count."""
    kept: Array = np.ones(len(labels), bool) if ignored is None else np.not_equal(labels, ignored)
    target = np.zeros((len(labels), n))
    target[np.flatnonzero(kept), labels[kept]] = 1 - smoothing
    target[kept] += smoothing / max(n, 1)
    return target, int(kept.sum())


def cross_entropy_cost(
    AL: Array,
    Y: Array,
    batch_size: int | None = None,
    label_smoothing: float = 0,
    ignore_index: int | None = None,
) -> tuple[float, CrossEntropyCache]:
    """Mean over the rows that count of minus the logarithm of the label's probability."""
    labels = np.asarray(Y).reshape(-1)
    target, count = _target(labels, AL.shape[1], label_smoothing, ignore_index)
    at = np.nonzero(target)
    total = -(target[at].astype(AL.dtype) * np.log(AL[at])).sum()
    mean = float(total / count) if count else float("nan")  # the mean of nothing
    return mean, CrossEntropyCache(AL, np.stack([np.arange(len(AL)), labels], axis=1))


def cross_entropy_backward(
    cache: CrossEntropyCache, label_smoothing: float = 0, ignore_index: int | None = None
) -> Array:
    """``-t / (m p)``, t the target and m the rows that count."""
    AL, labels = cache.AL, cache.Y_index[:, 1]
    target, count = _target(labels, AL.shape[1], label_smoothing, ignore_index)
    dAL, at = np.zeros_like(AL), np.nonzero(target)
    dAL[at] = -target[at].astype(AL.dtype) / (AL[at] * AL.dtype.type(count))
    return dAL


def softmax_cross_entropy(
    X: Array, Y: Array, label_smoothing: float = 0, ignore_index: int | None = None
) -> tuple[float, CrossEntropyCache]:
    """Mean over the rows that count of minus the logarithm of the softmax at the label."""
    labels = np.asarray(Y).reshape(-1)
    target, count = _target(labels, X.shape[1], label_smoothing, ignore_index)
    at = np.nonzero(target)
    total = -(target[at].astype(X.dtype) * log_softmax(X)[0][at]).sum()
    mean = float(total / count) if count else float("nan")
    return mean, CrossEntropyCache(softmax(X)[0], np.stack([np.arange(len(X)), labels], axis=1))


def softmax_cross_entropy_backward(
    cache: CrossEntropyCache, label_smoothing: float = 0, ignore_index: int | None = None
) -> Array:
    """``(probs - t) / m``, 0 in the rows that do not count."""
    AL, labels = cache.AL, cache.Y_index[:, 1]
    target, count = _target(labels, AL.shape[1], label_smoothing, ignore_index)
    counted: Array = np.asarray(target.any(axis=1))[:, None]
    total: Array = np.where(counted, AL - target.astype(AL.dtype), 0).astype(AL.dtype)
    result: Array = total / AL.dtype.type(max(1, count))
    return result
