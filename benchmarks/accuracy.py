"""Float32 error against the float64 truth, cnnref's beside PyTorch's on the same case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.row import Row
from benchmarks.worker import Worker
from conformance.operations import having

#: Functions that round, beside pooling in mode "average"; all others move or pick elements.
ROUNDING = having("inexact", "products", "global")


def rounds(row: Row) -> bool:
    """Whether the row's function rounds at all."""
    return row.function in ROUNDING or row.sizes.get("mode") == "average"


def errors(row: Row, workers: dict[str, Worker]) -> dict[str, Any]:
    """The median absolute error of each peer on a float32 row, over all elements of all its outputs.

    The truth is PyTorch in float64 on the very float32 values, read as float64.
    """
    if row.dtype != "float32" or not rounds(row):
        return {}
    torch = workers["pytorch"]
    torch.ask("prepare_truth", replace(row, dtype="float64"), row)
    truth = [np.asarray(x, dtype=np.float64) for x in torch.ask("arrays")]
    found = {}
    for peer in ("cnnref", "pytorch"):
        workers[peer].prepare(row)
        got = workers[peer].ask("arrays")
        found[peer] = [median_error(x, y) for x, y in zip(got, truth, strict=True)]
    return found


def median_error(got: np.ndarray, truth: np.ndarray) -> float:
    """The median of |got - truth|."""
    if got.shape != truth.shape:
        raise ValueError(f"outputs differ in shape: {got.shape} and {truth.shape}")
    return float(np.median(np.abs(got - truth)))
