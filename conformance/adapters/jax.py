"""JAX: ``lax.conv_general_dilated`` and ``lax.reduce_window`` in NHWC, gradients by ``jax.vjp``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
_config.update("jax_enable_x64", True)
_config.update("jax_platforms", "cpu")

dialect = "contract"
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
    "affine_activation_forward": {**_FLUSHES, _sigmoid_flushed: _FLUSHED},
    "affine_activation_backward": {**_FLUSHES, _sigmoid_flushed: _FLUSHED},
    "cross_entropy_cost": {_log_of_zero: _FLUSHED},
    "sigmoid": {_sigmoid_flushed: _FLUSHED},
    "sigmoid_backward": {_sigmoid_flushed: _FLUSHED},
}


def _forward(function: Callable[..., Any], *arrays: Any) -> tuple[Any, Any]:
    """The output of `function`, and its pullback as the cache."""
    output, pullback = jax.vjp(function, *(jnp.asarray(a) for a in arrays))
    return np.asarray(output), pullback


def _backward(gradient: Any, cache: Any) -> Any:
    arrays = tuple(np.asarray(g) for g in cache(jnp.asarray(gradient)))
    return arrays if len(arrays) > 1 else arrays[0]


def _both(value: Any) -> tuple[Any, Any]:
    """A value for rows and columns, or one for each."""
    return value if isinstance(value, tuple) else (value, value)


def _padding(pad: Any) -> Any:
    """A rule of XLA, or (before, after) of rows and of columns."""
    if isinstance(pad, str):
        return pad.upper()
    return tuple(_both(side) for side in _both(pad))


def conv_forward(A_prev: Any, W: Any, b: Any, hparameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """``lax.conv_general_dilated``."""

    def conv(A: Any, filters: Any, bias: Any) -> Any:
        return bias + lax.conv_general_dilated(
            A,
            filters,
            _both(hparameters["stride"]),
            _padding(hparameters["pad"]),
            rhs_dilation=_both(hparameters.get("dilation", 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=hparameters.get("groups", 1),
            precision=lax.Precision.HIGHEST,
        )

    return _forward(conv, A_prev, W, b)


def pool_forward(A_prev: Any, hparameters: Mapping[str, Any], mode: str = "max") -> tuple[Any, Any]:
    """``lax.reduce_window``."""
    f, s, d = (_both(hparameters.get(key, 1)) for key in ("f", "stride", "dilation"))
    pad = _padding(hparameters.get("pad", 0))
    sides = pad if isinstance(pad, str) else ((0, 0), *pad, (0, 0))

    def pool(A: Any) -> Any:
        windows = ((1, *f, 1), (1, *s, 1), sides, None, (1, *d, 1))
        if mode == "max":
            return lax.reduce_window(A, -jnp.inf, lax.max, *windows)
        return lax.reduce_window(A, 0.0, lax.add, *windows) / (f[0] * f[1])

    return _forward(pool, A_prev)


def pool_backward(dA: Any, cache: Any, mode: str = "max") -> Any:
    """The pullback of `pool_forward`."""
    return _backward(dA, cache)


def _affine(A: Any, W: Any, b: Any) -> Any:
    return jnp.matmul(A, W, precision=lax.Precision.HIGHEST) + b


def affine_forward(A_prev: Any, W: Any, b: Any) -> tuple[Any, Any]:
    """``jnp.matmul``."""
    return _forward(_affine, A_prev, W, b)


def affine_activation_forward(A_prev: Any, W: Any, b: Any, activation: str = "relu") -> tuple[Any, Any]:
    """``jnp.matmul`` and ``jax.nn``."""
    act = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}.get(activation, lambda Z: Z)
    return _forward(lambda A, w, bias: act(_affine(A, w, bias)), A_prev, W, b)


def affine_activation_backward(dA: Any, cache: Any, activation: str) -> Any:
    """The pullback of `affine_activation_forward`."""
    return _backward(dA, cache)


def pad3d(input: Any, stride: int = 1) -> Any:
    """``jnp.pad``."""
    return np.asarray(jnp.pad(input, ((0, 0), (stride, stride), (stride, stride), (0, 0))))


def sigmoid(Z: Any) -> tuple[Any, Any]:
    """``jax.nn.sigmoid``."""
    return _forward(jax.nn.sigmoid, Z)


def relu(Z: Any) -> tuple[Any, Any]:
    """``jax.nn.relu``."""
    return _forward(jax.nn.relu, Z)


def softmax(X: Any) -> tuple[Any, Any]:
    """``jax.nn.softmax`` over each row."""
    return _forward(jax.nn.softmax, X)


def cross_entropy_cost(AL: Any, Y: Any) -> tuple[Any, Any]:
    """The mean of minus the logarithm."""
    rows, labels = np.arange(len(AL)), np.asarray(Y).reshape(-1)
    loss, pullback = _forward(lambda p: -jnp.mean(jnp.log(p[rows, labels])), AL)
    return float(loss), (pullback, AL.dtype)


def cross_entropy_backward(cache: Any) -> Any:
    """The pullback of `cross_entropy_cost`."""
    pullback, dtype = cache
    return _backward(np.ones((), dtype), pullback)


conv_backward = affine_backward = sigmoid_backward = relu_backward = softmax_backward = _backward
