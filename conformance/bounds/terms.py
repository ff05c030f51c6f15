"""Detectability: the share of single dropped terms that a limit would let us see.

A kernel that leaves one term ``a_k w_k`` out of one sum is caught if ``|a_k w_k|`` exceeds the limit at
that output. The share is measured on 512 terms of each output, spread evenly over all extents by a
fixed quasi-random sequence. Terms are not counted where dropping them changes nothing: those that are
zero in the dtype, and those of a sum that is NaN or infinite with or without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Limit
from conformance.case import Case
from conformance.formats import finfo
from conformance.window import divisors, transposed, window_of

Arrays = Mapping[str, NDArray[Any]]
Index = tuple[NDArray[np.int64] | int, ...]

_COUNT, _AXES = 512, 7


def _sequence() -> NDArray[np.float64]:
    """An additive recurrence with the powers of the root of ``x^8 = x + 1`` (Roberts 2018, R_d)."""
    root = 1.0
    for _ in range(60):
        root = (1 + root) ** (1 / (_AXES + 1))
    steps = root ** -np.arange(1, _AXES + 1, dtype=np.float64)
    return (0.5 + np.outer(steps, np.arange(1, _COUNT + 1))) % 1.0


_SEQUENCE = _sequence()


def _spread(*extents: int) -> list[NDArray[np.int64]]:
    """One index array for each extent."""
    scaled = _SEQUENCE[: len(extents)] * np.array(extents)[:, None]
    return list(scaled.astype(np.int64))


def seen(
    terms: NDArray[Any], limits: NDArray[Any], results: NDArray[Any], dtype: np.dtype[Any]
) -> float | None:
    """The share of `terms` above `limits`, of those that count; None if none does.

    `results` are the outputs that the terms go to, `dtype` is that of the implementation's numbers.
    """
    size = np.abs(np.asarray(terms, np.float64))
    counted = size < np.inf
    # What is at most half of the smallest number is rounded to zero.
    counted &= size > float(finfo(dtype).smallest_subnormal) / 2
    if results is not terms:
        counted &= np.isfinite(results)
    total = int(np.count_nonzero(counted))
    counted &= size > limits
    return int(np.count_nonzero(counted)) / total if total else None


Picked = dict[str, tuple[NDArray[np.float64], Index]]


def convolution(case: Case, arrays: Arrays) -> Picked:
    """Terms of each output of a convolution, plain or transposed, with where they are added to."""
    window, (_, _, of_group, filters) = window_of(case), arrays["W"].shape
    turned = transposed(case)
    extents = (case["m"], *window.outputs, window.rows.f, window.columns.f, of_group, filters)
    if 0 in extents:
        return {}
    i, r, q, y, x, c, k = _spread(*extents)
    h, w = window.rows.reads()[r, y], window.columns.reads()[q, x]
    inside = (h >= 0) & (h < window.rows.n) & (w >= 0) & (w < window.columns.n)
    i, r, q, y, x, c, k, h, w = (index[inside] for index in (i, r, q, y, x, c, k, h, w))
    channels = case["k" if turned else "c"]
    channel = c + k // max(filters * of_group // channels, 1) * of_group  # of the filter's group
    of_window, of_image = (i, r, q, k), (i, h, w, channel)
    source, target = (of_window, of_image) if turned else (of_image, of_window)
    a = np.asarray(arrays["A_prev"][source], np.float64)
    weight = np.asarray(arrays["W"][y, x, c, k], np.float64)
    if "dZ" not in arrays:
        return {"Z": (a * weight, target)}
    g = np.asarray(arrays["dZ"][target], np.float64)
    return {
        "dA_prev": (g * weight, source),
        "dW": (a * g, (y, x, c, k)),
        "db": (g, (0, 0, 0, target[3])),
    }


def affine(case: Case, arrays: Arrays, upstream: NDArray[Any] | None) -> Picked:
    """Terms of each output of the affine layer."""
    extents = (case["m"], case["i"], case["o"])
    if 0 in extents:
        return {}
    m, i, o = _spread(*extents)
    a = np.asarray(arrays["A_prev"][m, i], np.float64)
    weight = np.asarray(arrays["W"][i, o], np.float64)
    if upstream is None:
        return {"Z": (a * weight, (m, o))}
    g = np.asarray(upstream[m, o], np.float64)
    return {"dA_prev": (g * weight, (m, i)), "dW": (a * g, (i, o)), "db": (g, (0, o))}


def pooling(case: Case, arrays: Arrays, rows: int, columns: int) -> Picked:
    """Terms of average pooling, and of the gradient of both modes."""
    window, A_prev = window_of(case), arrays["A_prev"]
    down, across = window.rows.reads(), window.columns.reads()
    extents = (case["m"], rows, columns, case["c"], window.rows.f, window.columns.f)
    if 0 in extents:
        return {}
    i, r, q, c, y, x = _spread(*extents)
    share: NDArray[np.float64] | float = 1.0
    if case.word("mode") == "max":
        h, w = down[r][:, :, None], across[q][:, None, :]
        inside = (h >= 0) & (h < case["h"]) & (w >= 0) & (w < case["w"])
        h, w = np.clip(h, 0, case["h"] - 1), np.clip(w, 0, case["w"] - 1)
        windows = np.where(inside, A_prev[i[:, None, None], h, w, c[:, None, None]], -np.inf)
        y, x = np.divmod(windows.reshape(len(i), -1).argmax(axis=1), window.columns.f)
    else:
        share = 1.0 / divisors(case)[r, q]
    h, w = down[r, y], across[q, x]
    inside = (h >= 0) & (h < case["h"]) & (w >= 0) & (w < case["w"])
    i, r, q, c, h, w = (index[inside] for index in (i, r, q, c, h, w))
    share = share[inside] if isinstance(share, np.ndarray) else share
    if "dA" in arrays:
        return {"dA_prev": (np.asarray(arrays["dA"][i, r, q, c], np.float64) * share, (i, h, w, c))}
    return {"A": (np.asarray(A_prev[i, h, w, c], np.float64) * share, (i, r, q, c))}


def pixels(case: Case, arrays: Arrays) -> Picked:
    """Terms of global average pooling."""
    extents = tuple(case[letter] for letter in "mhwc")
    if 0 in extents:
        return {}
    i, h, w, c = _spread(*extents)
    return {
        "A": (np.asarray(arrays["A_prev"][i, h, w, c], np.float64) / (case["h"] * case["w"]), (i, 0, 0, c))
    }


def share(picked: Picked, output: str, limit: Limit, expected: Limit, dtype: np.dtype[Any]) -> float | None:
    """The share of the picked terms of `output` that `limit` lets us see."""
    if output not in picked:
        return None
    terms, where = picked[output]
    if limit.shape != expected.shape:
        limit = np.broadcast_to(limit, expected.shape)
    return seen(terms, limit[where], expected[where], dtype)
