"""The small calls: every function at sizes where the call costs more than the arithmetic."""

from __future__ import annotations

from conformance.operations import OPERATIONS, having
from conformance.operations.entry import IMAGE

#: Functions of each element that need nothing else, and their gradients: a new one has its rows from here.
ELEMENTWISE = tuple(n for n, e in OPERATIONS.items() if e.arrays[0] == "Z" and e.grammar == (IMAGE,))

#: The losses of each element and its target, and their gradients.
LOSSES = having("losses")

_IMAGE = {"m": 2, "h": 8, "w": 8, "c": 3}
_POOL = _IMAGE | {"f": 2, "s": 2}
_CONV = _IMAGE | {"f": 3, "k": 4, "s": 1, "p": 1}
_AFFINE = {"m": 2, "i": 8, "o": 4}
_ROWS = {"m": 4, "n": 5}

#: (function, sizes) of each.
SMALL: tuple[tuple[str, dict[str, int | str]], ...] = (
    ("pad3d", _IMAGE | {"p": 1}),
    ("pad3d_backward", _IMAGE | {"p": 1}),
    ("conv_single_step", {"f": 3, "c": 3}),
    ("conv_forward", {**_CONV}),
    ("conv_backward", {**_CONV}),
    ("conv_transpose_forward", {**_CONV}),
    ("conv_transpose_backward", {**_CONV}),
    ("pool_forward", _POOL | {"mode": "max"}),
    ("pool_backward", _POOL | {"mode": "max"}),
    ("pool_forward", _POOL | {"mode": "average"}),
    ("pool_backward", _POOL | {"mode": "average"}),
    ("create_mask_from_window", {"h": 3, "w": 3}),
    ("distribute_value", {"h": 3, "w": 3}),
    ("arr2col", {**_IMAGE}),
    ("col2arr", {**_IMAGE}),
    ("affine_forward", {**_AFFINE}),
    ("affine_backward", {**_AFFINE}),
    ("affine_activation_forward", _AFFINE | {"activation": "relu"}),
    ("affine_activation_backward", _AFFINE | {"activation": "relu"}),
    ("affine_activation_forward", _AFFINE | {"activation": "sigmoid"}),
    ("affine_activation_backward", _AFFINE | {"activation": "sigmoid"}),
    *((name, {**_IMAGE}) for name in ELEMENTWISE),
    ("gelu", _IMAGE | {"approximate": "none"}),
    ("gelu_backward", _IMAGE | {"approximate": "none"}),
    ("prelu", _IMAGE | {"slopes": "channelwise"}),
    ("prelu_backward", _IMAGE | {"slopes": "channelwise"}),
    ("global_average_pool_forward", {**_IMAGE}),
    ("global_average_pool_backward", {**_IMAGE}),
    ("batch_norm_forward", _IMAGE | {"statistics": "training"}),
    ("batch_norm_backward", _IMAGE | {"statistics": "training"}),
    ("layer_norm_forward", {**_IMAGE}),
    ("layer_norm_backward", {**_IMAGE}),
    ("rms_norm_forward", {**_IMAGE}),
    ("rms_norm_backward", {**_IMAGE}),
    ("log_softmax", {**_ROWS}),
    ("log_softmax_backward", {**_ROWS}),
    ("softmax", {**_ROWS}),
    ("softmax_backward", {**_ROWS}),
    *((name, {**_ROWS}) for name in LOSSES),
    ("cross_entropy_cost", {**_ROWS}),
    ("cross_entropy_backward", {**_ROWS}),
    ("softmax_cross_entropy", {**_ROWS}),
    ("softmax_cross_entropy_backward", {**_ROWS}),
)
