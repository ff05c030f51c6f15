"""cnnref itself: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import cnnref
from benchmarks import network
from benchmarks.inputs import Arrays
from benchmarks.row import Row
from benchmarks.small import ELEMENTWISE, LOSSES


def start(threads: int) -> None:
    """Set the number of threads."""
    cnnref.set_num_threads(threads)


def version() -> str:
    """Version and instruction set."""
    config = cnnref.show_config("dicts")
    assert config is not None
    return f"{config['cnnref']} ({config['instruction_set']})"


def prepare(row: Row, a: Arrays) -> Callable[[], Any] | None:
    """The call of one row; a backward call has its cache ready."""
    z = row.sizes
    name = row.function
    if name == network.FUNCTION:
        return network.ours(row, a)
    call = getattr(cnnref, name)
    if name.startswith("conv_") and "k" in z:
        hparameters = {"stride": z["s"], "pad": z["p"]}
        if row.groups > 1:
            hparameters["groups"] = row.groups
        args = (a["A_prev"], a["W"], a["b"], hparameters)
        forward = cnnref.conv_transpose_forward if row.transposed else cnnref.conv_forward
        return _pair(call, forward, args, a["upstream"])
    if name.startswith("pool_"):
        args = (a["A_prev"], {"f": z["f"], "stride": z["s"]}, z["mode"])
        return _pair(call, cnnref.pool_forward, args, a["upstream"], z["mode"])
    if name.startswith("affine_activation"):
        args = (a["A_prev"], a["W"], a["b"], z["activation"])
        return _pair(call, cnnref.affine_activation_forward, args, a["upstream"], z["activation"])
    if name.startswith("affine_"):
        return _pair(call, cnnref.affine_forward, (a["A_prev"], a["W"], a["b"]), a["upstream"])
    if name == "pad3d_backward":
        return lambda: call(a["upstream"], z["p"])
    if name == "pad3d":
        return lambda: call(a["X"], z["p"])
    if name == "conv_single_step":
        return lambda: call(a["a_slice_prev"], a["W"], a["b"])
    if name == "create_mask_from_window":
        return lambda: call(a["x"])
    if name == "distribute_value":
        value, shape = a["x"].flat[0], a["x"].shape
        return lambda: call(value, shape)
    if name == "col2arr":
        flat, cache = cnnref.arr2col(a["X"])
        return lambda: call(flat, cache)
    if name.startswith("gelu"):
        return _pair(call, cnnref.gelu, (a["X"], z["approximate"]), a["upstream"], z["approximate"])
    if name.startswith("prelu"):
        return _pair(call, cnnref.prelu, (a["X"], a["slopes"]), a["upstream"])
    if name.startswith("batch_norm"):
        arrays = (a[key] for key in ("A_prev", "gamma", "beta", "running_mean", "running_var"))
        hyper = {"training": z["statistics"] == "training", "epsilon": 1e-5, "momentum": 0.1}
        return _pair(call, cnnref.batch_norm_forward, (*arrays, hyper), a["upstream"])
    if name.startswith(("layer_norm", "rms_norm")):
        forward = getattr(cnnref, name.replace("backward", "forward"))
        arrays = (a[key] for key in ("A_prev", "gamma", "beta") if key in a)
        return _pair(call, forward, (*arrays, {"epsilon": 1e-5}), a["upstream"])
    if name in _ELEMENTS:
        return lambda: call(a["upstream"], a["X"])
    if name == "cross_entropy_cost":
        return lambda: call(a["AL"], a["Y"])
    if name in LOSSES:
        cache = cnnref.LossCache(a["X"], a["T"])
        return (lambda: call(cache)) if name.endswith("_backward") else (lambda: call(*cache))
    if name == "softmax_cross_entropy":
        return lambda: call(a["X"], a["Y"])
    if name in ("cross_entropy_backward", "softmax_cross_entropy_backward"):
        loss_cache = cnnref.cross_entropy_cost(a["AL"], a["Y"])[1]
        return lambda: call(loss_cache)
    return lambda: call(a["X"])


#: Gradients whose cache is the input.
_ELEMENTS = (
    *(name for name in ELEMENTWISE if name.endswith("_backward")),
    "softmax_backward",
    "log_softmax_backward",
    "global_average_pool_backward",
)


def _pair(
    call: Callable[..., Any],
    forward: Callable[..., Any],
    args: tuple[Any, ...],
    upstream: np.ndarray,
    *more: Any,
) -> Callable[[], Any]:
    if call is forward:
        return lambda: call(*args)
    cache = forward(*args)[1]
    return lambda: call(upstream, cache, *more)


def arrays(row: Row, result: Any) -> list[np.ndarray]:
    """The outputs without the cache."""
    if isinstance(result, tuple) and not row.function.endswith("_backward"):  # the output and its cache
        result = result[:1]
    return [np.asarray(x) for x in (result if isinstance(result, tuple) else (result,))]
