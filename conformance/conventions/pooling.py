"""What pooling and its mask give under each convention: ties, NaN, and averages at the border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.cases.patches import patches, scatter
from conformance.cases.window import counts_padding, window_of
from conformance.conventions.terms import Arrays, Changed, Chosen, Values, exact, kept, smallest, unit


def _one(candidates: NDArray[np.bool_], which: str) -> Values:
    """One at the first or last candidate along the last axis; nothing where there is none."""
    last = candidates.shape[-1] - 1
    place = candidates.argmax(-1) if which == "first" else last - candidates[..., ::-1].argmax(-1)
    return np.asarray((np.arange(last + 1) == place[..., None]) & candidates, np.float64)


def _scan(windows: Values, inside: NDArray[np.bool_]) -> Values:
    """One where a scan ends that moves on unless what it holds is greater or equal."""
    held, place = windows[..., 0], np.full(windows.shape[:-1], -1, np.int64)
    for i in range(windows.shape[-1]):
        on = inside[..., i] & ((place < 0) | ~(held >= windows[..., i]))
        held, place = np.where(on, windows[..., i], held), np.where(on, i, place)
    return np.asarray(np.arange(windows.shape[-1]) == place[..., None], np.float64)


def _maximum(
    windows: Values, inside: NDArray[np.bool_], ties: str, nan: str, lowest: float
) -> tuple[Values, Values]:
    """The maximum along the last axis, and the share of the gradient that each place inside gets."""
    missing = np.isnan(windows) & inside
    start = _one(inside, "first")
    bad, empty = np.asarray(missing.any(-1)), np.asarray((missing | ~inside).all(-1))
    first = np.asarray((missing & (start > 0)).any(-1))
    value: Values = np.where(missing | ~inside, -np.inf, windows).max(-1)
    candidates = inside & ~missing & (windows == value[..., None])
    if ties in ("first", "last"):
        shares = _one(candidates, ties)
    else:
        count = np.maximum(1, candidates.sum(-1, keepdims=True)) if ties == "shared" else 1
        shares = candidates / count
    if nan in ("first", "last"):
        shares = np.where(bad[..., None], _one(missing, nan), shares)
        value = np.where(bad, np.nan, value)
    elif nan == "none":
        shares, value = np.where(bad[..., None], 0.0, shares), np.where(bad, np.nan, value)
    elif nan == "nan":
        shares, value = np.where(bad[..., None], np.nan, shares), np.where(bad, np.nan, value)
    elif nan == "scan":
        shares, value = np.where(bad[..., None], _scan(windows, inside), shares), np.where(bad, np.nan, value)
    elif nan == "greater":
        shares, value = np.where(first[..., None], start, shares), np.where(first, np.nan, value)
    elif nan == "ignored-first":
        shares = np.where(empty[..., None], start, shares)
    elif nan == "ignored-lowest":
        shares = np.where((value == -np.inf)[..., None], 0.0, shares)
        value = np.maximum(value, lowest)
    elif nan == "ignored-nan":
        value = np.where(empty, np.nan, value)
    return value, shares


def _pooled(case: Case, arrays: Arrays, chosen: Chosen) -> tuple[Values, Values]:
    window = window_of(case)
    image = arrays["A_prev"].astype(np.float64)
    lowest = float(finfo(case.numpy_dtype).min)
    windows, inside = (patches(x, window) for x in (image, np.ones_like(image)))
    windows, inside = (
        np.moveaxis(x.reshape(*x.shape[:3], window.size, x.shape[-1]), 3, 4) for x in (windows, inside)
    )
    return _maximum(windows, inside > 0, chosen.get("pool-ties", "first"), chosen["pool-nan"], lowest)


def _maximal(case: Case) -> bool:
    return case.word("mode") == "max" and min(case["m"], case["c"]) > 0


def pool_forward(
    case: Case, arrays: Arrays, expected: Any, limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """`pool_forward`: the maximum where NaN is, or the average at the border."""
    if not _maximal(case):
        return _average_forward(case, arrays, chosen)
    value = _pooled(case, arrays, chosen)[0]
    return {"A": (value, np.zeros_like(value))}


def pool_backward(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """`pool_backward`: who gets the gradient of a maximum, or by what that of an average is divided."""
    if not _maximal(case):
        return _average_backward(case, arrays, chosen)
    shares, dA = _pooled(case, arrays, chosen)[1], arrays["dA"].astype(np.float64)
    window, shape = window_of(case), arrays["A_prev"].shape
    shares = np.moveaxis(shares, 4, 3)
    taps = (*shares.shape[:3], window.rows.f, window.columns.f, shares.shape[-1])
    parts = np.where(shares != 0, shares * dA[:, :, :, None, :], 0.0).reshape(taps)
    total, size, count = (
        scatter(x, window, shape) for x in (parts, np.abs(parts), (shares != 0).reshape(taps))
    )
    nothing = exact(limits["dA_prev"]) and chosen["pool-ties"] != "shared"
    limit = np.zeros_like(total) if nothing else (count + 1) * (unit(case) * size + smallest(case))
    return {"dA_prev": (total, kept(total, limit, expected["dA_prev"], limits["dA_prev"]))}


def _borders(case: Case, chosen: Chosen) -> bool:
    """Whether averages are to leave the padding out that the case counts."""
    average = case.word("mode") == "average" and counts_padding(case) and window_of(case).padded
    return average and chosen["average-pool-borders"] == "exclude" and min(case["m"], case["c"]) > 0


def _average_forward(case: Case, arrays: Arrays, chosen: Chosen) -> Changed:
    if not _borders(case, chosen):
        return {}
    window = window_of(case)
    windows = patches(arrays["A_prev"].astype(np.float64), window)
    divisor = window.counts(False)[..., None]
    value, size = (np.asarray(x.sum((3, 4)) / divisor) for x in (windows, np.abs(windows)))
    return {"A": (value, (divisor + 1) * unit(case) * size + 2 * smallest(case))}


def _average_backward(case: Case, arrays: Arrays, chosen: Chosen) -> Changed:
    if not _borders(case, chosen):
        return {}
    window, shape = window_of(case), arrays["A_prev"].shape
    parts = arrays["dA"].astype(np.float64) / window.counts(False)[..., None]
    taps = np.broadcast_to(
        parts[:, :, :, None, None], (*parts.shape[:3], window.rows.f, window.columns.f, parts.shape[3])
    )
    total, size, count = (scatter(x, window, shape) for x in (taps, np.abs(taps), np.ones_like(taps)))
    return {"dA_prev": (total, (count + 1) * (unit(case) * size + smallest(case)))}


def mask(case: Case, arrays: Arrays, expected: Any, limits: Mapping[str, Bound], chosen: Chosen) -> Changed:
    """`create_mask_from_window`."""
    x = arrays["x"].astype(np.float64)
    if not x.size:
        return {}
    shares = _maximum(x.reshape(-1), np.ones(x.size, bool), chosen["mask-ties"], chosen["mask-nan"], 0.0)[
        1
    ].reshape(x.shape)
    return {"mask": (shares, np.zeros_like(shares))}
