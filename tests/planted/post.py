"""The post's conventions all at once, in NumPy: what `cnnref.blog` computes, written independently of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from conformance.adapters import _numpy_pool
from conformance.adapters import numpy_loops as right
from conformance.adapters._numpy_windows import gathered
from tests.planted.fault import FAULTS


def _post_softmax(X):
    with np.errstate(all="ignore"):
        e = np.exp(X)
        return e / e.sum(axis=1, keepdims=True), X


def _softmax_backward(dprobs, cache):
    p, _ = _post_softmax(cache)
    return p * (dprobs - (p * dprobs).sum(axis=1, keepdims=True))


def _cross_entropy_cost(AL, Y, batch_size=None):
    return right.cross_entropy_cost(AL, _ranks(Y))


def _softmax_cross_entropy(X, Y):
    loss, cache = right.softmax_cross_entropy(X, _ranks(Y))
    return loss, cache._replace(AL=_post_softmax(X)[0])


def _ranks(Y):
    return np.searchsorted(np.unique(Y), np.reshape(Y, -1))


def _affine_backward(dZ, cache):
    A_prev, W, _ = cache
    m = dZ.dtype.type(max(len(dZ), 1))
    return dZ @ W.T, A_prev.T @ dZ / m, dZ.sum(axis=0, keepdims=True) / m


def _affine_activation_backward(dA, cache, activation):
    if activation == "relu":
        dA = np.where(cache[1] < 0, 0, dA).astype(dA.dtype)
    elif activation == "sigmoid":
        dA = right.sigmoid_backward(dA, cache[1])
    return _affine_backward(dA, cache[0])


def _pool_backward(dA, cache, mode="max"):
    if mode == "average":
        return right.pool_backward(dA, cache, mode)
    A_prev, hparameters = cache
    windows, inside, rows, columns = _numpy_pool._flat_windows(A_prev, hparameters, -np.inf)
    most = windows.max(axis=-1, keepdims=True)
    nan, last = np.isnan(most[..., 0]), _numpy_pool._choice(windows)
    equal = (windows == most) & inside[:, :, None]

    def part(i, j):
        place = i * columns.shape[1] + j
        return np.where(equal[..., place] | (nan & (last == place)), dA, 0)

    return gathered(A_prev, rows, columns, part)


#: The planted faults that are conventions of the post.
_PLANTED = (
    "conv_single_step-bias_for_every_product",
    "conv_forward-bias_inside_the_sum",
    "create_mask_from_window-equality",
    "relu_backward-not_negative",
    "arr2col-as_r_does",
    "col2arr-back_as_r_does",
)


def post() -> SimpleNamespace:
    """The implementation."""
    functions = {name: value for name, value in vars(right).items() if not name.startswith("_")}
    functions |= {fault.op: fault.wrong for fault in FAULTS if str(fault) in _PLANTED}
    return SimpleNamespace(
        **functions
        | {
            "options": ("pool_*.*",),
            "pool_backward": _pool_backward,
            "softmax": _post_softmax,
            "softmax_backward": _softmax_backward,
            "cross_entropy_cost": _cross_entropy_cost,
            "softmax_cross_entropy": _softmax_cross_entropy,
            "affine_backward": _affine_backward,
            "affine_activation_backward": _affine_activation_backward,
        }
    )
