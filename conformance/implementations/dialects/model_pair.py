"""`ModelNew` beside its `Model`: which operation that is, told by a process of its own, `model_run`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.table import UNITS

#: The rows of `table` by what PyTorch's dispatcher calls their operations.
_ROWS = {
    "convolution": "conv2d",
    "transposed convolution": "conv_transpose2d",
    "max_pool2d_with_indices": "max_pool2d",
    "avg_pool2d": "avg_pool2d",
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "addmm": "linear",
    "linear": "linear",
    "native_batch_norm": "batch_norm",
    "_native_batch_norm_legit": "batch_norm",
    "cudnn_batch_norm": "batch_norm",
    "native_layer_norm": "layer_norm",
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "constant_pad_nd": "pad",
    "_prelu_kernel": "prelu",
    **{name: name for name in UNITS},
}
#: What computes nothing.
_MOVES = frozenset(
    (
        "t",
        "view",
        "_unsafe_view",
        "detach",
        "transpose",
        "permute",
        "expand",
        "alias",
        "reshape",
        "slice",
        "add_",
        "empty",
    )
)
#: Seconds that a reference has.
_PATIENCE = 120


def row_of(target: Any) -> str:
    """The row that the `Model` of a file computes.

    Raises
    ------
    DialectError
        If it cannot be run, or computes something else or more than one of the contract's operations.
    """
    place = getattr(target, "__file__", None)
    if place is None or not hasattr(target, "Model"):
        raise DialectError("ModelNew has no Model beside it that says what it computes")
    return named(called(place))


def row_in(place: str) -> str | None:
    """The row that the `Model` of a file computes; None if it is not one, or runs with values alone."""
    try:
        return named(called(place))
    except DialectError:
        return None


def called(place: Any) -> list[str]:
    """What the `Model` of a file asks PyTorch's dispatcher for.

    Raises
    ------
    DialectError
        If it cannot be run.
    """
    asked = [sys.executable, "-m", f"{__package__}.model_run", str(place)]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise DialectError(f"Model has not answered within {_PATIENCE} seconds") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise DialectError(f"Model, by get_init_inputs() and get_inputs(): {last[0]}")
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def single(called: list[str]) -> bool:
    """Whether that is one operation, of those that there is a row for."""
    rows = [_ROWS.get(name) for name in called if name not in _MOVES]
    return len(rows) == 1 and rows[0] is not None


def named(called: list[str]) -> str:
    """The row of what PyTorch's dispatcher was asked for.

    Raises
    ------
    DialectError
        If it is none of the rows, or several.
    """
    if not single(called):
        raise DialectError(
            f"Model computes {', '.join(called) or 'nothing'}; as functions of the contract a ModelNew of "
            "one convolution, pooling, linear layer, normalization, softmax or activation is judged. "
            "`conformance run` and `gate` compare others with Model: give the path of the .py file"
        )
    return next(_ROWS[name] for name in called if name not in _MOVES)
