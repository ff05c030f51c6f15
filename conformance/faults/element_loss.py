"""Faults of the losses of each element and its target, and of their gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.faults.core import Array, Arrays
from conformance.faults.rows import data, instead, option, scaled
from conformance.operations import OPERATIONS, having
from conformance.operations.element_loss import count

_ALL = {name: OPERATIONS[name].outputs[0] for name in having("losses")}
_VALUES = {name: output for name, output in _ALL.items() if output == "loss"}


def _of(*names: str) -> dict[str, str]:
    """The loss and the gradient of each of `names`."""
    return {op: output for op, output in _ALL.items() if op.removesuffix("_backward") in names}


def _wrong(id: str, text: str, name: str, of: Callable[[Case, Array, Array], Array]) -> None:
    """A slip of what a loss, or a gradient, is at each element."""
    output = "dX" if name.endswith("_backward") else "loss"
    option(id, text, {name: output}, of=lambda case, a: {"of": of})


def _rows_missing(case: Case, a: Arrays, of: Callable[[Array], Array]) -> Array:
    """The loss without the terms of the rows that are not among `of` the rows."""
    kept = {name: of(value) for name, value in a.items()}
    whole = case.operation.reference(case, kept, over=1)["loss"]
    return np.asarray(whole / np.float64(count(case) or np.nan))


option("loss-sum-for-mean", "The sum is taken instead of the mean.", _ALL, over=1)
scaled("loss-divided-by-count-twice", "The loss or its gradient is divided twice.", _ALL,
       over=lambda case, a: max(count(case), 1))  # fmt: skip
scaled("loss-divided-by-rows-alone", "The sum of all elements is divided by the number of rows.", _ALL,
       by=lambda case, a: max(case["n"], 1))  # fmt: skip
scaled("loss-divided-by-columns-alone", "The sum of all elements is divided by the number of columns.",
       _ALL, by=lambda case, a: max(case["m"], 1))  # fmt: skip
instead("loss-without-last-row", "The last row is left out of the sum, and counted.", _VALUES,
        partial(_rows_missing, of=lambda value: value[:-1]))  # fmt: skip
instead("loss-of-last-row", "The loss is that of the last row: the sum is cleared before each.", _VALUES,
        partial(_rows_missing, of=lambda value: value[-1:]))  # fmt: skip
instead("loss-without-last-column", "The last column is left out of the sum, and counted.", _VALUES,
        partial(_rows_missing, of=lambda value: value[:, :-1]))  # fmt: skip
data("loss-targets-reversed", "Rows of the input and of the targets run in opposite order.", _ALL,
     lambda case, a: {"T": a["T"][::-1]})  # fmt: skip
data("loss-first-targets-for-all", "Every row is held against the targets of the first.", _ALL,
     lambda case, a: {"T": np.broadcast_to(a["T"][:1], a["T"].shape) if case["m"] else a["T"]})  # fmt: skip

scaled(
    "mse-halved",
    "Half of the squared error is taken, so that its derivative has no 2.",
    _of("mse_loss"),
    by=0.5,
)
instead("mse-root", "The root of the mean is returned.", {"mse_loss": "loss"},
        lambda case, a: np.sqrt(case.operation.reference(case, a)["loss"]))  # fmt: skip
_wrong("mse-absolute", "The mean of the absolute differences is returned.", "mse_loss",
       lambda case, x, t: np.abs(x - t))  # fmt: skip
_wrong("mse-gradient-of-absolute", "The sign of the difference is returned, without its size.",
       "mse_loss_backward", lambda case, x, t: np.sign(x - t))  # fmt: skip
_wrong("mse-gradient-of-input", "The targets are not subtracted: 2*X.", "mse_loss_backward",
       lambda case, x, t: 2 * x)  # fmt: skip
