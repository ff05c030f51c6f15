"""The layers as PyTorch functions with gradients: NHWC tensors on the CPU in, NHWC tensors out.

Each function computes forward and backward with the function of this package that has its name, so that one
of these kernels can stand in a PyTorch model, and ``torch.autograd.gradcheck`` can judge it:

    Z = cnnref.torch.conv(X.permute(0, 2, 3, 1), W, b, {"stride": 1, "pad": 1}).permute(0, 3, 1, 2)

Tensors are shared with NumPy, not copied, where they are contiguous. There are no second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import cnnref

__all__ = [
    "affine",
    "affine_activation",
    "arr2col",
    "conv",
    "pad3d",
    "pool",
    "relu",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
]

Forward = Callable[..., tuple[Any, Any]]
Backward = Callable[[Any, Any], Any]


class _Layer(torch.autograd.Function):
    """A forward function of NumPy arrays, and the backward function that takes its cache."""

    @staticmethod
    def forward(ctx: Any, name: str, forward: Forward, backward: Backward, *tensors: Any) -> torch.Tensor:
        output, ctx.cache = forward(*(_array(name, tensor) for tensor in tensors))
        ctx.backward_function = backward
        # The cache holds the same memory; PyTorch refuses to go back where someone overwrote it since.
        ctx.save_for_backward(*tensors)
        return torch.from_numpy(output)

    @staticmethod
    def backward(ctx: Any, doutput: torch.Tensor) -> tuple[Any, ...]:
        # With create_graph=True a constant would come back where a derivative was wanted.
        if torch.is_grad_enabled():
            raise RuntimeError("cnnref.torch: there are no second derivatives (create_graph=True)")
        tensors = ctx.saved_tensors
        gradients = ctx.backward_function(doutput.numpy(), ctx.cache)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        # float32 beside float64 computes in float64; a gradient has the dtype of its tensor.
        given = (torch.from_numpy(g).to(t.dtype) for g, t in zip(gradients, tensors, strict=True))
        return None, None, None, *given


def _array(name: str, tensor: Any) -> np.ndarray:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"cnnref.torch.{name}: expected tensors, got {type(tensor).__name__}")
    if tensor.device.type != "cpu":
        raise TypeError(f"cnnref.torch.{name}: expected tensors on the CPU, got one on {tensor.device}")
    if tensor.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"cnnref.torch.{name}: expected float32 or float64 tensors, got {tensor.dtype}")
    return tensor.detach().numpy()


def conv(
    A_prev: torch.Tensor,
    W: torch.Tensor,
    b: torch.Tensor,
    hparameters: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> torch.Tensor:
    """Convolve: see `cnnref.conv_forward`, whose shapes and errors these are."""
    return _apply(
        "conv",
        lambda *a: cnnref.conv_forward(*a, hparameters, **keywords),
        cnnref.conv_backward,
        A_prev,
        W,
        b,
    )


def pool(
    A_prev: torch.Tensor, hparameters: Mapping[str, Any] | None = None, mode: str = "max", **keywords: Any
) -> torch.Tensor:
    """Pool: see `cnnref.pool_forward`, whose shapes and errors these are."""
    return _apply(
        "pool",
        lambda a: cnnref.pool_forward(a, hparameters, mode, **keywords),
        lambda d, cache: cnnref.pool_backward(d, cache, mode),
        A_prev,
    )


def affine(A_prev: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Apply an affine layer: see `cnnref.affine_forward`, whose shapes and errors these are."""
    return _apply("affine", cnnref.affine_forward, cnnref.affine_backward, A_prev, W, b)


def affine_activation(
    A_prev: torch.Tensor, W: torch.Tensor, b: torch.Tensor, activation: str | None = "relu"
) -> torch.Tensor:
    """Apply an affine layer and an activation: see `cnnref.affine_activation_forward`."""
    return _apply(
        "affine_activation",
        lambda *a: cnnref.affine_activation_forward(*a, activation),
        lambda d, cache: cnnref.affine_activation_backward(d, cache, activation),
        A_prev,
        W,
        b,
    )


def relu(Z: torch.Tensor) -> torch.Tensor:
    """Return ``max(Z, 0)``; the gradient at 0 is 0."""
    return _apply("relu", cnnref.relu, cnnref.relu_backward, Z)


def sigmoid(Z: torch.Tensor) -> torch.Tensor:
    """Return ``1 / (1 + exp(-Z))``."""
    return _apply("sigmoid", cnnref.sigmoid, cnnref.sigmoid_backward, Z)


def softmax(X: torch.Tensor) -> torch.Tensor:
    """Return the softmax of each row."""
    return _apply("softmax", cnnref.softmax, cnnref.softmax_backward, X)


def arr2col(X: torch.Tensor) -> torch.Tensor:
    """Stretch each image into a row."""
    return _apply("arr2col", cnnref.arr2col, cnnref.col2arr, X)


def pad3d(input: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Pad height and width with `stride` zeros on each side."""
    return _apply(
        "pad3d",
        lambda a: (cnnref.pad3d(a, stride), None),
        lambda d, _: cnnref.pad3d_backward(d, stride),
        input,
    )


def softmax_cross_entropy(X: torch.Tensor, Y: Any) -> torch.Tensor:
    """Return the mean cross-entropy of the softmax of `X`, as a tensor without axes.

    Parameters
    ----------
    X : Tensor, shape (m, n)
        Scores.
    Y : array_like of int, shape (m,)
        Classes, from 0.
    """

    def forward(scores: np.ndarray) -> tuple[np.ndarray, Any]:
        loss, cache = cnnref.softmax_cross_entropy(scores, Y)
        return np.array(loss, scores.dtype), cache

    def backward(d: np.ndarray, cache: Any) -> np.ndarray:
        return cnnref.softmax_cross_entropy_backward(cache) * d

    return _apply("softmax_cross_entropy", forward, backward, X)


def _apply(name: str, forward: Forward, backward: Backward, *tensors: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = _Layer.apply(name, forward, backward, *tensors)
    return result
