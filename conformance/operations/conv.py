"""The convolution, one step of it, and its gradients.

The gradients are linear in each of their arguments, so that one pair of functions, outputs from windows and
windows from outputs, is all that this operation and its transpose consist of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.option_table import DILATION, GROUPS, PADDING, STRIDE, WINDOW
from conformance.cases.patches import patches, scatter
from conformance.cases.request import Made, Number
from conformance.cases.window import Window, pair, window_of
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.call import HYPER, Call
from conformance.operations.entry import IMAGE, Array, Arrays, Corner, Entry, Form, Outputs, Tensors, plain
from conformance.operations.images import both, nchw, nhwc, sides_of

if TYPE_CHECKING:
    from conformance.cases.case import Case

#: ``(channels, filters, groups)`` to ``(channels, filters)``: whether a filter sees a channel.
Sees = Callable[[int, int, int], Array]

CACHE_BY_HAND = Made("Conv", {"A_prev": "A_prev", "W": "W", "b": "b", "hparameters": HYPER})
LAYER = {"dA_prev": "A_prev", "dW": "W", "db": "b"}
#: In which arguments each output of a layer is linear.
PRODUCTS: dict[str, tuple[tuple[str, str | None], ...]] = {
    "Z": (("A_prev", "W"), ("b", None)),
    "dA_prev": (("dZ", "W"),),
    "dW": (("dZ", "A_prev"),),
    "db": (("dZ", None),),
}


def _single_step(torch: Any, case: Case, t: Tensors) -> Any:
    """One window, and the bias."""
    return (t["a_slice_prev"] * t["W"]).sum() + t["b"]


def _convolution(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's conv2d."""
    image, filters, bias = t["A_prev"], t["W"], t["b"]
    window = window_of(case)
    if image.numel() == 0 or filters.numel() == 0:
        # torch drops the filters when there is no channel; the sum over no channel is the bias alone.
        return bias.expand(case["m"], *window.outputs, case["k"])
    functional = torch.nn.functional
    # Padding by hand: torch's own rule for the padding argument depends on the backend.
    padded = functional.pad(nchw(image), sides_of(window))
    weight = filters.permute(3, 2, 0, 1).contiguous()
    return nhwc(
        functional.conv2d(
            padded, weight, bias.reshape(-1), both(window, "s"), 0, both(window, "d"), case["g"]
        )
    )


def blocks(channels: int, filters: int, groups: int) -> Array:
    """Which channels each filter sees: those of its group, groups being neighbours in memory."""
    of_channel = np.arange(channels)[:, None] * groups // max(channels, 1)
    return np.asarray(of_channel == np.arange(filters) * groups // max(filters, 1))


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


def own(dW: Array, sees: Array, of_group: int) -> Array:
    """Of the gradient of whole filters that of the values which there are."""
    if sees.all():
        return dW
    found = np.zeros((*dW.shape[:2], of_group, dW.shape[3]))
    for o in range(dW.shape[3]):
        found[:, :, :, o] = dW[:, :, sees[:, o], o]
    return found


def _one_step(case: Case, a: Arrays, bias_times: float = 1.0) -> Outputs:
    return {"Z": np.asarray((a["a_slice_prev"] * a["W"]).sum() + bias_times * a["b"].reshape(()))}


def _forward(
    case: Case, a: Arrays, window: Window | None = None, bias_times: float = 1.0, sees: Sees = blocks
) -> Outputs:
    filters = whole_filters(a["W"], sees(a["A_prev"].shape[3], a["W"].shape[3], case["g"]))
    taken = patches(a["A_prev"], window or window_of(case))
    return {"Z": np.tensordot(taken, filters, 3) + bias_times * a["b"].reshape(-1)}


def _backward(
    case: Case, a: Arrays, window: Window | None = None, overwrite: bool = False, sees: Sees = blocks
) -> Outputs:
    window, W = window or window_of(case), a["W"]
    seen = sees(a["A_prev"].shape[3], W.shape[3], case["g"])
    spread = np.tensordot(a["dZ"], whole_filters(W, seen), ([3], [3]))
    dW = np.tensordot(patches(a["A_prev"], window), a["dZ"], ([0, 1, 2], [0, 1, 2]))
    return {
        "dA_prev": scatter(spread, window, a["A_prev"].shape, overwrite),
        "dW": own(dW, seen, W.shape[2]),
        "db": a["dZ"].sum((0, 1, 2)).reshape(1, 1, 1, -1),
    }


def rounding(r: Any, q: Any) -> Any:
    """That of a sum with as many terms as an output of a convolution, or its transpose, has at most."""
    case, window = q.case, window_of(q.case)
    if q.output in ("dW", "db"):
        pixels = max(math.prod(window.outputs), window.rows.n * window.columns.n)
        return r.of_sum(q, case["m"] * pixels + 1)
    return r.of_sum(q, window.size * case["k" if q.output == "dA_prev" else "c"] + 2)


def _filters(case: Case) -> tuple[int, ...]:
    return (*pair(case.value("f")), case["c"] // case["g"], case["k"])


def _outputs(case: Case) -> tuple[int, ...]:
    return (case["m"], *window_of(case).outputs, case["k"])


def _longest_forward(case: Case) -> int:
    return int(window_of(case).size) * case["c"] // case["g"] + 1


def _longest_backward(case: Case) -> int:
    window = window_of(case)
    rows, columns = window.outputs
    return max(_longest_forward(case), window.size * case["k"] // case["g"], case["m"] * rows * columns)


#: The shapes that are tried with rounded sums too.
_ROUNDED = ("remainder", "stride-above", "padding", "one-", "non-square", "many-samples")


def _corners(exact: str) -> tuple[Corner, ...]:
    found = []
    for name, source, params in shapes.CONV:
        found.append((name, source, params, exact))
        if name.startswith(_ROUNDED):
            found.append((name, source, params, "normal"))
    found += [(*row, exact) for row in shapes.CONV_OPTIONS]
    found += [(*row, "normal") for row in shapes.CONV_EMPTY]
    for family, what in (("nan", "NaN"), ("infinity", "inf")):
        source = f"nothing meets a zero factor, so {what} has one place"
        found.append((family, source, "m2h5w4c3_f2k6_s1p0", family))
    return (*found, *sizes.ended(sizes.CONV, exact))


def _single_corners() -> tuple[Corner, ...]:
    return (
        *((f"channels-{c}", shapes.TAILS, f"f3c{c}", "wide-x") for c in shapes.WIDTHS),
        *((f"window-{f}", "the post's one step", f"f{f}c4", "wide-x") for f in (1, 2, 5, 7)),
        ("one-weight", "a scalar times a scalar", "f1c1", "normal"),
        ("no-channels", "the sum over no channel is b", "f3c0", "normal"),
        *sizes.ended(sizes.SINGLE_STEP, "wide-x"),
    )


SINGLE_STEP = Entry(
    name="conv_single_step",
    grammar=(("f", "c"),),
    arrays=("a_slice_prev", "W", "b"),
    outputs=("Z",),
    shapes={"a_slice_prev": ("f", "f", "c"), "W": ("f", "f", "c"), "b": ()},
    call=plain("a_slice_prev", "W", Number("b")),
    oracle=_single_step,
    reference=_one_step,
    bound=lambda rules: rules.single_step,
    rounding=lambda r, q: r.of_sum(q, q.case["f"] ** 2 * q.case["c"] + 2),
    traits=frozenset({"products", "linear"}),
    corners=_single_corners(),
    longest=lambda case: case["f"] ** 2 * case["c"] + 1,
    forms={"Z": Form(None, rounded=True)},
    pools={
        "f": (1, 2, 3, 4, 5, 6, 7),
        "c": (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 31, 33, 65, 10, 11, 14, 20, 24, 40, 64),
    },
    linear={"Z": (("a_slice_prev", "W"), ("b", None))},
)
FORWARD = Entry(
    name="conv_forward",
    grammar=(IMAGE, ("f", "k"), ("s", "p")),
    arrays=("A_prev", "W", "b"),
    outputs=("Z",),
    options=(WINDOW, STRIDE, PADDING, DILATION, GROUPS),
    shapes={"W": _filters, "b": (1, 1, 1, "k"), "dZ": _outputs},
    call=Call(("A_prev", "W", "b"), hyper=("s", "p"), by_hand=CACHE_BY_HAND),
    oracle=_convolution,
    reference=_forward,
    bound=lambda rules: rules.convolution,
    rounding=rounding,
    traits=frozenset({"products", "linear", "windows"}),
    corners=_corners("wide-x"),
    longest=_longest_forward,
    linear=PRODUCTS,
)
BACKWARD = FORWARD.gradient(
    "conv_backward",
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
ENTRIES = (SINGLE_STEP, FORWARD, BACKWARD)
