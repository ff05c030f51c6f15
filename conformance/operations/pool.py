"""Max and average pooling, and their gradients: torch's answer to ties (the first) and to NaN (the last)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.operation import Level
from conformance.cases.option_table import BORDER, CEIL, DILATION, POOL_PADDING, STRIDE, WINDOW
from conformance.cases.patches import patches, scatter
from conformance.cases.request import Made
from conformance.cases.window import Window, counts_padding, divisors_of, window_of
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.call import HYPER, Call
from conformance.operations.entry import (
    IMAGE,
    Array,
    Arrays,
    Corner,
    Entry,
    Outputs,
    Tensors,
    largest,
)
from conformance.operations.images import both, nchw, nhwc
from conformance.operations.windows import chosen

if TYPE_CHECKING:
    from conformance.cases.case import Case

#: PyTorch has no dilated average, and a maximum divides by nothing.
_APART: tuple[tuple[Level, Level], ...] = (
    (("mode", "average"), ("d", "dilated")),
    (("mode", "average"), ("d", "pair")),
    (("mode", "max"), ("border", "exclude")),
)


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    image, window = t["A_prev"], window_of(case)
    if image.numel() == 0:  # torch refuses an image without channels
        return image.sum().expand(case["m"], *window.outputs, case["c"])
    ceil, counted = case.word("rounding") == "ceil", case.word("border") == "include"
    f, s, d = (both(window, field) for field in "fsd")
    before, after = both(window, "before"), both(window, "after")
    if before != after or any(2 * pad > taps for pad, taps in zip(before, f, strict=True)):
        return nhwc(_padded(torch, case, nchw(image), window, counted))
    functional = torch.nn.functional
    if case.word("mode") == "max":
        return nhwc(functional.max_pool2d(nchw(image), f, s, before, d, ceil))
    return nhwc(functional.avg_pool2d(nchw(image), f, s, before, ceil, counted))


def _padded(torch: Any, case: Case, image: Any, window: Window, counted: bool) -> Any:
    """A pool with padding that torch does not take: more on one side than on the other, or more than half.

    The padding is part of the image here, and as many windows are taken as the rule gives. A maximum takes
    nothing from it: where a whole window is -inf, the gradient goes to the first tap in the image.
    """
    functional = torch.nn.functional
    f, s, d = (both(window, field) for field in "fsd")
    reach = [
        max((axis.outputs - 1) * axis.s + axis.span - axis.before - axis.n, 0)
        for axis in (window.rows, window.columns)
    ]
    sides = (window.columns.before, reach[1], window.rows.before, reach[0])
    rows, columns = window.outputs
    if case.word("mode") == "average":
        total = functional.avg_pool2d(functional.pad(image, sides), f, s, divisor_override=1)
        divisor = torch.from_numpy(window.counts(counted))
        return total[:, :, :rows, :columns] / divisor
    padded = functional.pad(image, sides, value=-math.inf)
    with torch.no_grad():
        _, index = functional.max_pool2d(padded, f, s, 0, d, return_indices=True)
        index = index[:, :, :rows, :columns]
        first = _first_inside(torch, window, padded.shape[3])
        width = padded.shape[3]
        row, column = index // width - window.rows.before, index % width - window.columns.before
        inside = (row >= 0) & (row < window.rows.n) & (column >= 0) & (column < window.columns.n)
        index = torch.where(inside, index, first)
    flat = padded.flatten(2).gather(2, index.flatten(2))
    return flat.reshape(index.shape)


def _first_inside(torch: Any, window: Window, width: int) -> Any:
    """``(rows, columns)``: where in the padded image, `width` wide, the first tap in the image reads."""
    places = []
    for axis in (window.rows, window.columns):
        first = axis.inside().argmax(1)
        places.append(torch.from_numpy(axis.starts() + first * axis.d + axis.before))
    return places[0][:, None] * width + places[1]


def _forward(
    case: Case,
    a: Arrays,
    window: Window | None = None,
    start: float = -np.inf,
    outside: float = -np.inf,
    mode: str = "",
    divisor: Array | float | None = None,
) -> Outputs:
    window = window or window_of(case)
    if (mode or case.word("mode")) == "max":
        return {"A": np.maximum(patches(a["A_prev"], window, outside).max((3, 4)), start)}
    return {"A": patches(a["A_prev"], window).sum((3, 4)) / _divisor(case, window, divisor)}


def _divisor(case: Case, window: Window, divisor: Array | float | None) -> Array:
    """By what an average divides each output; ``(rows, columns, 1)``, or one number."""
    if divisor is None:
        divisor = window.counts(counts_padding(case))[..., None]
    return np.asarray(divisor, np.float64)


def _backward(
    case: Case,
    a: Arrays,
    window: Window | None = None,
    ties: str = "first",
    nan: str = "last",
    start: float = -np.inf,
    outside: float = -np.inf,
    overwrite: bool = False,
    mode: str = "",
    divisor: Array | float | None = None,
) -> Outputs:
    window = window or window_of(case)
    taken = patches(a["A_prev"], window, outside)
    flat = taken.reshape(*taken.shape[:3], window.size, taken.shape[-1])
    upstream = a["dA"][:, :, :, None, :]
    if (mode or case.word("mode")) == "max":
        # Of equals outside and inside the image, which only -inf can be, one inside is chosen.
        inside = patches(np.ones_like(a["A_prev"]), window).reshape(flat.shape) > 0
        share = chosen(flat, ties, nan, inside if outside == -np.inf else None) * ~(
            flat.max(-2, keepdims=True) < start
        )
        given = np.where(share != 0, share * upstream, 0.0)
    else:
        upstream = (a["dA"] / _divisor(case, window, divisor))[:, :, :, None, :]
        given = np.broadcast_to(upstream, flat.shape)
    return {"dA_prev": scatter(given.reshape(taken.shape), window, a["A_prev"].shape, overwrite)}


def _rounding(r: Any, q: Any) -> Any:
    return r.Rounding((_taps(q.case) + 2) * q.unit, largest(q.a["A_prev"]), 4 * q.unit, 16 * q.tiny)


def _rounding_backward(r: Any, q: Any) -> Any:
    size = largest(q.reference({**q.a, "dA": np.abs(q.a["dA"])}))
    return r.Rounding((_taps(q.case) + 2) * q.unit, size, 4 * q.unit, 16 * q.tiny)


def _taps(case: Case) -> int:
    return int(window_of(case).size)


def _outputs(case: Case) -> tuple[int, ...]:
    return (case["m"], *window_of(case).outputs, case["c"])


def _divisors(case: Case) -> set[int]:
    return divisors_of(case) if case.word("mode") == "average" else {1}


def _corners(exact: str) -> tuple[Corner, ...]:
    found: list[Corner] = []
    for mode in ("max", "average"):
        found += [(name, source, f"{params}_{mode}", exact) for name, source, params in shapes.POOL]
        found += [(name, source, f"{params}_{mode}", "normal") for name, source, params in shapes.POOL_EMPTY]
        found += [
            ("inexact-divisor", "1/9 is rounded", f"m2h7w5c4_f3s2_{mode}", "normal"),
            ("infinity", "inf - inf within one window", f"m2h5w4c3_f2s1_{mode}", "infinity"),
        ]
    for name, source, params, mode, options in (*shapes.POOL_OPTIONS, *sizes.POOL):
        found.append((name, source, "_".join(filter(None, (params, mode, options))), exact))
    for params in ("m2h6w7c9_f3s2_max_p1", "m3h5w7c17_f3s1_max_p1.0.0.1"):
        source = "pytorch #33384, #41294: padding must not win, nor take the gradient"
        found += [(f"padded-{family}", source, params, family) for family in ("negative", "lowest")]
    lanes = "tensorflow #125965: NaN depends on the vector lane"
    found += [(f"nan-lanes-{c}", lanes, f"m2h5w4c{c}_f2s2_max", "nan") for c in shapes.WIDTHS]
    found += [
        ("nan-window", "pytorch #39044: a window of NaN", "m3h5w4c2_f1s1_max", "nan"),
        ("nan-overlapping", "the last NaN gets the gradient", "m2h5w4c3_f3s1_max", "nan"),
        ("nan-average", "NaN within one window", "m2h5w4c3_f2s2_average", "nan"),
        *(
            ("huge-average", "candle #3719, MIOpen #2109: the sum overflows", f"{params}_average", "huge")
            for params in ("m2h7w5c4_f3s2", "m3h5w8c9_f2s2", "m2h6w9c17_f4s1")
        ),
    ]
    for params in ("m2h5w4c3_f2s2_max", "m2h6w7c9_f3s1_max", "m3h7w5c17_f2s3_max"):
        source = "pytorch #33384, #41294, tensorflow #10216: a maximum that starts from zero"
        found += [
            ("negative", source, params, "negative"),
            (
                "lowest",
                "pytorch #40131, Caffe pooling_layer.cpp: no index for a window of -inf",
                params,
                "lowest",
            ),
            ("ties", "Theano #4886, DirectML: which maximum gets the gradient", params, "ties"),
            ("zeros", "windows of zeros after a relu", params, "zeros"),
        ]
    return tuple(found)


FORWARD = Entry(
    name="pool_forward",
    grammar=(IMAGE, ("f", "s"), ("mode",)),
    arrays=("A_prev",),
    outputs=("A",),
    options=(WINDOW, STRIDE, POOL_PADDING, DILATION, CEIL, BORDER),
    apart=_APART,
    shapes={"dA": _outputs},
    call=Call(
        ("A_prev",),
        hyper=("f", "s"),
        mode="mode",
        by_hand=Made("Pool", {"A_prev": "A_prev", "hparameters": HYPER}),
    ),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.pool_forward,
    rounding=_rounding,
    traits=frozenset({"pool", "windows"}),
    corners=_corners("wide-x"),
    dim=("subnormal",),  # an average leaves a few units
    longest=_taps,
    divisors=_divisors,
    linear={"A": (("A_prev", None),)},
    convention=lambda models: models.pool_forward,
)
BACKWARD = FORWARD.gradient(
    "pool_backward",
    upstream="dA",
    wanted={"dA_prev": "A_prev"},
    reference=_backward,
    bound=lambda rules: rules.pool_backward,
    rounding=_rounding_backward,
    traits=FORWARD.traits | {"sums upstream"},
    corners=_corners("wide-g"),
    gradients={"A_prev": "dA_prev"},
    convention=lambda models: models.pool_backward,
)
ENTRIES = (FORWARD, BACKWARD)
