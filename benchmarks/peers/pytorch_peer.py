"""PyTorch as fast as it can be called: channels_last, `aten` calls, no autograd, oneDNN on.

The filters of a float32 forward convolution are in oneDNN's blocked layout before the clock starts (as
Inductor has them when it freezes a model), so that no call pays for reordering them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import network
from benchmarks.inputs import Arrays
from benchmarks.row import Row
from benchmarks.small import LOSSES

aten = torch.ops.aten


def start(threads: int) -> None:
    """Set the number of threads; no autograd from here on."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    torch.autograd.grad_mode._enter_inference_mode(True)


def version() -> str:
    """The version."""
    return str(torch.__version__)


def tensor(x: np.ndarray) -> torch.Tensor:
    """An array as a tensor on the same memory; PyTorch does not know NumPy's bfloat16."""
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def image(x: np.ndarray) -> torch.Tensor:
    """An NHWC array as a tensor (m, C, H, W) in channels_last: no copy."""
    return tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def prepare(row: Row, a: Arrays) -> Callable[[], Any] | None:
    """The call of one row, its operands laid out."""
    if row.function == network.FUNCTION:
        return network.theirs(row, a)
    family = next((f for prefix, f in _FAMILIES.items() if row.function.startswith(prefix)), _pointwise)
    return family(row, a)


def arrays(row: Row, result: Any) -> list[np.ndarray]:
    """The outputs in the contract's layouts: images NHWC, filters (f, f, C, K)."""
    outputs = list(result) if isinstance(result, tuple) else [result]
    if row.function in ("pool_forward", "batch_norm_forward"):
        del outputs[1:]  # the positions of the maxima; the statistics
    if row.function in ("batch_norm_backward", "prelu_backward"):
        return [outputs[0].permute(0, 2, 3, 1).numpy(), *(x.view(1, 1, 1, -1).numpy() for x in outputs[1:])]
    if row.function in ("layer_norm_forward", "rms_norm_forward"):
        return [outputs[0].numpy()]
    if row.function in ("layer_norm_backward", "rms_norm_backward"):
        return [outputs[0].numpy(), *(x.view(1, 1, 1, -1).numpy() for x in outputs[1:])]
    if row.function in ("arr2col", "col2arr") or not isinstance(outputs[0], torch.Tensor):
        return [np.asarray(x) for x in outputs]
    if row.function in ("conv_backward", "conv_transpose_backward"):
        inputs, filters, bias = outputs
        filters = filters.permute(2, 3, 1, 0)
        return [
            inputs.permute(0, 2, 3, 1).numpy(),
            np.ascontiguousarray(filters),
            bias.view(1, 1, 1, -1).numpy(),
        ]
    return [(x.permute(0, 2, 3, 1) if x.ndim == 4 else x).numpy() for x in outputs]


def _convolution(row: Row, a: Arrays) -> Callable[[], Any]:
    if row.function == "conv_single_step":
        window, w, b = (tensor(a[key]) for key in ("a_slice_prev", "W", "b"))
        flat, filters, bias = window.view(-1), w.view(-1), b[0]
        return lambda: (torch.dot(flat, filters) + bias).item()
    f, s, p, c = (row.letter(letter) for letter in "fspc")
    groups = row.groups
    if (f, s, row.dtype) == (1, 2, "float32") and c < 16:
        raise ValueError(f"{row.name}: PyTorch can corrupt memory here")
    x = image(a["A_prev"])
    w = tensor(a["W"]).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    stride, pad = [s, s], [p, p]
    if row.function in ("conv_backward", "conv_transpose_backward"):
        g, k, turned = image(a["upstream"]), [row.letter("k")], row.transposed
        call = aten.convolution_backward.default
        return lambda: call(g, x, w, k, stride, pad, [1, 1], turned, [0, 0], groups, [True] * 3)
    b = tensor(a["b"]).view(-1)
    if row.transposed:
        return lambda: torch.conv_transpose2d(x, w, b, stride, pad, 0, groups, 1)
    if row.dtype == "float32" and not row.small:
        mkldnn = torch.ops.mkldnn
        packed = mkldnn._reorder_convolution_weight(w, pad, stride, [1, 1], groups, list(x.shape))
        pointwise = mkldnn._convolution_pointwise.default
        return lambda: pointwise(x, packed, b, pad, stride, [1, 1], groups, "none", [], "")
    return lambda: torch.conv2d(x, w, b, stride, pad, 1, groups)


def _pool(row: Row, a: Arrays) -> Callable[[], Any]:
    f, s = [row.letter("f")] * 2, [row.letter("s")] * 2
    x, g = image(a["A_prev"]), image(a["upstream"])
    if row.sizes["mode"] == "max":
        forward = torch._C._nn.max_pool2d_with_indices
        if row.function == "pool_forward":
            return lambda: forward(x, f, s)
        index = forward(x, f, s)[1]
        backward = aten.max_pool2d_with_indices_backward.default
        return lambda: backward(g, x, f, s, [0, 0], [1, 1], False, index)
    average = torch._C._nn.avg_pool2d
    if row.function == "pool_forward":
        return lambda: average(x, f, s)
    means = aten.avg_pool2d_backward.default
    return lambda: means(g, x, f, s, [0, 0], False, True, None)


def _affine(row: Row, a: Arrays) -> Callable[[], Any]:
    x, w, b, g = (tensor(a[key]) for key in ("A_prev", "W", "b", "upstream"))
    activation = row.sizes.get("activation")
    if row.function == "affine_forward":
        return lambda: torch.addmm(b, x, w)
    if row.function == "affine_activation_forward":
        act = {"relu": torch.relu, "sigmoid": torch.sigmoid}[str(activation)]
        return lambda: act(torch.addmm(b, x, w))

    def gradients(g: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.mm(g, w.t()), torch.mm(x.t(), g), torch.sum(g, 0, keepdim=True)

    if activation is None:
        return lambda: gradients(g)
    linear = torch.addmm(b, x, w)
    if activation == "relu":
        return lambda: gradients(aten.threshold_backward.default(g, linear, 0))
    out = torch.sigmoid(linear)
    return lambda: gradients(aten.sigmoid_backward.default(g, out))


def _rows(row: Row, a: Arrays) -> Callable[[], Any]:
    x, al, y, g = (tensor(a[key]) for key in ("X", "AL", "Y", "upstream"))
    name, one = row.function, torch.ones((), dtype=x.dtype)
    if name == "softmax":
        return lambda: torch.softmax(x, 1)
    if name == "log_softmax":
        return lambda: torch.log_softmax(x, 1)
    if name == "log_softmax_backward":
        logp = torch.log_softmax(x, 1)
        of_log = aten._log_softmax_backward_data.default
        return lambda: of_log(g, logp, 1, x.dtype)
    if name == "softmax_backward":
        probs = torch.softmax(x, 1)
        backward = aten._softmax_backward_data.default
        return lambda: backward(g, probs, 1, x.dtype)
    nll, logarithm = torch._C._nn.nll_loss, torch.log(al)
    if name == "cross_entropy_cost":
        return lambda: nll(torch.log(al), y, None, 1).item()
    if name == "softmax_cross_entropy":
        return lambda: nll(torch.log_softmax(x, 1), y, None, 1).item()
    weight = torch.tensor(float(len(y)), dtype=x.dtype)
    nll_backward = aten.nll_loss_backward.default
    if name == "cross_entropy_backward":
        return lambda: torch.div(nll_backward(one, logarithm, y, None, 1, -100, weight), al)
    through = aten._log_softmax_backward_data.default
    return lambda: through(nll_backward(one, logarithm, y, None, 1, -100, weight), logarithm, 1, x.dtype)


def _element_loss(row: Row, a: Arrays) -> Callable[[], Any]:
    x, t, one = tensor(a["X"]), tensor(a["T"]), torch.ones((), dtype=tensor(a["X"]).dtype)
    name = row.function
    gradients: dict[str, Callable[[], Any]] = {
        "mse_loss_backward": lambda: aten.mse_loss_backward.default(one, x, t, 1),
    }
    if name in gradients:
        return gradients[name]
    value = getattr(torch.nn.functional, name)
    return lambda: value(x, t).item()


def _window(row: Row, a: Arrays) -> Callable[[], Any]:
    x = tensor(a["x"])
    if row.function == "distribute_value":
        value, shape = float(a["x"].flat[0]), list(x.shape)
        return lambda: torch.full(shape, value / (shape[0] * shape[1]), dtype=torch.float64)

    def mask() -> torch.Tensor:
        out = torch.zeros_like(x)
        out.view(-1)[x.argmax()] = 1
        return out

    return mask


_SELU = (1.6732632423543772, 1.0507009873554805)
#: Gradients of the input, and what they are given beside it.
_BACKWARD: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "relu6_backward": (aten.hardtanh_backward.default, (0.0, 6.0)),
    "hardtanh_backward": (aten.hardtanh_backward.default, (-1.0, 1.0)),
    "hardsigmoid_backward": (aten.hardsigmoid_backward.default, ()),
    "hardswish_backward": (aten.hardswish_backward.default, ()),
    "elu_backward": (lambda g, x: aten.elu_backward.default(g, 1.0, 1.0, 1.0, False, x), ()),
    "celu_backward": (lambda g, x: aten.elu_backward.default(g, 1.0, 1.0, 1.0, False, x), ()),
    "selu_backward": (lambda g, x: aten.elu_backward.default(g, *_SELU, 1.0, False, x), ()),
    "softplus_backward": (aten.softplus_backward.default, (1.0, 20.0)),
    "mish_backward": (aten.mish_backward.default, ()),
    "leaky_relu_backward": (aten.leaky_relu_backward.default, (0.01, False)),
    "silu_backward": (aten.silu_backward.default, ()),
}


def _pointwise(row: Row, a: Arrays) -> Callable[[], Any]:
    x, g, name = image(a["X"]), image(a["upstream"]), row.function
    if name == "arr2col":
        flat = tensor(a["X"]).view(len(x), -1)
        return lambda: flat.clone()
    if name == "col2arr":
        flat, shape = tensor(a["X"]).view(len(x), -1), a["X"].shape
        return lambda: flat.clone().view(shape)
    if name.startswith("pad3d"):
        p = row.letter("p")
        if name == "pad3d":
            return lambda: torch.constant_pad_nd(x, [p] * 4, 0.0)
        return lambda: torch.constant_pad_nd(g, [-p] * 4, 0.0)
    if name == "sigmoid_backward":
        out = torch.sigmoid(x)
        return lambda: aten.sigmoid_backward.default(g, out)
    if name == "relu_backward":
        return lambda: aten.threshold_backward.default(g, x, 0)
    if name == "tanh_backward":
        out = torch.tanh(x)
        return lambda: aten.tanh_backward.default(g, out)
    if name in _BACKWARD:
        backward, more = _BACKWARD[name]
        return lambda: backward(g, x, *more)
    if name == "softsign_backward":
        out = torch.nn.functional.softsign(x.requires_grad_())
        return lambda: torch.autograd.grad(out, x, g, retain_graph=True)
    nn = torch._C._nn
    acts = {
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "silu": nn.silu,
        "leaky_relu": nn.leaky_relu,
        "relu6": nn.relu6,
        "hardtanh": nn.hardtanh,
        "hardsigmoid": nn.hardsigmoid,
        "hardswish": nn.hardswish,
        "elu": nn.elu,
        "selu": torch.selu,
        "celu": torch.celu,
        "softplus": nn.softplus,
        "mish": nn.mish,
        "softsign": torch.nn.functional.softsign,
    }
    act = acts[name]
    return lambda: act(x)


def _gelu(row: Row, a: Arrays) -> Callable[[], Any]:
    x, g, form = image(a["X"]), image(a["upstream"]), str(row.sizes["approximate"])
    if row.function == "gelu":
        gelu = torch._C._nn.gelu
        return lambda: gelu(x, approximate=form)
    return lambda: aten.gelu_backward.default(g, x, approximate=form)


def _prelu(row: Row, a: Arrays) -> Callable[[], Any]:
    x, g, slopes = image(a["X"]), image(a["upstream"]), tensor(a["slopes"].reshape(-1))
    if row.function == "prelu":
        return lambda: torch.prelu(x, slopes)
    wide, backward = slopes.view(1, -1, 1, 1), aten._prelu_kernel_backward.default

    def gradients() -> tuple[torch.Tensor, ...]:
        of_input, terms = backward(g, x, wide)
        return of_input, terms.sum((0, 2, 3))

    return gradients


def _global(row: Row, a: Arrays) -> Callable[[], Any]:
    x, g = image(a["X"]), image(a["upstream"])
    if row.function == "global_average_pool_forward":
        pool = torch._C._nn.adaptive_avg_pool2d
        return lambda: pool(x, [1, 1])
    backward = aten._adaptive_avg_pool2d_backward.default
    return lambda: backward(g, x)


def _norm(row: Row, a: Arrays) -> Callable[[], Any]:
    x, g = image(a["A_prev"]), image(a["upstream"])
    scale, offset, mean, variance = (
        tensor(a[key].reshape(-1)) for key in ("gamma", "beta", "running_mean", "running_var")
    )
    training = row.sizes["statistics"] == "training"

    def forward() -> tuple[torch.Tensor, ...]:
        return torch.native_batch_norm(x, scale, offset, mean, variance, training, 0.1, 1e-5)

    if row.function == "batch_norm_forward":
        return forward
    _, saved_mean, saved_inverse = forward()
    backward = aten.native_batch_norm_backward.default
    every = [True, True, True]
    return lambda: backward(g, x, scale, mean, variance, saved_mean, saved_inverse, training, 1e-5, every)


def _layer_norm(row: Row, a: Arrays) -> Callable[[], Any]:
    x, g = tensor(a["A_prev"]), tensor(a["upstream"])
    scale, offset = (tensor(a[key].reshape(-1)) for key in ("gamma", "beta"))
    shape, forward = [scale.shape[0]], torch.native_layer_norm
    if row.function == "layer_norm_forward":
        return lambda: forward(x, shape, scale, offset, 1e-5)
    _, mean, inverse = forward(x, shape, scale, offset, 1e-5)
    backward = aten.native_layer_norm_backward.default
    return lambda: backward(g, x, shape, mean, inverse, scale, offset, [True, True, True])


def _rms_norm(row: Row, a: Arrays) -> Callable[[], Any]:
    """Of the CPU PyTorch has no kernel of the gradient: autograd's, of operations one by one."""
    x, scale = tensor(a["A_prev"]), tensor(a["gamma"].reshape(-1))
    shape = [scale.shape[0]]
    if row.function == "rms_norm_forward":
        return lambda: torch.rms_norm(x, shape, scale, 1e-5)
    with torch.inference_mode(mode=False), torch.enable_grad():
        x, scale, g = (t.clone() for t in (x, scale, tensor(a["upstream"])))
        x.requires_grad_()
        scale.requires_grad_()
        out = torch.rms_norm(x, shape, scale, 1e-5)
    return lambda: torch.autograd.grad(out, (x, scale), g, retain_graph=True)


_FAMILIES: dict[str, Callable[[Row, Arrays], Callable[[], Any]]] = {
    **dict.fromkeys(LOSSES, _element_loss),
    "conv_": _convolution,
    "pool_": _pool,
    "affine_": _affine,
    "global": _global,
    "batch_norm": _norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "gelu": _gelu,
    "prelu": _prelu,
    "log_softmax": _rows,
    "softmax": _rows,
    "cross_entropy": _rows,
    "create_mask": _window,
    "distribute": _window,
}
