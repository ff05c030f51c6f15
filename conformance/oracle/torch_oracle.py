"""What the right answer is: PyTorch autograd in float64 on the arrays the implementation saw.

With `oracle_conv` and `oracle_units`, the only file of the suite that imports torch. Images come and go as
NHWC; oneDNN is off and torch runs on one thread, because the float32 NHWC kernels of torch 2.13 can corrupt
memory and because a reference must not depend on the machine. Where torch refuses (no channels, no filters)
or answers something else than the definition, the mathematics stands in its place, with the reason beside
it.

`evaluate` takes arrays of any float dtype, so that the error bounds can ask for the same operation
on ones (the number of terms), on absolute values and on squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from conformance.cases.case import Case
from conformance.cases.window import Window, window_of
from conformance.oracle import conv as oracle_conv
from conformance.oracle import units as oracle_units
from conformance.oracle.conv import both, nchw, nhwc
from conformance.oracle.units import logistic

torch.set_num_threads(1)

Arrays = Mapping[str, NDArray[Any]]
Tensors = dict[str, Tensor]
Outputs = dict[str, NDArray[np.float64]]


def evaluate(case: Case, arrays: Arrays) -> Outputs:
    """The outputs of `case` on `arrays`, computed in float64.

    Parameters
    ----------
    case : Case
        The operation and its parameters.
    arrays : mapping of str to ndarray
        The arrays named in ``case.operation.arrays``, of any real dtype. ``Y`` holds class indices.

    Returns
    -------
    dict of str to ndarray of float64
        By the names in ``case.operation.outputs``. Every gradient is torch's own derivative of the
        forward function along the upstream gradient.
    """
    variables = _GRADIENTS.get(case.op, {}).values()
    tensors = {name: _tensor(arrays[name], name, name in variables) for name in case.operation.arrays}
    # Not the ``flags`` context manager: it sets TF32 as well, and warns that there is no Intel GPU.
    backend = cast(Any, torch.backends.mkldnn)
    onednn = backend.enabled
    backend.enabled = False
    try:
        if variables:
            outputs = _backward(case, tensors)
        elif case.op == "batch_norm_forward":
            outputs = oracle_units.running(case, tensors)
        else:
            with torch.inference_mode():
                outputs = {case.operation.outputs[0]: _FORWARD[case.op](case, tensors)}
    finally:
        backend.enabled = onednn
    return {name: value.contiguous().numpy() for name, value in outputs.items()}


def _tensor(array: NDArray[Any], name: str, differentiable: bool) -> Tensor:
    dtype = np.int64 if name == "Y" else np.float64
    # A copy: the caller's array may be read-only, and nothing here may reach back into it.
    return torch.from_numpy(np.array(array, dtype=dtype, order="C")).requires_grad_(differentiable)


def _backward(case: Case, t: Tensors) -> Tensors:
    """Differentiate the forward function of `case` along its upstream gradient."""
    wanted = _GRADIENTS[case.op]
    if case.op == "pad3d_backward":  # the one operation that is handed nothing but its upstream gradient
        shape = (case["m"], case["h"], case["w"], case["c"])
        t["input"] = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    value = _FORWARD[case.op](case, t)
    upstream = t[case.operation.upstream] if case.operation.upstream else None
    # An operand that the mathematics of an empty sum leaves out has gradient zero.
    gradients = torch.autograd.grad(
        value, [t[name] for name in wanted.values()], upstream, materialize_grads=True
    )
    return dict(zip(wanted, gradients, strict=True))


def _pad(case: Case, t: Tensors) -> Tensor:
    p = case["p"]
    return functional.pad(t["input"], (0, 0, p, p, p, p))


def _pool(case: Case, t: Tensors) -> Tensor:
    image, window = t["A_prev"], window_of(case)
    if image.numel() == 0:  # torch refuses an image without channels
        return image.sum().expand(case["m"], *window.outputs, case["c"])
    option = case.operation.option
    ceil = "rounding" in option and case.word("rounding") == "ceil"
    counted = "border" not in option or case.word("border") == "include"
    f, s, d = (both(window, field) for field in "fsd")
    before, after = both(window, "before"), both(window, "after")
    if before != after or any(2 * pad > taps for pad, taps in zip(before, f, strict=True)):
        return nhwc(_padded_pool(case, nchw(image), window, counted))
    if case.word("mode") == "max":
        return nhwc(functional.max_pool2d(nchw(image), f, s, before, d, ceil))
    return nhwc(functional.avg_pool2d(nchw(image), f, s, before, ceil, counted))


def _padded_pool(case: Case, image: Tensor, window: Window, counted: bool) -> Tensor:
    """A pool with padding that torch does not take: more on one side than on the other, or more than half.

    The padding is part of the image here, and as many windows are taken as the rule gives. A maximum takes
    nothing from it: where a whole window is -inf, the gradient goes to the first tap in the image.
    """
    f, s, d = (both(window, field) for field in "fsd")
    reach = [
        max((axis.outputs - 1) * axis.s + axis.span - axis.before - axis.n, 0)
        for axis in (window.rows, window.columns)
    ]
    sides = (window.columns.before, reach[1], window.rows.before, reach[0])
    rows, columns = window.outputs
    if case.word("mode") == "average":
        total = functional.avg_pool2d(functional.pad(image, sides), f, s, divisor_override=1)
        divisor = torch.from_numpy(window.counts(counted))
        return total[:, :, :rows, :columns] / divisor
    padded = functional.pad(image, sides, value=-math.inf)
    with torch.no_grad():
        _, index = functional.max_pool2d(padded, f, s, 0, d, return_indices=True)
        index = index[:, :, :rows, :columns]
        first = _first_inside(window, padded.shape[3])
        width = padded.shape[3]
        row, column = index // width - window.rows.before, index % width - window.columns.before
        inside = (row >= 0) & (row < window.rows.n) & (column >= 0) & (column < window.columns.n)
        index = torch.where(inside, index, first)
    flat = padded.flatten(2).gather(2, index.flatten(2))
    return flat.reshape(index.shape)


def _first_inside(window: Window, width: int) -> Tensor:
    """``(rows, columns)``: where in the padded image, `width` wide, the first tap in the image reads."""
    places = []
    for axis in (window.rows, window.columns):
        first = axis.inside().argmax(1)
        places.append(torch.from_numpy(axis.starts() + first * axis.d + axis.before))
    return places[0][:, None] * width + places[1]


def _mask(case: Case, t: Tensors) -> Tensor:
    """One at torch's argument of the maximum: the first of equals, the last NaN if there is one."""
    x = t["x"]
    _, index = functional.max_pool2d(x[None, None], tuple(x.shape), return_indices=True)
    return functional.one_hot(index.reshape(()), x.numel()).reshape(x.shape).to(torch.float64)


def _distribute(case: Case, t: Tensors) -> Tensor:
    return (t["dz"] / (case["h"] * case["w"])).expand(case["h"], case["w"])


def _to_columns(case: Case, t: Tensors) -> Tensor:
    return t["X"].reshape(case["m"], case["h"] * case["w"] * case["c"])


def _from_columns(case: Case, t: Tensors) -> Tensor:
    return t["X"].reshape(case["m"], case["h"], case["w"], case["c"])


def _affine(case: Case, t: Tensors) -> Tensor:
    return torch.addmm(t["b"], t["A_prev"], t["W"])


def _affine_activation(case: Case, t: Tensors) -> Tensor:
    activation = _ACTIVATIONS[case.word("activation")]
    return activation(_affine(case, t))


def _identity(Z: Tensor) -> Tensor:
    return Z


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "sigmoid": logistic,
    "NULL": _identity,
}


def _sigmoid(case: Case, t: Tensors) -> Tensor:
    return logistic(t["Z"])


def _relu(case: Case, t: Tensors) -> Tensor:
    return torch.relu(t["Z"])


def _softmax(case: Case, t: Tensors) -> Tensor:
    return torch.softmax(t["X"], dim=1)


def _cross_entropy(case: Case, t: Tensors) -> Tensor:
    """The mean over the rows that count; NaN for none, as torch's mean of nothing."""
    return _against_labels(case, t["AL"], t["Y"], torch.log)


def _softmax_cross_entropy(case: Case, t: Tensors) -> Tensor:
    return _against_labels(case, torch.log_softmax(t["X"], 1), t["Y"], _identity)


def _against_labels(
    case: Case, values: Tensor, labels: Tensor, logarithm: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean of ``-((1 - e) l[i, Y_i] + e/n sum_k l[i, k])`` over the rows whose label is not ignored.

    Without smoothing no logarithm but the label's is taken: that of 0 has no gradient, not even times 0.
    """
    ignored, e = case.value("ignore"), float(case.value("smooth"))  # type: ignore[arg-type]
    kept = labels != (ignored if isinstance(ignored, int) else -1)
    rows = values[kept]
    losses = logarithm(rows.gather(1, labels[kept].reshape(-1, 1))).reshape(-1)
    if e:
        losses = (1 - e) * losses + e * logarithm(rows).mean(1)
    return -losses.mean()


Forward = Callable[[Case, Tensors], Tensor]

#: The function that each operation is, or that a backward operation differentiates.
_FORWARD: dict[str, Forward] = {
    "pad3d": _pad,
    "pad3d_backward": _pad,
    "conv_single_step": oracle_conv.single_step,
    "conv_forward": oracle_conv.convolution,
    "conv_backward": oracle_conv.convolution,
    "conv_transpose_forward": oracle_conv.transposed,
    "conv_transpose_backward": oracle_conv.transposed,
    "pool_forward": _pool,
    "pool_backward": _pool,
    "create_mask_from_window": _mask,
    "distribute_value": _distribute,
    "arr2col": _to_columns,
    "col2arr": _from_columns,
    "affine_forward": _affine,
    "affine_backward": _affine,
    "affine_activation_forward": _affine_activation,
    "affine_activation_backward": _affine_activation,
    "sigmoid": _sigmoid,
    "sigmoid_backward": _sigmoid,
    "relu": _relu,
    "relu_backward": _relu,
    "softmax": _softmax,
    "softmax_backward": _softmax,
    **oracle_units.FORWARD,
    "cross_entropy_cost": _cross_entropy,
    "cross_entropy_backward": _cross_entropy,
    "softmax_cross_entropy_backward": _softmax_cross_entropy,
}

_LAYER = {"dA_prev": "A_prev", "dW": "W", "db": "b"}

#: Which variable each output of a backward operation is the derivative by.
_GRADIENTS: dict[str, dict[str, str]] = {
    "pad3d_backward": {"dinput": "input"},
    "conv_backward": _LAYER,
    "conv_transpose_backward": _LAYER,
    "pool_backward": {"dA_prev": "A_prev"},
    "affine_backward": _LAYER,
    "affine_activation_backward": _LAYER,
    "sigmoid_backward": {"dZ": "Z"},
    "relu_backward": {"dZ": "Z"},
    "softmax_backward": {"dX": "X"},
    **oracle_units.GRADIENTS,
    "cross_entropy_backward": {"dAL": "AL"},
    "softmax_cross_entropy_backward": {"dX": "X"},
}
