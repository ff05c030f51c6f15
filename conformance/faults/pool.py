"""Faults of pooling, and of the mask and the spread value it is built from."""

from __future__ import annotations

from functools import partial

import numpy as np

from conformance.cases.axis import Axis
from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.cases.patches import patches, scatter
from conformance.cases.window import Window, counts_padding, pair, window_of
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import data, is_word, option
from conformance.operations.windows import chosen

_BACKWARD = {"pool_backward": "dA_prev"}
_BOTH = {"pool_forward": "A", "pool_backward": "dA_prev"}
_MASK = {"create_mask_from_window": "mask"}
_SPREAD = {"distribute_value": "a"}

#: What comes of ``x == max(x)`` with a NaN: nothing equals it, or (R) nothing is known.
_EQUALITY = ({"nan": "last"}, {"nan": "none"}, {"nan": "spread"})
_of_maximum = is_word("mode", "max")
_maximum = partial(option, only=_of_maximum)
_average = partial(option, only=is_word("mode", "average"))

option(
    "pool-ties-all",
    "Each of the tied maxima receives the whole gradient.",
    _BACKWARD,
    variants=_EQUALITY,
    post=True,
    ties="all",
)
option("pool-ties-last", "The last of the tied maxima receives the gradient, not the first.", _BACKWARD,
       ties="last")  # fmt: skip


@slip(
    "pool-ties-by-columns",
    "Of tied maxima the first down the columns receives the gradient, not the first along the rows.",
    _BACKWARD,
)
def _pool_ties_by_columns(case: Case, a: Arrays, base: Base) -> Outputs:
    window = window_of(case)
    turned = {name: np.swapaxes(value, 1, 2) for name, value in a.items()}
    out = base(case, turned, window=Window(window.columns, window.rows), nan="last")
    return {name: np.swapaxes(value, 1, 2) for name, value in out.items()}


@slip(
    "pool-gradient-without-dilation",
    "The right maximum is chosen, but its gradient is put where the window's taps lie side by side.",
    _BACKWARD,
)
def _pool_gradient_without_dilation(case: Case, a: Arrays, base: Base) -> Outputs:
    if not _of_maximum(case):
        return {}
    window = window_of(case)
    taken = patches(a["A_prev"], window, -np.inf)
    flat = taken.reshape(*taken.shape[:3], window.size, taken.shape[-1])
    inside = patches(np.ones_like(a["A_prev"]), window).reshape(flat.shape) > 0
    share = chosen(flat, "first", "last", inside)
    given = np.where(share != 0, share * a["dA"][:, :, :, None, :], 0.0).reshape(taken.shape)
    return {"dA_prev": scatter(given, window.but(d=(1, 1)), a["A_prev"].shape)}


option("pool-ties-shared", "The tied maxima share the gradient equally.", _BACKWARD, ties="shared")
_maximum(
    "pool-max-starts-at-zero",
    "The running maximum starts at 0, so a window of negative numbers yields 0 and no gradient.",
    _BOTH,
    start=0.0,
)
_maximum(
    "pool-max-starts-at-smallest-positive",
    "The running maximum starts at the smallest positive normal number (FLT_MIN, DBL_MIN).",
    {"pool_forward": "A"},
    of=lambda case, a: {"start": float(finfo(case.numpy_dtype).tiny)},
)


@slip("pool-max-of-absolute-values", "The entry of largest absolute value is taken.", _BOTH)
def _pool_max_of_absolute_values(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("mode") != "max":
        return {}
    if case.operation.upstream:
        return base(case, {**a, "A_prev": np.abs(a["A_prev"])})
    taken = patches(a["A_prev"], window_of(case), 0.0)
    flat = taken.reshape(*taken.shape[:3], -1, taken.shape[-1])
    place = np.argmax(np.abs(flat), axis=3)[:, :, :, None]
    return {"A": np.take_along_axis(flat, place, 3)[:, :, :, 0]}


@slip("pool-minimum", "The minimum of the window is taken instead of the maximum.", _BOTH)
def _pool_minimum(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("mode") != "max":
        return {}
    out = base(case, {**a, "A_prev": -a["A_prev"]})
    return {name: -value if name == "A" else value for name, value in out.items()}


option(
    "pool-mode-ignored",
    "Max pooling runs where average was asked for, or the other way round.",
    _BOTH,
    of=lambda case, a: {"mode": "average" if _of_maximum(case) else "max"},
)
data(
    "pool-nan-ignored",
    "NaN in a window is passed over.",
    _BOTH,
    lambda case, a: {"A_prev": np.where(np.isnan(a["A_prev"]), -np.inf, a["A_prev"])},
    _of_maximum,
)
option(
    "pool-nan-first",
    "In a window with several NaN the first one receives the gradient, not the last.",
    _BACKWARD,
    nan="first",
)


def _of_running_sums(case: Case, a: Arrays, output: str) -> Array:
    """As far as four running sums, of up to the whole image each, are off together."""
    if case.word("mode") != "average" or max(window_of(case).rows.d, window_of(case).columns.d) > 1:
        return np.zeros(())
    sizes = np.abs(a["A_prev"])
    whole = np.where(np.isfinite(sizes), sizes, 0.0).sum((1, 2), keepdims=True)
    info = finfo(case.working_dtype)
    off = 4 * (case["h"] + case["w"] + 2) * float(info.eps) / 2 * whole
    divisor = window_of(case).counts(counts_padding(case))[..., None]
    return np.where(whole > float(info.max) / 2, np.inf, off / divisor)


@slip(
    "average-by-running-sums",
    "The sum of a window is a difference of sums that run over the image: digits cancel.",
    {"pool_forward": "A"},
    own=_of_running_sums,
)
def _average_by_running_sums(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("mode") != "average":
        return {}
    x, window = a["A_prev"], window_of(case)
    # What is not finite stays in every sum behind it; taken from itself it is NaN.
    lasting = np.where(np.isfinite(x), 0.0, x).cumsum(1).cumsum(2)
    sums = np.pad(lasting, ((0, 0), (1, 0), (1, 0), (0, 0)))
    (top, bottom), (left, right) = (_ends(axis) for axis in (window.rows, window.columns))
    rows = sums[:, bottom] - sums[:, top]
    return {"A": base(case, a)["A"] + (rows[:, :, right] - rows[:, :, left])}


def _ends(axis: Axis) -> tuple[Array, Array]:
    """Where the windows of an axis begin and end within the image."""
    return np.clip(axis.starts(), 0, axis.n), np.clip(axis.starts() + axis.f, 0, axis.n)


_average("average-not-divided", "The sum of the window is not divided by its size.", {**_BOTH, **_SPREAD},
         divisor=1.0)  # fmt: skip
_average(
    "average-divided-by-one-extent",
    "The average is divided by one extent of the window instead of by their product.",
    {**_BOTH, **_SPREAD},
    of=lambda case, a, extent: {"divisor": float(_extents(case)[extent == "w"])},
    variants=({"extent": "h"}, {"extent": "w"}),
)
_average(
    "average-divided-by-sum-of-extents",
    "The average is divided by the sum of the window's extents instead of by their product.",
    {**_BOTH, **_SPREAD},
    of=lambda case, a: {"divisor": float(sum(_extents(case)))},
)
_average(
    "average-divided-by-channels-too",
    "The average is divided by the window's size times the number of channels.",
    _BOTH,
    of=lambda case, a: {"divisor": float(window_of(case).size * case["c"])},
)


def _extents(case: Case) -> tuple[int, int]:
    """The extents of the window, or of the array over which a value is spread."""
    return pair(case.value("f")) if "f" in case.operation.parameters else (case["h"], case["w"])


option(
    "overlap-overwritten",
    "Where windows overlap, what the last one writes replaces the others instead of being added.",
    {**_BACKWARD, "conv_backward": "dA_prev", "conv_transpose_forward": "Z"},
    overwrite=True,
)


@slip(
    "pool-last-window-decides",
    "Where windows overlap, the last of them decides whether an element is a maximum; it gets what all give.",
    _BACKWARD,
)
def _pool_last_window_decides(case: Case, a: Arrays, base: Base) -> Outputs:
    if not _of_maximum(case):
        return {}
    window = window_of(case)
    taken = patches(a["A_prev"], window, -np.inf)
    flat = taken.reshape(*taken.shape[:3], window.size, taken.shape[-1])
    inside = patches(np.ones_like(a["A_prev"]), window).reshape(flat.shape) > 0
    share = chosen(flat, "first", "last", inside).reshape(taken.shape)
    every = np.broadcast_to(a["dA"][:, :, :, None, None, :], taken.shape)
    shape = a["A_prev"].shape
    gate = scatter(share, window, shape, overwrite=True)
    return {"dA_prev": np.where(gate != 0, scatter(every, window, shape), 0.0)}


_maximum(
    "pool-gradient-to-every-entry",
    "In max pooling every entry of the window receives the gradient.",
    _BACKWARD,
    mode="average",
    divisor=1.0,
)


@slip("pool-over-channels", "The maximum is taken over the channels too.", {"pool_forward": "A"})
def _pool_over_channels(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("mode") != "max":
        return {}
    out = base(case, a)["A"]
    return {"A": np.broadcast_to(out.max(-1, keepdims=True), out.shape)} if out.size else {}


option(
    "mask-ties-all",
    "Every maximum is marked, not only the first.",
    _MASK,
    variants=_EQUALITY,
    post=True,
    ties="all",
)
option("mask-ties-last", "The last of the tied maxima is marked, not the first.", _MASK, ties="last")
option("mask-nan-first", "Of several NaN the first one is marked, not the last.", _MASK, nan="first")


@slip("mask-first-by-columns", "Of tied maxima the first down the columns is marked.", _MASK)
def _mask_first_by_columns(case: Case, a: Arrays, base: Base) -> Outputs:
    turned = case.replace(h=case["w"], w=case["h"])
    return {"mask": base(turned, {"x": a["x"].T})["mask"].T}


data("mask-of-minimum", "The minimum is marked instead of the maximum.", _MASK,
     lambda case, a: {"x": -a["x"]})  # fmt: skip
data("mask-of-absolute-values", "The entry of largest absolute value is marked.", _MASK,
     lambda case, a: {"x": np.abs(a["x"])})  # fmt: skip


@slip("mask-of-each-row", "The maximum of each row is marked instead of the window's.", _MASK)
def _mask_of_each_row(case: Case, a: Arrays, base: Base) -> Outputs:
    rows = [base(case.replace(h=1), {"x": row[None]})["mask"] for row in a["x"]]
    return {"mask": np.concatenate(rows)} if rows else {}


@slip("mask-holds-values", "The maximum itself stands in the mask instead of 1.", _MASK)
def _mask_holds_values(case: Case, a: Arrays, base: Base) -> Outputs:
    mask = base(case, a)["mask"]
    return {"mask": np.where(mask != 0, a["x"], 0.0)}


@slip(
    "mask-nan-ignored",
    "NaN in the window is passed over, or leaves the mask empty.",
    _MASK,
    variants=({"empty": False}, {"empty": True}),
)
def _mask_nan_ignored(case: Case, a: Arrays, base: Base, empty: bool) -> Outputs:
    nan = np.isnan(a["x"])
    if empty:
        return {"mask": base(case, a)["mask"] * ~nan.any()}
    return {"mask": base(case, {"x": np.where(nan, -np.inf, a["x"])})["mask"] * ~nan}
