"""PyTorch's own functions in the case's own dtype, read as anybody's in the dialect ``torch``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import sigmoid, tanh
from torch.nn.functional import (
    adaptive_avg_pool2d,
    avg_pool2d,
    batch_norm,
    celu,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    layer_norm,
    leaky_relu,
    linear,
    log_softmax,
    max_pool2d,
    mish,
    mse_loss,
    pad,
    prelu,
    relu,
    relu6,
    rms_norm,
    selu,
    silu,
    softmax,
    softplus,
    softsign,
)

from conformance.adapters._sigmoid import lost
from conformance.cases.dtypes import finfo

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "celu", "conv2d", "conv_transpose2d",
    "cross_entropy", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "layer_norm", "leaky_relu",
    "linear", "log_softmax", "max_pool2d", "mish", "mse_loss", "pad", "prelu", "relu", "relu6",
    "rms_norm", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh",
]  # fmt: skip

dialect, dtypes = "torch", ("f32", "f64")


def _underflows_early(seen: Seen) -> Any:
    """What comes of a sigmoid that is 0 below the reciprocal of the largest number."""
    return lost(seen, 1 / float(finfo(seen.case.numpy_dtype).max))


def _far_below(seen: Seen) -> Any:
    """Where the sigmoid is subnormal or 0, and so are the digits of its product with Z."""
    if seen.arrays is None:
        return False
    return seen.arrays["Z"] < np.log(finfo(seen.case.numpy_dtype).tiny) + 1


_EARLY = "Its sigmoid is 0 where exp(-Z) overflows: below -88.7 in float32, -709.8 in float64."


def _in_double(seen: Seen) -> bool:
    """The gradient of a float64 array."""
    return seen.case.dtype == "f64"


#: Where it is known to differ, one sentence each.
differs = {
    "sigmoid": {_underflows_early: _EARLY},
    "sigmoid_backward": {_underflows_early: _EARLY},
    "hardsigmoid_backward": {_in_double: "It multiplies by the float32 1/6, in float64 too."},
    "celu_backward": {_in_double: "It takes 1/alpha from float32, in float64 too."},
    "silu": {_far_below: _EARLY},
    "silu_backward": {_far_below: _EARLY},
}
