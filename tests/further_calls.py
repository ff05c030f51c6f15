"""Calls for which the suite has no case: transposed convolutions, options of losses.

Each is large enough for a team of threads, with remainders everywhere, and its arrays are the same on every
machine. What is tested of every function (bits, batches, guard bytes, threads) is tested of these too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import cnnref
from conformance.stream import Stream, normal, uniform

DTYPES = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Call:
    """A call: `run` gives the outputs by name from `arrays`; those of `per_sample` have one for each sample
    of the arrays named in `samples`.
    """

    name: str
    arrays: Arrays
    run: Callable[[Arrays], dict[str, Any]]
    samples: tuple[str, ...] = ()
    per_sample: tuple[str, ...] = ()


#: (name, input, (f_h, f_w), n_C, hyperparameters) of a transposed convolution.
CONVOLUTIONS = (
    ("plain", (5, 23, 26, 17), (3, 3), 33, {"stride": 2, "pad": 1}),
    ("depthwise", (3, 31, 30, 48), (3, 3), 48, {"stride": 2, "pad": 1, "groups": 48}),
    ("grouped", (4, 20, 23, 24), (3, 5), 36, {"stride": (2, 1), "pad": ((1, 0), (2, 1)), "groups": 4}),
    ("dilated", (2, 33, 34, 5), (2, 3), 70, {"stride": 1, "pad": (2, 0), "dilation": (3, 2)}),
)
LOSSES = {
    "smoothed": {"label_smoothing": 0.1},
    "ignored": {"ignore_index": 7},
    "smoothed-ignored": {"label_smoothing": 0.3, "ignore_index": -100},
}


def transposed(hyper: dict[str, Any]) -> Callable[[Arrays], dict[str, Any]]:
    """Forward and backward, from the input, the filters, the biases and a gradient."""

    def run(a: Arrays) -> dict[str, Any]:
        Z, cache = cnnref.conv_transpose_forward(a["A_prev"], a["W"], a["b"], hyper)
        gradients = cnnref.conv_transpose_backward(a["dZ"], cache)
        return {"Z": Z} | dict(zip(("dA_prev", "dW", "db"), gradients, strict=True))

    return run


def loss(options: dict[str, Any]) -> Callable[[Arrays], dict[str, Any]]:
    """The mean and both gradients, from probabilities and labels."""

    def run(a: Arrays) -> dict[str, Any]:
        mean, cache = cnnref.cross_entropy_cost(a["AL"], a["Y"], **options)
        return {
            "loss": mean,
            "dAL": cnnref.cross_entropy_backward(cache, **options),
            "dX": cnnref.softmax_cross_entropy_backward(cache, **options),
        }

    return run


def calls() -> Iterator[Call]:
    """All of them, in each dtype."""
    for form, dtype in DTYPES.items():
        for title, shape, (f_h, f_w), n_C, hyper in CONVOLUTIONS:
            name = f"conv_transpose:{form}:{title}"
            stream, filters = Stream(name), (f_h, f_w, n_C // hyper.get("groups", 1), shape[3])
            a = {n: normal(stream, s, dtype) for n, s in (("A_prev", shape), ("W", filters))}
            a["b"] = normal(stream, (1, 1, 1, n_C), dtype)
            Z, _ = cnnref.conv_transpose_forward(*a.values(), hyper)
            a["dZ"] = normal(stream, Z.shape, dtype)
            yield Call(name, a, transposed(hyper), ("A_prev", "dZ"), ("Z", "dA_prev"))
        for title, options in LOSSES.items():
            stream = Stream(f"loss:{form}:{title}")
            labels = stream.integers(0, 30, (5003,))
            labels[::9] = options.get("ignore_index", 0)
            rows = uniform(stream, (5003, 31), dtype)
            yield Call(f"loss:{form}:{title}", {"AL": rows, "Y": labels}, loss(options))
