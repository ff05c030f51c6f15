"""Calls for which the suite has no case: options of losses.

Each is large enough for a team of threads, with remainders everywhere, and its arrays are the same on every
machine. What is tested of every function (bits, batches, guard bytes, threads) is tested of these too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import cnnref
from conformance.stream import Stream

DTYPES = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Call:
    """A call: `run` gives the outputs by name from `arrays`."""

    name: str
    arrays: Arrays
    run: Callable[[Arrays], dict[str, Any]]


LOSSES = {
    "smoothed": {"label_smoothing": 0.1},
    "ignored": {"ignore_index": 7},
    "smoothed-ignored": {"label_smoothing": 0.3, "ignore_index": -100},
}


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
        for title, options in LOSSES.items():
            stream = Stream(f"loss:{form}:{title}")
            labels = stream.integers(0, 30, (5003,))
            labels[::9] = options.get("ignore_index", 0)
            rows = stream.uniform((5003, 31), dtype)
            yield Call(f"loss:{form}:{title}", {"AL": rows, "Y": labels}, loss(options))
