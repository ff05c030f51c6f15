"""What the right answer is under each convention, by operation, and how far off rounding may be.

Every function is called as ``model(case, arrays, expected, limits, chosen)`` with the oracle's answer,
its bounds and the value of each convention, and returns for the outputs that a convention may change
their values and error limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.case import Case
from conformance.slips.windows import patches, scatter
from conformance.window import window_of

Values = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
Changed = dict[str, tuple[Values, Values]]
Chosen = Mapping[str, str]
Model = Callable[[Case, Arrays, Mapping[str, Values], Mapping[str, Bound], Chosen], Changed]


def _u(case: Case) -> float:
    return float(np.finfo(case.numpy_dtype).eps) / 2


def _w(case: Case) -> float:
    return float(np.finfo(case.numpy_dtype).smallest_subnormal)


def _exact(bound: Bound) -> bool:
    return bound.tier in ("exact", "equal")


def _kept(value: Values, limit: Values, expected: Values, bound: Bound) -> Values:
    """`limit`, but the oracle's own bound where the convention changes nothing."""
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    return np.where(same, bound.limit, limit)


# Max pooling and its mask


def _one(candidates: NDArray[np.bool_], which: str) -> Values:
    """One at the first or last candidate along the last axis; nothing where there is none."""
    last = candidates.shape[-1] - 1
    place = candidates.argmax(-1) if which == "first" else last - candidates[..., ::-1].argmax(-1)
    return np.asarray((np.arange(last + 1) == place[..., None]) & candidates, np.float64)


def _scan(windows: Values) -> Values:
    """One where a scan ends that moves on unless what it holds is greater or equal."""
    held, place = windows[..., 0], np.zeros(windows.shape[:-1], np.int64)
    for i in range(1, windows.shape[-1]):
        on = ~(held >= windows[..., i])
        held, place = np.where(on, windows[..., i], held), np.where(on, i, place)
    return np.asarray(np.arange(windows.shape[-1]) == place[..., None], np.float64)


def _maximum(windows: Values, ties: str, nan: str, lowest: float) -> tuple[Values, Values]:
    """The maximum along the last axis, and the share of the gradient that each place gets."""
    missing = np.isnan(windows)
    bad, empty = np.asarray(missing.any(-1)), np.asarray(missing.all(-1))
    first = np.asarray(missing[..., 0])
    value: Values = np.where(missing, -np.inf, windows).max(-1)
    candidates = ~missing & (windows == value[..., None])
    if ties in ("first", "last"):
        shares = _one(candidates, ties)
    else:
        count = np.maximum(1, candidates.sum(-1, keepdims=True)) if ties == "shared" else 1
        shares = candidates / count
    start = np.arange(windows.shape[-1]) == 0
    if nan in ("first", "last"):
        shares = np.where(bad[..., None], _one(missing, nan), shares)
        value = np.where(bad, np.nan, value)
    elif nan == "none":
        shares, value = np.where(bad[..., None], 0.0, shares), np.where(bad, np.nan, value)
    elif nan == "nan":
        shares, value = np.where(bad[..., None], np.nan, shares), np.where(bad, np.nan, value)
    elif nan == "scan":
        shares, value = np.where(bad[..., None], _scan(windows), shares), np.where(bad, np.nan, value)
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
    windows = patches(arrays["A_prev"].astype(np.float64), window, -np.inf)
    lowest = float(np.finfo(case.numpy_dtype).min)
    windows = np.moveaxis(windows.reshape(*windows.shape[:3], window.size, windows.shape[-1]), 3, 4)
    return _maximum(windows, chosen.get("pool-ties", "first"), chosen["pool-nan"], lowest)


def _maximal(case: Case) -> bool:
    return case.word("mode") == "max" and min(case["m"], case["c"]) > 0


def _pool_forward(
    case: Case, arrays: Arrays, expected: Any, limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    if not _maximal(case):
        return {}
    value = _pooled(case, arrays, chosen)[0]
    return {"A": (value, np.zeros_like(value))}


def _pool_backward(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    if not _maximal(case):
        return {}
    shares, dA = _pooled(case, arrays, chosen)[1], arrays["dA"].astype(np.float64)
    window, shape = window_of(case), arrays["A_prev"].shape
    shares = np.moveaxis(shares, 4, 3)
    taps = (*shares.shape[:3], window.rows.f, window.columns.f, shares.shape[-1])
    parts = np.where(shares != 0, shares * dA[:, :, :, None, :], 0.0).reshape(taps)
    total, size, count = (
        scatter(x, window, shape) for x in (parts, np.abs(parts), (shares != 0).reshape(taps))
    )
    exact = _exact(limits["dA_prev"]) and chosen["pool-ties"] != "shared"
    limit = np.zeros_like(total) if exact else (count + 1) * (_u(case) * size + _w(case))
    return {"dA_prev": (total, _kept(total, limit, expected["dA_prev"], limits["dA_prev"]))}


def _mask(case: Case, arrays: Arrays, expected: Any, limits: Mapping[str, Bound], chosen: Chosen) -> Changed:
    x = arrays["x"].astype(np.float64)
    if not x.size:
        return {}
    mask = _maximum(x.reshape(-1), chosen["mask-ties"], chosen["mask-nan"], 0.0)[1].reshape(x.shape)
    return {"mask": (mask, np.zeros_like(mask))}


# Relu and the affine layer


def _relu(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """Relu and, behind an affine layer, relu of what is NaN there; else the oracle's values."""
    if case.op != "relu" and case.word("activation") != "relu":
        return {}
    values = expected["A"]
    value = np.where(np.isnan(values), float(chosen["relu-nan"]), values)
    return {"A": (value, _kept(value, np.zeros_like(value), values, limits["A"]))}


def _relu_backward(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    Z, dA = arrays["Z"].astype(np.float64), arrays["dA"].astype(np.float64)
    dZ = np.where(Z == 0, dA * float(chosen["relu-zero"]), expected["dZ"])
    dZ = np.where(np.isnan(Z), dA * float(chosen["relu-nan-gradient"]), dZ)
    return {"dZ": (dZ, np.where(Z == 0, _w(case), 0.0))}


def _affine_gradient(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    found: Changed = {name: (expected[name], np.asarray(limits[name].limit)) for name in expected}
    if case.op == "affine_activation_backward" and case.word("activation") == "relu":
        A, W, b, dA = (arrays[name].astype(np.float64) for name in ("A_prev", "W", "b", "dA"))
        Z = A @ W + b
        dZ = np.where(Z == 0, dA * float(chosen["relu-zero"]), 0.0)
        if chosen["relu-nan-gradient"] != "1":
            dZ = np.where(np.isnan(Z), dA * (float(chosen["relu-nan-gradient"]) - 1), dZ)
        size, u = np.abs(dZ), _u(case)
        # What comes on top of the oracle's answer, each with its own sum's bound.
        more = {
            "dA_prev": (dZ @ W.T, size @ np.abs(W).T, case["o"]),
            "dW": (A.T @ dZ, np.abs(A).T @ size, case["m"]),
            "db": (dZ.sum(0, keepdims=True), size.sum(0, keepdims=True), case["m"]),
        }
        for name, (extra, total, terms) in more.items():
            limit = 0.0 if _exact(limits[name]) else (terms + 1) * u * (total + np.abs(expected[name]))
            found[name] = (expected[name] + extra, np.asarray(found[name][1] + limit))
    if chosen["affine-gradient"] == "mean":
        for name in ("dW", "db"):
            value, limit = found[name][0] / max(1, case["m"]), found[name][1] / max(1, case["m"])
            # The mean over no sample is anything: 0, or 0 / 0.
            known = np.inf if case["m"] == 0 else 0.0
            found[name] = (value, limit + known + 2 * _u(case) * np.abs(value) + _w(case))
    return found


# Softmax and the loss


def _softmax(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """Without the shift: NaN where exp overflows or every exp of a row is zero."""
    (name,) = expected
    value, limit = expected[name], np.broadcast_to(limits[name].limit, expected[name].shape)
    X = arrays["X"].astype(np.float64)
    if chosen["softmax-shift"] == "none" and X.size:
        info = np.finfo(case.numpy_dtype)
        largest = X.max(1, keepdims=True)
        top, bottom = float(np.log(float(info.max))), float(np.log(float(info.smallest_subnormal)))
        # exp(x) / inf is zero where x itself does not overflow; softmax_backward sums NaN over its row.
        zero = np.zeros_like(X)
        if case.op == "softmax_cross_entropy_backward":
            zero[np.arange(len(X)), arrays["Y"].reshape(-1)] = -1 / len(X)
        lost = np.where((top < X) | (case.op == "softmax_backward"), np.nan, zero)
        oracle = value
        value = np.where(largest > top, lost, np.where(largest < bottom, np.nan, value))
        # Near the ends of the range it depends on the rounding of exp; elsewhere exp underflows by w.
        width = float(np.log(X.shape[1])) + 1
        unknown = (np.abs(largest - top) < width) | (np.abs(largest - bottom) < width)
        unknown = unknown | (np.abs(X - top) < 1)
        underflow = X.shape[1] * _w(case) / np.exp(np.clip(largest, bottom, top))
        scale = np.abs(arrays["dprobs"]).max(1, keepdims=True) if "dprobs" in arrays else 1.0
        limit = np.where(unknown, np.inf, 4 * (limit + underflow * scale))
        value = np.where(unknown, oracle, value)
    return _reduced(case, {name: (value, limit)}, chosen)


def _reduced(case: Case, found: Changed, chosen: Chosen) -> Changed:
    """The same for the sum of the losses instead of their mean."""
    if "sum" not in (chosen.get("loss-reduction"), chosen.get("loss-gradient")):
        return found
    m = case["m"]
    return {
        name: (
            value * m if m else np.zeros_like(value),
            # The sum over no sample is 0, or what the mean was.
            limit * m + 2 * _u(case) * np.abs(value) * m + _w(case) if m else limit + np.inf,
        )
        for name, (value, limit) in found.items()
    }


def _entropy(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    (name,) = expected
    limit = np.broadcast_to(limits[name].limit, expected[name].shape)
    return _reduced(case, {name: (expected[name], limit)}, chosen)


MODELS: dict[str, Model] = {
    "pool_forward": _pool_forward,
    "pool_backward": _pool_backward,
    "create_mask_from_window": _mask,
    "relu": _relu,
    "relu_backward": _relu_backward,
    "affine_activation_forward": _relu,
    "affine_backward": _affine_gradient,
    "affine_activation_backward": _affine_gradient,
    "softmax": _softmax,
    "softmax_backward": _softmax,
    "softmax_cross_entropy_backward": _softmax,
    "cross_entropy_cost": _entropy,
    "cross_entropy_backward": _entropy,
}
