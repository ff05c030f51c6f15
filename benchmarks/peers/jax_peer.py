"""JAX, each row one jitted function on NHWC arrays that are on the device already."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.inputs import Arrays
from benchmarks.row import Row


def start(threads: int) -> None:
    """XLA takes as many threads as there are processors that it may run on: leave it that many."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_enable_x64", True)


def version() -> str:
    """The version."""
    import jax

    return str(jax.__version__)


def prepare(row: Row, a: Arrays) -> Callable[[], Any] | None:
    """The call of one row, compiled; None for a function that this peer is not measured on."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def conv(x: Any, w: Any, b: Any) -> Any:
        s, p = row.letter("s"), row.letter("p")
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, w, (s, s), [(p, p)] * 2, dimension_numbers=layout) + b

    def affine(x: Any, w: Any, b: Any) -> Any:
        return x @ w + b

    def pool(x: Any) -> Any:
        f, s = row.letter("f"), row.letter("s")
        return lax.reduce_window(x, -np.inf, lax.max, (1, f, f, 1), (1, s, s, 1), "VALID")

    functions = {
        "conv": (conv, ("A_prev", "W", "b")),
        "affine": (affine, ("A_prev", "W", "b")),
        "pool": (pool, ("A_prev",)),
        "relu": (lambda x: jnp.maximum(x, 0), ("X",)),
        "softmax": (lambda x: jax.nn.softmax(x, axis=1), ("X",)),
    }
    name, _, way = row.function.partition("_")
    if name not in functions or way not in ("", "forward", "backward"):
        return None
    function, names = functions[name]
    args = [jax.device_put(a[key]) for key in names]
    if way == "backward":
        upstream = jax.device_put(a["upstream"])

        def gradients(g: Any, *xs: Any) -> Any:
            return jax.vjp(function, *xs)[1](g)

        compiled = jax.jit(gradients).lower(upstream, *args).compile()
        return lambda: jax.block_until_ready(compiled(upstream, *args))
    compiled = jax.jit(function).lower(*args).compile()
    return lambda: jax.block_until_ready(compiled(*args))


def arrays(row: Row, result: Any) -> list[np.ndarray]:
    """The outputs."""
    return [np.asarray(x) for x in (result if isinstance(result, (tuple, list)) else (result,))]
