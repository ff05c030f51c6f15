"""Faults of half precision: results cut off, rounded twice, or summed in half instead of float32.

They are as small as rounding itself, so each is told where float32 rounds nothing (the exact families): there
its result is known to the last bit.
"""

from __future__ import annotations

import numpy as np

from conformance.bounds.storage import rounded
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF, finfo
from conformance.cases.patches import patches
from conformance.cases.window import counts_padding, window_of
from conformance.faults.catalogue import ROUNDED, significand, slip
from conformance.faults.core import Array, Arrays, Base, Outputs, reference
from conformance.operations import OPERATIONS, having

#: Faults as small as one rounding, which only cases where nothing else rounds tell from one another.
SMALL = ("half-truncated", "half-rounded-twice")

_STORED = {
    op: " ".join(name for name in outputs.split() if OPERATIONS[op].rounds(name))
    for op, outputs in ROUNDED.items()
    if op in having("products", "pool")
} | {"affine_backward": "dA_prev dW"}  # a sum over the samples alone is too short to need rounding
_FORWARD = {
    "conv_single_step": "Z",
    "conv_forward": "Z",
    "affine_forward": "Z",
    "affine_activation_forward": "A",
}


def _stored(case: Case, x: Array) -> Array:
    """Rounded to half, as it should be."""
    return x.astype(np.float32).astype(case.numpy_dtype).astype(np.float64)


@slip(
    "half-truncated",
    "The float32 result is cut off to half precision instead of rounded to nearest.",
    _STORED,
)
def _half_truncated(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.dtype not in HALF:
        return {}
    bits = int(finfo(case.numpy_dtype).nmant) + 1
    return {
        name: significand(x, bits, True) if rounded(case, name) else x for name, x in base(case, a).items()
    }


@slip(
    "half-rounded-twice",
    "The sum is rounded to half before the bias is added, and once more after it.",
    _FORWARD,
)
def _half_rounded_twice(case: Case, a: Arrays, base: Base) -> Outputs:
    activated = "activation" in case.operation.parameters and case.word("activation") != "NULL"
    if case.dtype not in HALF or activated:
        return {}
    (name,) = case.operation.outputs
    products = base(case, {**a, "b": np.zeros_like(a["b"])})[name]
    return {name: _stored(case, _stored(case, products) + a["b"].reshape(products.shape[-1:]))}


def _in_half(case: Case, a: Arrays, output: str) -> Array:
    """The bound of sums whose every partial sum is rounded to half; infinite where they may overflow."""
    if case.dtype not in HALF or case.get("mode", "average") != "average":
        return np.zeros(())
    info = finfo(case.numpy_dtype)
    size = np.abs(reference(case, {name: np.abs(v) for name, v in a.items()})[output])
    divided = max(case.operation.divisors(case))  # the sum is so many times what is returned
    overflows = size * divided > float(info.max) / 2
    return np.where(overflows, np.inf, (case.operation.longest(case) + 1) * float(info.eps) / 2 * size)


@slip(
    "sums-in-half",
    "Partial sums are rounded to half precision instead of kept in float32.",
    {
        "conv_single_step": "Z",
        "conv_forward": "Z",
        "affine_forward": "Z",
        "affine_backward": "dA_prev dW db",
        "pool_forward": "A",
        "global_average_pool_forward": "A",
    },
    own=_in_half,
)
def _sums_in_half(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.dtype not in HALF or case.get("mode", "average") != "average":
        return {}
    if "a_slice_prev" in a:
        terms = (a["a_slice_prev"] * a["W"]).reshape(-1)
        return {"Z": _chain(case, terms, a["b"].reshape(()))}
    if "W" not in a:
        return {"A": _average(case, a["A_prev"])}
    if "windows" in case.operation.traits:
        if case.beyond:
            return {}
        taken = patches(a["A_prev"], window_of(case))
        rows = taken.reshape(*taken.shape[:3], -1)
        return {"Z": _product(case, rows, a["W"].reshape(rows.shape[-1], -1), a["b"].reshape(-1))}
    if not case.operation.upstream:
        return {"Z": _product(case, a["A_prev"], a["W"], a["b"].reshape(-1))}
    zero = np.zeros(())
    return {
        "dA_prev": _product(case, a["dZ"], a["W"].T, zero),
        "dW": _product(case, a["A_prev"].T, a["dZ"], zero),
        "db": _product(case, np.ones((1, len(a["dZ"]))), a["dZ"], zero),
    }


def _average(case: Case, image: Array) -> Array:
    """The averages of windows, or of the whole image, whose sums are in half."""
    taken = patches(image, window_of(case)) if "pool" in case.operation.traits else image[:, None, None]
    terms = taken.reshape(*taken.shape[:3], -1, taken.shape[-1])
    return _chain(case, np.moveaxis(terms, 3, 0), np.zeros(())) / _divided(case)


def _divided(case: Case) -> Array:
    if "pool" in case.operation.traits:
        return np.asarray(window_of(case).counts(counts_padding(case))[..., None])
    return np.asarray(case["h"] * case["w"])


def _product(case: Case, rows: Array, weights: Array, bias: Array) -> Array:
    """``bias + rows @ weights``, each partial sum rounded to half."""
    total = np.broadcast_to(bias, (*rows.shape[:-1], weights.shape[-1]))
    for k in range(rows.shape[-1]):
        total = _stored(case, total + rows[..., k, None] * weights[k])
    return np.array(total)


def _chain(case: Case, terms: Array, start: Array) -> Array:
    """The terms along the first axis added to `start`, each partial sum rounded to half."""
    total = np.asarray(start)
    for term in terms:
        total = _stored(case, total + term)
    return total
