"""PyTorch in the case's own dtype, images as NHWC views (channels_last), gradients by autograd.

Its float32 kernels may use two threads, as they do for everybody: the oracle's process-wide single
thread would hide what is to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from conformance.adapters._sigmoid import lost
from conformance.cases.dtypes import finfo

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen

THREADS = 2

#: What it takes beyond the plain calls.
options = ("conv_*.*", "pool_*.*", "cross_entropy_*.*")


def _underflows_early(seen: Seen) -> Any:
    """What comes of a sigmoid that is 0 below the reciprocal of the largest number."""
    return lost(seen, 1 / float(finfo(seen.case.numpy_dtype).max))


def _far_below(seen: Seen) -> Any:
    """Where the sigmoid is subnormal or 0, and so are the digits of its product with Z."""
    if seen.arrays is None:
        return False
    return seen.arrays["Z"] < np.log(finfo(seen.case.numpy_dtype).tiny) + 1


def _out_of_bounds(seen: Seen) -> bool:
    case = seen.case
    return case.dtype == "f32" and case.value("f") == 1 and case.value("s") != 1 and case["c"] < 16


_EARLY = "Its sigmoid is 0 where exp(-Z) overflows: below -88.7 in float32, -709.8 in float64."
#: Where it is known to differ, one sentence each.
differs = {
    "sigmoid": {_underflows_early: _EARLY},
    "sigmoid_backward": {_underflows_early: _EARLY},
    "affine_activation_forward": {_underflows_early: _EARLY},
    "affine_activation_backward": {_underflows_early: _EARLY},
    "silu": {_far_below: _EARLY},
    "silu_backward": {_far_below: _EARLY},
    "conv_backward": {
        _out_of_bounds: "The NHWC weight gradient of 1x1 filters with a stride and under 16 channels writes "
        "out of bounds (oneDNN #6035): the process dies there or later, or the values are wrong."
    },
}


def _forward(function: Callable[..., Tensor], *arrays: Any) -> tuple[Any, Any]:
    """The output of `function`, and the graph as the cache."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        inputs = [torch.from_numpy(a).requires_grad_() for a in arrays]
        output = function(*inputs)
    finally:
        torch.set_num_threads(threads)
    return output.detach().numpy(), (output, inputs)


def _backward(gradient: Any, cache: Any) -> Any:
    output, inputs = cache
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        # The graph stays: a cache may be asked for its gradient again.
        found = torch.autograd.grad(
            output, inputs, torch.from_numpy(gradient), retain_graph=True, materialize_grads=True
        )
    except RuntimeError as error:
        # torch 2.13 refuses the weight gradient of a single filter over an NHWC view in float64.
        if "grad_weight must be contiguous" in str(error):
            raise NotImplementedError(str(error)) from error
        raise
    finally:
        torch.set_num_threads(threads)
    arrays = tuple(g.numpy() for g in found)
    return arrays if len(arrays) > 1 else arrays[0]


def _conv(hparameters: Mapping[str, Any]) -> Callable[..., Tensor]:
    stride, pad = hparameters["stride"], hparameters["pad"]
    dilation, groups = hparameters.get("dilation", 1), hparameters.get("groups", 1)
    sides = (0, 0, 0, 0)
    if pad == "same_lower" or (pad == "same" and stride != 1):
        raise NotImplementedError(f"torch has no padding {pad} with stride {stride}")
    if isinstance(pad, tuple) and isinstance(pad[0], tuple):
        sides, pad = (*pad[1], *pad[0]), 0

    def conv(A: Tensor, W: Tensor, b: Tensor) -> Tensor:
        image, filters = A.permute(0, 3, 1, 2), W.permute(3, 2, 0, 1)
        image = functional.pad(image, sides) if any(sides) else image
        output = functional.conv2d(image, filters, b.reshape(-1), stride, pad, dilation, groups)
        return output.permute(0, 2, 3, 1)

    return conv


def conv_forward(A_prev: Any, W: Any, b: Any, hparameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """``torch.nn.functional.conv2d``."""
    if not A_prev.shape[3] or not W.shape[3]:
        raise NotImplementedError("torch has no convolution without channels or filters")
    return _forward(_conv(hparameters), A_prev, W, b)


def conv_transpose_forward(A_prev: Any, W: Any, b: Any, hparameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """``torch.nn.functional.conv_transpose2d``."""
    if not A_prev.shape[3] or not W.shape[2]:
        raise NotImplementedError("torch has no convolution without channels or filters")
    pad = hparameters["pad"]
    if isinstance(pad, tuple) and isinstance(pad[0], tuple):
        raise NotImplementedError(f"torch has no transposed convolution with padding {pad}")
    more, groups = hparameters.get("output_padding", 0), hparameters.get("groups", 1)
    rest = hparameters["stride"], pad, more, groups, hparameters.get("dilation", 1)

    def conv(A: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
        image, weight = A.permute(0, 3, 1, 2), filters.permute(3, 2, 0, 1)
        return functional.conv_transpose2d(image, weight, bias.reshape(-1), *rest).permute(0, 2, 3, 1)

    return _forward(conv, A_prev, W, b)


def pool_forward(A_prev: Any, hparameters: Mapping[str, Any], mode: str = "max") -> tuple[Any, Any]:
    """``max_pool2d`` or ``avg_pool2d``."""
    if not A_prev.size:
        raise NotImplementedError("torch has no pooling of nothing")
    f, s, pad = hparameters["f"], hparameters["stride"], hparameters.get("pad", 0)
    if isinstance(pad, str) or (isinstance(pad, tuple) and isinstance(pad[0], tuple)):
        raise NotImplementedError(f"torch has no pool with padding {pad}")
    ceil = hparameters.get("ceil_mode", False)

    def pool(A: Tensor) -> Tensor:
        image = A.permute(0, 3, 1, 2)
        if mode == "max":
            found = functional.max_pool2d(image, f, s, pad, hparameters.get("dilation", 1), ceil)
        else:
            counted = hparameters.get("count_include_pad", True)
            found = functional.avg_pool2d(image, f, s, pad, ceil, counted)
        return found.permute(0, 2, 3, 1)

    return _forward(pool, A_prev)


def pool_backward(dA: Any, cache: Any, mode: str = "max") -> Any:
    """Autograd of `pool_forward`."""
    return _backward(dA, cache)


def affine_forward(A_prev: Any, W: Any, b: Any) -> tuple[Any, Any]:
    """``addmm``."""
    return _forward(lambda A, w, bias: torch.addmm(bias, A, w), A_prev, W, b)


def affine_activation_forward(A_prev: Any, W: Any, b: Any, activation: str = "relu") -> tuple[Any, Any]:
    """``addmm`` and the activation."""
    act = {"relu": torch.relu, "sigmoid": torch.sigmoid}.get(activation, lambda Z: Z)
    return _forward(lambda A, w, bias: act(torch.addmm(bias, A, w)), A_prev, W, b)


def affine_activation_backward(dA: Any, cache: Any, activation: str) -> Any:
    """Autograd of `affine_activation_forward`."""
    return _backward(dA, cache)


def pad3d(input: Any, stride: int = 1) -> Any:
    """``torch.nn.functional.pad``."""
    return _forward(lambda x: functional.pad(x, (0, 0, stride, stride, stride, stride)), input)[0]


def sigmoid(Z: Any) -> tuple[Any, Any]:
    """``torch.sigmoid``."""
    return _forward(torch.sigmoid, Z)


def relu(Z: Any) -> tuple[Any, Any]:
    """``torch.relu``."""
    return _forward(torch.relu, Z)


def softmax(X: Any) -> tuple[Any, Any]:
    """``torch.softmax`` over each row."""
    return _forward(lambda x: torch.softmax(x, 1), X)


def cross_entropy_cost(
    AL: Any, Y: Any, label_smoothing: float = 0.0, ignore_index: int | None = None
) -> tuple[Any, Any]:
    """The mean of minus the logarithms that have a part in it: those of the labels, or of all classes."""
    labels = torch.from_numpy(np.asarray(Y, np.int64).reshape(-1, 1))
    rows = labels[:, 0] == labels[:, 0] if ignore_index is None else labels[:, 0] != ignore_index

    def loss(p: Tensor) -> Tensor:
        found = -torch.log(p[rows].gather(1, labels[rows])).mean()
        if not label_smoothing:
            return found
        return (1 - label_smoothing) * found - label_smoothing * torch.log(p[rows]).mean()

    value, cache = _forward(loss, AL)
    return float(value), cache


def cross_entropy_backward(cache: Any, label_smoothing: float = 0.0, ignore_index: int | None = None) -> Any:
    """Autograd of `cross_entropy_cost`."""
    return _backward(np.ones((), cache[0].detach().numpy().dtype), cache)


def tanh(Z: Any) -> tuple[Any, Any]:
    """``torch.tanh``."""
    return _forward(torch.tanh, Z)


def silu(Z: Any) -> tuple[Any, Any]:
    """``torch.nn.functional.silu``."""
    return _forward(functional.silu, Z)


def gelu(Z: Any, approximate: str = "none") -> tuple[Any, Any]:
    """``torch.nn.functional.gelu``."""
    return _forward(lambda z: functional.gelu(z, approximate=approximate), Z)


def leaky_relu(Z: Any, negative_slope: float = 0.01) -> tuple[Any, Any]:
    """``torch.nn.functional.leaky_relu``."""
    return _forward(lambda z: functional.leaky_relu(z, negative_slope), Z)


def gelu_backward(dA: Any, cache: Any, approximate: str = "none") -> Any:
    """Autograd of `gelu`."""
    return _backward(dA, cache)


def leaky_relu_backward(dA: Any, cache: Any, negative_slope: float = 0.01) -> Any:
    """Autograd of `leaky_relu`."""
    return _backward(dA, cache)


def global_average_pool_forward(A_prev: Any) -> tuple[Any, Any]:
    """``adaptive_avg_pool2d``."""
    if not A_prev.size:
        raise NotImplementedError("torch has no pooling of nothing")
    return _forward(
        lambda A: functional.adaptive_avg_pool2d(A.permute(0, 3, 1, 2), 1).permute(0, 2, 3, 1), A_prev
    )


def batch_norm_forward(
    A_prev: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, hparameters: Mapping[str, Any]
) -> tuple[Any, Any]:
    """``torch.batch_norm``; the cache is a mapping with the new running statistics."""
    if not A_prev.size:
        raise NotImplementedError("torch has no gradient of the normalization of nothing")
    mean, variance = (torch.from_numpy(x.reshape(-1).copy()) for x in (running_mean, running_var))
    training, momentum, epsilon = (hparameters[key] for key in ("training", "momentum", "epsilon"))

    def norm(A: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
        image, scale, offset = A.permute(0, 3, 1, 2), scale.reshape(-1), offset.reshape(-1)
        out = torch.batch_norm(image, scale, offset, mean, variance, training, momentum, epsilon, False)
        return out.permute(0, 2, 3, 1)

    A, graph = _forward(norm, A_prev, gamma, beta)
    kept = {"running_mean": mean, "running_var": variance}
    return A, {"graph": graph, **{name: x.numpy().reshape(1, 1, 1, -1) for name, x in kept.items()}}


def batch_norm_backward(dA: Any, cache: Any) -> Any:
    """Autograd of `batch_norm_forward`."""
    return _backward(dA, cache["graph"])


def log_softmax(X: Any) -> tuple[Any, Any]:
    """``torch.log_softmax`` over each row."""
    return _forward(lambda x: torch.log_softmax(x, 1), X)


tanh_backward = silu_backward = global_average_pool_backward = log_softmax_backward = _backward
conv_backward = conv_transpose_backward = affine_backward = sigmoid_backward = relu_backward = (
    softmax_backward
) = _backward
