"""Groups of functions that share data families."""

from __future__ import annotations

from conformance.operations import OPERATIONS

TRANSPOSE = ("conv_transpose_forward", "conv_transpose_backward")
WINDOWED_CONV = ("conv_forward", "conv_backward", *TRANSPOSE)
CONV = ("conv_single_step", *WINDOWED_CONV)
AFFINE = ("affine_forward", "affine_backward")
ACTIVATED = ("affine_activation_forward", "affine_activation_backward")
SUMS = (*CONV, *AFFINE, *ACTIVATED)
BACKWARD_SUMS = ("conv_backward", "conv_transpose_backward", "affine_backward", "affine_activation_backward")
POOL = ("pool_forward", "pool_backward")
RELU = ("relu", "relu_backward")
SIGMOID = ("sigmoid", "sigmoid_backward", "tanh", "tanh_backward")
#: Without their answer to -inf: its limit or torch's NaN.
UNITS = tuple(f"{name}{way}" for name in ("silu", "gelu", "leaky_relu") for way in ("", "_backward"))
GLOBAL = ("global_average_pool_forward", "global_average_pool_backward")
NORM = ("batch_norm_forward", "batch_norm_backward")
MOVES = ("pad3d", "pad3d_backward", "arr2col", "col2arr")
MASK = "create_mask_from_window"
SHARE = "distribute_value"
LOG_SOFTMAX = ("log_softmax", "log_softmax_backward")
SOFTMAX = ("softmax", "softmax_backward", "softmax_cross_entropy_backward", *LOG_SOFTMAX)
LOSS = ("cross_entropy_cost", "cross_entropy_backward")
#: All but those of probabilities.
PLAIN = tuple(name for name in OPERATIONS if name not in LOSS)
