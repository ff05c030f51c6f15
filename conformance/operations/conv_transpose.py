"""The transposed convolution, which writes the windows that a convolution reads, and its gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.operation import Level
from conformance.cases.option_table import DILATION, GROUPS, OUTPUT_PADDING, STRIDE, TRANSPOSE_PADDING, WINDOW
from conformance.cases.patches import patches, scatter
from conformance.cases.window import Window, pair, window_of
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.call import Call
from conformance.operations.conv import (
    CACHE_BY_HAND,
    LAYER,
    PRODUCTS,
    Sees,
    blocks,
    own,
    rounding,
    whole_filters,
)
from conformance.operations.entry import IMAGE, Arrays, Corner, Entry, Outputs, Tensors
from conformance.operations.images import both, nchw, nhwc

if TYPE_CHECKING:
    from conformance.cases.case import Case

#: With stride 1 one size alone is possible, unless the taps lie apart.
_APART: tuple[tuple[Level, Level], ...] = (
    (("s", "one"), ("e", "some")),
    (("s", "one"), ("e", "pair")),
)


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's conv_transpose2d without padding; what the padding takes off is cut off its output."""
    image, filters, bias = t["A_prev"], t["W"], t["b"]
    window = window_of(case)
    rows, columns = window.rows, window.columns
    if image.numel() == 0 or filters.numel() == 0:  # the sum over no channel is the bias alone
        return bias.expand(case["m"], rows.n, columns.n, case["k"])
    weight = filters.permute(3, 2, 0, 1).contiguous()
    s, d = both(window, "s"), both(window, "d")
    reach = [(axis.outputs - 1) * axis.s + axis.span for axis in (rows, columns)]
    more = [
        axis.n + axis.before + axis.after - there for axis, there in zip((rows, columns), reach, strict=True)
    ]
    whole = torch.conv_transpose2d(nchw(image), weight, bias.reshape(-1), s, 0, more, case["g"], d)
    kept = whole[:, :, rows.before : rows.before + rows.n, columns.before : columns.before + columns.n]
    return nhwc(kept)


def _forward(
    case: Case,
    a: Arrays,
    window: Window | None = None,
    bias_times: float = 1.0,
    overwrite: bool = False,
    sees: Sees = blocks,
) -> Outputs:
    right = window_of(case)
    filters = whole_filters(a["W"], sees(case["k"], case["c"], case["g"]))
    spread = np.tensordot(a["A_prev"], filters, ([3], [3]))
    shape = (len(a["A_prev"]), right.rows.n, right.columns.n, case["k"])
    return {"Z": scatter(spread, window or right, shape, overwrite) + bias_times * a["b"].reshape(-1)}


def _backward(case: Case, a: Arrays, window: Window | None = None, sees: Sees = blocks) -> Outputs:
    W, seen = a["W"], sees(case["k"], case["c"], case["g"])
    taken = patches(a["dZ"], window or window_of(case))
    dW = np.tensordot(taken, a["A_prev"], ([0, 1, 2], [0, 1, 2]))
    return {
        "dA_prev": np.tensordot(taken, whole_filters(W, seen), 3),
        "dW": own(dW, seen, W.shape[2]),
        "db": a["dZ"].sum((0, 1, 2)).reshape(1, 1, 1, -1),
    }


def _filters(case: Case) -> tuple[int, ...]:
    return (*pair(case.value("f")), case["k"] // case["g"], case["c"])


def _outputs(case: Case) -> tuple[int, ...]:
    window = window_of(case)
    return case["m"], window.rows.n, window.columns.n, case["k"]


def _longest_forward(case: Case) -> int:
    window = window_of(case)
    products = window.size * max(case["c"], case["k"]) // case["g"] + 1
    return max(products, case["m"] * math.prod(window.outputs))


def _longest_backward(case: Case) -> int:
    window = window_of(case)
    return max(_longest_forward(case), case["m"] * window.rows.n * window.columns.n)


def _corners(exact: str) -> tuple[Corner, ...]:
    source = "nothing meets a zero factor, so it has one place"
    return (
        *((*row, exact) for row in shapes.TRANSPOSE),
        *((*row, "normal") for row in shapes.TRANSPOSE_EMPTY),
        *((family, source, "m2h4w5c3_f2k6_s2p0", family) for family in ("nan", "infinity")),
        *sizes.ended(sizes.TRANSPOSE, exact),
    )


FORWARD = Entry(
    name="conv_transpose_forward",
    grammar=(IMAGE, ("f", "k"), ("s", "p")),
    arrays=("A_prev", "W", "b"),
    outputs=("Z",),
    options=(WINDOW, STRIDE, TRANSPOSE_PADDING, DILATION, GROUPS, OUTPUT_PADDING),
    apart=_APART,
    shapes={"W": _filters, "b": (1, 1, 1, "k"), "dZ": _outputs},
    call=Call(("A_prev", "W", "b"), hyper=("s", "p"), by_hand=CACHE_BY_HAND),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.convolution,
    rounding=rounding,
    traits=frozenset({"products", "linear", "windows", "transposed"}),
    corners=_corners("wide-x"),
    longest=_longest_forward,
    linear=PRODUCTS,
)
BACKWARD = FORWARD.gradient(
    "conv_transpose_backward",
    upstream="dZ",
    wanted=LAYER,
    reference=_backward,
    bound=lambda rules: rules.convolution,
    rounding=rounding,
    traits=FORWARD.traits | {"sums upstream"},
    corners=_corners("wide-g"),
    longest=_longest_backward,
    linear=PRODUCTS,
    gradients={"A_prev": "dA_prev", "W": "dW"},
)
ENTRIES = (FORWARD, BACKWARD)
