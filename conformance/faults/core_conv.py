"""The convolutions of `core`: with groups, and transposed.

The gradients of a convolution are linear in each of their arguments, so that one pair of functions, outputs
from windows and windows from outputs, is all that both of them consist of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.patches import patches, scatter
from conformance.cases.window import Window, window_of

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = dict[str, Array]
#: ``(channels, filters, groups)`` to ``(channels, filters)``: whether a filter sees a channel.
Sees = Callable[[int, int, int], Array]


def blocks(channels: int, filters: int, groups: int) -> Array:
    """Which channels each filter sees: those of its group, groups being neighbours in memory."""
    of_channel = np.arange(channels)[:, None] * groups // max(channels, 1)
    return np.asarray(of_channel == np.arange(filters) * groups // max(filters, 1))


def _groups(case: Case) -> int:
    return case["g"] if "g" in case.operation.option else 1


def whole_filters(W: Array, sees: Array) -> Array:
    """Filters of groups as those of one group: 0 where a filter does not see a channel.

    The channels that a filter sees take the values of `W` in order.
    """
    if sees.all():
        return W
    f_h, f_w, _, filters = W.shape
    whole = np.zeros((f_h, f_w, *sees.shape))
    for o in range(filters):
        whole[:, :, sees[:, o], o] = W[:, :, :, o]
    return whole


def _own(dW: Array, sees: Array, of_group: int) -> Array:
    """Of the gradient of whole filters that of the values which there are."""
    if sees.all():
        return dW
    own = np.zeros((*dW.shape[:2], of_group, dW.shape[3]))
    for o in range(dW.shape[3]):
        own[:, :, :, o] = dW[:, :, sees[:, o], o]
    return own


def single_step(case: Case, a: Arrays, bias_times: float = 1.0) -> Outputs:
    """conv_single_step."""
    return {"Z": np.asarray((a["a_slice_prev"] * a["W"]).sum() + bias_times * a["b"].reshape(()))}


def forward(
    case: Case, a: Arrays, window: Window | None = None, bias_times: float = 1.0, sees: Sees = blocks
) -> Outputs:
    """conv_forward."""
    filters = whole_filters(a["W"], sees(a["A_prev"].shape[3], a["W"].shape[3], _groups(case)))
    taken = patches(a["A_prev"], window or window_of(case))
    return {"Z": np.tensordot(taken, filters, 3) + bias_times * a["b"].reshape(-1)}


def backward(
    case: Case, a: Arrays, window: Window | None = None, overwrite: bool = False, sees: Sees = blocks
) -> Outputs:
    """conv_backward."""
    window, W = window or window_of(case), a["W"]
    seen = sees(a["A_prev"].shape[3], W.shape[3], _groups(case))
    spread = np.tensordot(a["dZ"], whole_filters(W, seen), ([3], [3]))
    dW = np.tensordot(patches(a["A_prev"], window), a["dZ"], ([0, 1, 2], [0, 1, 2]))
    return {
        "dA_prev": scatter(spread, window, a["A_prev"].shape, overwrite),
        "dW": _own(dW, seen, W.shape[2]),
        "db": a["dZ"].sum((0, 1, 2)).reshape(1, 1, 1, -1),
    }


def transposed_forward(
    case: Case,
    a: Arrays,
    window: Window | None = None,
    bias_times: float = 1.0,
    overwrite: bool = False,
    sees: Sees = blocks,
) -> Outputs:
    """conv_transpose_forward."""
    right = window_of(case)
    filters = whole_filters(a["W"], sees(case["k"], case["c"], _groups(case)))
    spread = np.tensordot(a["A_prev"], filters, ([3], [3]))
    shape = (len(a["A_prev"]), right.rows.n, right.columns.n, case["k"])
    return {"Z": scatter(spread, window or right, shape, overwrite) + bias_times * a["b"].reshape(-1)}


def transposed_backward(case: Case, a: Arrays, window: Window | None = None, sees: Sees = blocks) -> Outputs:
    """conv_transpose_backward."""
    W, seen = a["W"], sees(case["k"], case["c"], _groups(case))
    taken = patches(a["dZ"], window or window_of(case))
    dW = np.tensordot(taken, a["A_prev"], ([0, 1, 2], [0, 1, 2]))
    return {
        "dA_prev": np.tensordot(taken, whole_filters(W, seen), 3),
        "dW": _own(dW, seen, W.shape[2]),
        "db": a["dZ"].sum((0, 1, 2)).reshape(1, 1, 1, -1),
    }
