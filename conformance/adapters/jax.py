"""JAX: ``lax.conv_general_dilated`` and ``lax.reduce_window`` in NHWC, read in the dialect ``jax``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from conformance.adapters._sigmoid import lost
from conformance.cases.dtypes import finfo

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen

_config: Any = jax.config
_config.update("jax_platforms", "cpu")

dialect = "jax"
#: What it takes beyond the plain calls.
options = ("conv_*.*", *(f"pool_*.{key}" for key in ("f", "stride", "pad", "dilation")))

#: Its documented choices.
conventions = {"relu-nan-gradient": "0", "pool-nan": "scan"}

_FLUSHED = "XLA on the CPU flushes subnormal numbers to zero."


def _sigmoid_flushed(seen: Seen) -> Any:
    """What comes of a sigmoid that is 0 where it is subnormal, and of results that are."""
    if seen.expected is None:
        return False
    tiny = float(finfo(seen.case.numpy_dtype).tiny)
    return lost(seen, tiny) | ((seen.got == 0) & (np.abs(seen.expected) < tiny))


def _log_of_zero(seen: Seen) -> Any:
    """An infinite loss where a probability is subnormal."""
    if seen.arrays is None or seen.got is None:
        return False
    small = seen.arrays["AL"] < float(finfo(seen.case.numpy_dtype).tiny)
    return np.isinf(seen.got) & small.any()


_FLUSHES: dict[Any, str] = {"subnormals-flushed": _FLUSHED}
#: Where it is known to differ, one sentence each.
differs = {
    **dict.fromkeys(("relu", "relu_backward", "conv_forward", "conv_backward"), _FLUSHES),
    **dict.fromkeys(("affine_forward", "affine_backward", "pool_forward", "pool_backward"), _FLUSHES),
    "cross_entropy_cost": {_log_of_zero: _FLUSHED},
    "sigmoid": {_sigmoid_flushed: _FLUSHED},
    "sigmoid_backward": {_sigmoid_flushed: _FLUSHED},
}


def _both(value: Any) -> tuple[Any, Any]:
    """A value for rows and columns, or one for each."""
    return value if isinstance(value, tuple) else (value, value)


def _padding(pad: Any) -> Any:
    """A rule of XLA, or (before, after) of rows and of columns."""
    if isinstance(pad, str):
        return pad.upper()
    return tuple(_both(side) for side in _both(pad))


def conv_forward(A_prev: Any, W: Any, b: Any, hparameters: Mapping[str, Any]) -> Any:
    """``lax.conv_general_dilated``."""
    return b + lax.conv_general_dilated(
        A_prev,
        W,
        _both(hparameters["stride"]),
        _padding(hparameters["pad"]),
        rhs_dilation=_both(hparameters.get("dilation", 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=hparameters.get("groups", 1),
        precision=lax.Precision.HIGHEST,
    )


def pool_forward(A_prev: Any, hparameters: Mapping[str, Any], mode: str = "max") -> Any:
    """``lax.reduce_window``."""
    f, s, d = (_both(hparameters.get(key, 1)) for key in ("f", "stride", "dilation"))
    pad = _padding(hparameters.get("pad", 0))
    sides = pad if isinstance(pad, str) else ((0, 0), *pad, (0, 0))
    windows = ((1, *f, 1), (1, *s, 1), sides, None, (1, *d, 1))
    if mode == "max":
        return lax.reduce_window(A_prev, -jnp.inf, lax.max, *windows)
    return lax.reduce_window(A_prev, 0.0, lax.add, *windows) / (f[0] * f[1])


def affine_forward(A_prev: Any, W: Any, b: Any) -> Any:
    """``jnp.matmul``."""
    return jnp.matmul(A_prev, W, precision=lax.Precision.HIGHEST) + b


def pad3d(input: Any, stride: int = 1) -> Any:
    """``jnp.pad``."""
    return jnp.pad(input, ((0, 0), (stride, stride), (stride, stride), (0, 0)))


def sigmoid(Z: Any) -> Any:
    """``jax.nn.sigmoid``."""
    return jax.nn.sigmoid(Z)


def relu(Z: Any) -> Any:
    """``jax.nn.relu``."""
    return jax.nn.relu(Z)


def softmax(X: Any) -> Any:
    """``jax.nn.softmax`` over each row."""
    return jax.nn.softmax(X)


def cross_entropy_cost(AL: Any, Y: Any) -> Any:
    """The mean of minus the logarithm."""
    return -jnp.mean(jnp.log(AL[jnp.arange(len(AL)), Y.reshape(-1)]))
