"""The functions in float64 NumPy, with the joints at which people usually get them wrong left open.

`reference` gives the right outputs; a slip calls it with changed arrays or with one of the options
below. It shares no code with the oracle, the kernels or the adapters, so that a slip is not recognised
by a mistake it has in common with what it explains.

Options by operation: ``window`` (conv, pool), ``bias_times``, ``sees`` (conv), ``ties``, ``overwrite``,
``start``, ``outside``, ``divisor`` (pool, mask), ``at_zero``, ``relu_mask`` (relu and what uses it),
``slope`` (sigmoid's derivative and what uses it), ``shift``, ``axis`` (softmax and what uses it),
``epsilon`` (logarithm),
``aim``, ``divisor`` (cross-entropy).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.patches import patches, scatter
from conformance.cases.window import Window, counts_padding, window_of
from conformance.faults import core_conv, core_loss, core_units

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = dict[str, Array]
Base = Callable[..., Outputs]


def _pad3d(case: Case, a: Arrays) -> Outputs:
    p = case["p"]
    return {"output": np.pad(a["input"], ((0, 0), (p, p), (p, p), (0, 0)))}


def _pad3d_backward(case: Case, a: Arrays) -> Outputs:
    p = case["p"]
    return {"dinput": a["doutput"][:, p : p + case["h"], p : p + case["w"]]}


def _pool_forward(
    case: Case,
    a: Arrays,
    window: Window | None = None,
    start: float = -np.inf,
    outside: float = -np.inf,
    mode: str = "",
    divisor: Array | float | None = None,
) -> Outputs:
    window = window or window_of(case)
    if (mode or case.word("mode")) == "max":
        return {"A": np.maximum(patches(a["A_prev"], window, outside).max((3, 4)), start)}
    return {"A": patches(a["A_prev"], window).sum((3, 4)) / _divisor(case, window, divisor)}


def _divisor(case: Case, window: Window, divisor: Array | float | None) -> Array:
    """By what an average divides each output; ``(rows, columns, 1)``, or one number."""
    if divisor is None:
        divisor = window.counts(counts_padding(case))[..., None]
    return np.asarray(divisor, np.float64)


def chosen(values: Array, ties: str, nan: str = "last", possible: Array | None = None) -> Array:
    """The share of the gradient that each entry of the last-but-one axis receives.

    Ties go to the ``first`` maximum, the ``last``, ``all`` of them in full or ``shared`` equally. Among
    NaN the ``last`` or the ``first`` gets all of it; or all shares are NaN (``spread``) or 0 (``none``).
    Entries that are not `possible` get nothing.
    """
    is_nan = np.isnan(values)
    some = is_nan.any(-2, keepdims=True)
    number = np.where(is_nan, -np.inf, values)
    candidates = np.where(some, is_nan, number == number.max(-2, keepdims=True))
    if possible is not None:
        candidates = candidates & possible
    last = np.where(some, nan == "last", ties == "last")
    first_seen = (np.cumsum(candidates, -2) == 1) & candidates
    last_seen = (np.cumsum(candidates[..., ::-1, :], -2)[..., ::-1, :] == 1) & candidates
    if ties in ("all", "shared"):
        share = candidates / (1.0 if ties == "all" else candidates.sum(-2, keepdims=True))
        first_seen = np.where(some, first_seen, share)
    out = np.where(last, last_seen, first_seen).astype(np.float64)
    if nan in ("spread", "none"):
        out = np.where(some, np.nan if nan == "spread" else 0.0, out)
    return np.asarray(out)


def _pool_backward(
    case: Case,
    a: Arrays,
    window: Window | None = None,
    ties: str = "first",
    nan: str = "last",
    start: float = -np.inf,
    outside: float = -np.inf,
    overwrite: bool = False,
    mode: str = "",
    divisor: Array | float | None = None,
) -> Outputs:
    window = window or window_of(case)
    taken = patches(a["A_prev"], window, outside)
    flat = taken.reshape(*taken.shape[:3], window.size, taken.shape[-1])
    upstream = a["dA"][:, :, :, None, :]
    if (mode or case.word("mode")) == "max":
        # Of equals outside and inside the image, which only -inf can be, one inside is chosen.
        inside = patches(np.ones_like(a["A_prev"]), window).reshape(flat.shape) > 0
        share = chosen(flat, ties, nan, inside if outside == -np.inf else None) * ~(
            flat.max(-2, keepdims=True) < start
        )
        given = np.where(share != 0, share * upstream, 0.0)
    else:
        upstream = (a["dA"] / _divisor(case, window, divisor))[:, :, :, None, :]
        given = np.broadcast_to(upstream, flat.shape)
    return {"dA_prev": scatter(given.reshape(taken.shape), window, a["A_prev"].shape, overwrite)}


def _mask(case: Case, a: Arrays, ties: str = "first", nan: str = "last") -> Outputs:
    return {"mask": chosen(a["x"].reshape(-1, 1), ties, nan).reshape(a["x"].shape)}


def _distribute(case: Case, a: Arrays, divisor: float | None = None) -> Outputs:
    size = case["h"] * case["w"]
    return {"a": np.full((case["h"], case["w"]), a["dz"] / (divisor or size or 1))}


def _arr2col(case: Case, a: Arrays, order: str = "hwc") -> Outputs:
    axes = (0, *(1 + "hwc".index(letter) for letter in order))
    return {"output": a["X"].transpose(axes).reshape(a["X"].shape[0], -1)}


def _col2arr(case: Case, a: Arrays, order: str = "hwc") -> Outputs:
    extents = (case["m"], *(case[letter] for letter in order))
    axes = (0, *(1 + order.index(letter) for letter in "hwc"))
    return {"output": a["X"].reshape(extents).transpose(axes)}


def _affine_forward(case: Case, a: Arrays, bias_times: float = 1.0) -> Outputs:
    return {"Z": a["A_prev"] @ a["W"] + bias_times * a["b"]}


def _affine_backward(case: Case, a: Arrays) -> Outputs:
    return {
        "dA_prev": a["dZ"] @ a["W"].T,
        "dW": a["A_prev"].T @ a["dZ"],
        "db": a["dZ"].sum(0, keepdims=True),
    }


def sigmoid(z: Array) -> Array:
    """The logistic function without overflow at either end."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def slope(z: Array) -> Array:
    """The derivative of `sigmoid`, symmetric and never lost to cancellation."""
    small = np.exp(-np.abs(z))
    return small / (1.0 + small) ** 2


def _activate(z: Array, activation: str) -> Array:
    if activation == "relu":
        return np.where(z < 0, 0.0, z)
    return sigmoid(z) if activation == "sigmoid" else z


def _relu_backward(case: Case, a: Arrays, at_zero: float = 0.0, relu_mask: Array | None = None) -> Outputs:
    z = a["Z"] if relu_mask is None else relu_mask
    return {"dZ": np.where(z == 0, at_zero, np.where(z < 0, 0.0, 1.0)) * a["dA"]}


def _sigmoid_backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = slope) -> Outputs:
    return {"dZ": a["dA"] * slope(a["Z"])}


def _affine_activation_forward(
    case: Case, a: Arrays, activation: str = "", bias_times: float = 1.0
) -> Outputs:
    z = _affine_forward(case, a, bias_times)["Z"]
    return {"A": _activate(z, activation or case.word("activation"))}


def _affine_activation_backward(
    case: Case,
    a: Arrays,
    activation: str = "",
    at_zero: float = 0.0,
    relu_mask: Array | None = None,
    slope: Callable[[Array], Array] = slope,
) -> Outputs:
    inner = {"Z": _affine_forward(case, a)["Z"], "dA": a["dA"]}
    activation = activation or case.word("activation")
    d_z = a["dA"]
    if activation == "relu":
        d_z = _relu_backward(case, inner, at_zero, relu_mask)["dZ"]
    elif activation == "sigmoid":
        d_z = _sigmoid_backward(case, inner, slope)["dZ"]
    return _affine_backward(case, {**a, "dZ": d_z})


def _softmax(case: Case, a: Arrays, shift: str = "row", axis: int = 1) -> Outputs:
    x = a["X"]
    if x.size == 0:
        return {"probs": np.zeros(x.shape)}
    top = {"row": x.max(axis, keepdims=True), "all": x.max(), "none": np.zeros(())}[shift]
    # Overflow has to happen where it happens for the case's dtype, not where it happens in float64.
    form = np.float64 if shift == "row" else case.working_dtype
    powers = np.exp(x - top).astype(form).astype(np.float64)
    total = powers.sum(axis, keepdims=True).astype(form).astype(np.float64)
    return {"probs": powers / total}


def _softmax_backward(case: Case, a: Arrays, **options: Any) -> Outputs:
    p = _softmax(case, a, **options)["probs"]
    axis = options.get("axis", 1)
    return {"dX": p * (a["dprobs"] - (p * a["dprobs"]).sum(axis, keepdims=True))}


def picked(a: Arrays, name: str) -> Array:
    """The entry of each row that the label names."""
    return a[name][np.arange(len(a["Y"])), a["Y"]]


def _softmax_cross_entropy_backward(
    case: Case,
    a: Arrays,
    aim: core_loss.Target = core_loss.target,
    divisor: int | None = None,
    **options: Any,
) -> Outputs:
    return core_loss.of_logits(case, a, _softmax(case, a, **options)["probs"], aim, divisor)


_REFERENCE: dict[str, Base] = {
    "pad3d": _pad3d,
    "pad3d_backward": _pad3d_backward,
    "conv_single_step": core_conv.single_step,
    "conv_forward": core_conv.forward,
    "conv_backward": core_conv.backward,
    "conv_transpose_forward": core_conv.transposed_forward,
    "conv_transpose_backward": core_conv.transposed_backward,
    "pool_forward": _pool_forward,
    "pool_backward": _pool_backward,
    "create_mask_from_window": _mask,
    "distribute_value": _distribute,
    "arr2col": _arr2col,
    "col2arr": _col2arr,
    "affine_forward": _affine_forward,
    "affine_backward": _affine_backward,
    "affine_activation_forward": _affine_activation_forward,
    "affine_activation_backward": _affine_activation_backward,
    "sigmoid": lambda case, a: {"A": sigmoid(a["Z"])},
    "sigmoid_backward": _sigmoid_backward,
    "relu": lambda case, a: {"A": _activate(a["Z"], "relu")},
    "relu_backward": _relu_backward,
    **core_units.REFERENCE,
    "softmax": _softmax,
    "softmax_backward": _softmax_backward,
    "cross_entropy_cost": core_loss.cost,
    "cross_entropy_backward": core_loss.backward,
    "softmax_cross_entropy_backward": _softmax_cross_entropy_backward,
}


def reference(case: Case, arrays: Arrays, **options: Any) -> Outputs:
    """The outputs of a case in float64: the right ones, or with `options` the ones a slip gives."""
    return _REFERENCE[case.op](case, arrays, **options)
