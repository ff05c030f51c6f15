"""Sums in every order, of every operation that is one: the oracle gives the terms, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.kernel import Arrays, Kernel, Outputs
from conformance.bounds.arithmetic import IEEE, Arithmetic
from conformance.cases.case import Case
from conformance.cases.window import divisors, window_of
from conformance.oracle import evaluate

Array = NDArray[Any]
#: Terms, exact in float64, on the first axis, to their sum in the dtype.
Order = Callable[[Array, np.dtype[Any]], Array]


def _rounded(terms: Array, dtype: np.dtype[Any]) -> Array:
    return terms.astype(dtype)


def ascending(terms: Array, dtype: np.dtype[Any]) -> Array:
    """One after the other."""
    return np.asarray(np.add.accumulate(_rounded(terms, dtype), 0, dtype)[-1])


def descending(terms: Array, dtype: np.dtype[Any]) -> Array:
    """From the last on."""
    return ascending(terms[::-1], dtype)


def fused(terms: Array, dtype: np.dtype[Any]) -> Array:
    """With fused multiply-add: the products are not rounded."""
    total = np.zeros(terms.shape[1:], dtype)
    for term in terms:
        total = (total.astype(np.float64) + term).astype(dtype)
    return total


def pairwise(terms: Array, dtype: np.dtype[Any]) -> Array:
    """In a tree."""
    left = _rounded(terms, dtype)
    while len(left) > 1:
        odd = left[-1:] if len(left) % 2 else left[:0]
        left = np.concatenate([left[0 : len(left) // 2 * 2 : 2] + left[1::2], odd])
    return np.asarray(left[0])


def lanes(terms: Array, dtype: np.dtype[Any], width: int = 8) -> Array:
    """Eight sums side by side, then those; with fused multiply-add."""
    parts = [fused(terms[k::width], dtype) for k in range(min(width, len(terms)))]
    return pairwise(np.stack([p.astype(np.float64) for p in parts]), dtype)


def blocks(terms: Array, dtype: np.dtype[Any], size: int = 16) -> Array:
    """Blocks of sixteen, one after the other."""
    parts = [ascending(terms[k : k + size], dtype) for k in range(0, len(terms), size)]
    return ascending(np.stack(parts).astype(np.float64), dtype)


def shuffled(terms: Array, dtype: np.dtype[Any]) -> Array:
    """In some order that the shapes decide."""
    return ascending(np.random.default_rng(len(terms)).permutation(terms), dtype)


def compensated(terms: Array, dtype: np.dtype[Any]) -> Array:
    """Kahan's sum."""
    total = np.zeros(terms.shape[1:], dtype)
    lost = np.zeros(terms.shape[1:], dtype)
    for term in _rounded(terms, dtype):
        term = term - lost
        new = total + term
        total, lost = new, (new - total) - term
    return total


def smallest_first(terms: Array, dtype: np.dtype[Any]) -> Array:
    """In the order of their sizes."""
    order = np.argsort(np.abs(terms), 0, kind="stable")
    return ascending(np.take_along_axis(terms, order, 0), dtype)


def by_value(terms: Array, dtype: np.dtype[Any]) -> Array:
    """In the order of their values: partial sums grow as far as they can."""
    return ascending(np.sort(terms, 0), dtype)


#: Orders that do not depend on the values, and those that do.
OF_SHAPES: tuple[Order, ...] = (
    ascending, descending, fused, pairwise, lanes, blocks, shuffled, compensated,
)  # fmt: skip
OF_DATA: tuple[Order, ...] = (smallest_first, by_value)

#: By which argument the terms of an output are told apart: a term is what one of its elements on the axes
#: gives, those on the other axes taken together.
_SPLIT = {
    "dW": ("dZ", "all"), "db": ("dZ", "all"), "Z": ("W", "taps"), "A": ("A_prev", "pixels"),
    "dA_prev": ("W", "taps"),
}  # fmt: skip


def _places(of: Array, how: str, output: str) -> Iterator[tuple[Any, ...]]:
    """Indices of parts of an array each of which is in one term of any element at most."""
    if how == "taps":
        if of.ndim == 4:
            # Of the output of a convolution each filter is its own; of the input's gradient each input
            # channel.
            axes = (0, 1, 2) if output == "Z" else (0, 1, 3)
        else:
            axes = (0,) if output == "Z" else (1,)
    elif how == "pixels":
        axes = (1, 2)
    else:
        axes = (0, 1, 2) if of.ndim == 4 else (0,)
    for index in np.ndindex(*(of.shape[a] for a in axes)):
        yield tuple(dict(zip(axes, index, strict=True)).get(a, slice(None)) for a in range(of.ndim))


#: Cases with more terms are left out.
MOST = 700


def _many(of: Array, how: str, output: str) -> bool:
    """Whether there are no terms, or too many of them; 0 times infinity would be one that is not there."""
    return not np.isfinite(of).all() or not 0 < sum(1 for _ in _places(of, how, output)) <= MOST


class Terms:
    """The terms of each output of a case in float64, computed once for all orders."""

    def __init__(self) -> None:
        self._case: Case | None = None
        self._found: dict[str, Array] = {}

    def of(self, case: Case, a: Arrays, output: str, by: str, how: str) -> Array:
        """They are on the first axis; zeros where an element has fewer."""
        if self._case is not case:
            self._case, self._found = case, {}
        if output not in self._found:
            self._found[output] = self._terms(case, a, output, by, how)
        return self._found[output]

    def _terms(self, case: Case, a: Arrays, output: str, by: str, how: str) -> Array:
        rest = {**a, "b": np.zeros_like(a["b"])} if "b" in a else dict(a)
        found = [evaluate(case, {**a, by: np.zeros_like(a[by])})[output]]  # the bias, or nothing
        for place in _places(a[by], how, output):
            part = np.zeros_like(a[by])
            part[place] = a[by][place]
            found.append(evaluate(case, {**rest, by: part})[output])
        return np.stack(found)


_TERMS = Terms()


def _answer(order: Order, round_inputs: Callable[[Array], Array] | None) -> Callable[[Case, Arrays], Outputs]:
    def answer(case: Case, a: Arrays) -> Outputs:
        if not all(np.isfinite(x).all() for x in a.values()) or any(
            _many(a[by], how, output) for output in case.operation.outputs for by, how in (_SPLIT[output],)
        ):
            return {}
        given = a if round_inputs is None else {n: round_inputs(x) for n, x in a.items()}
        found: dict[str, Array] = {}
        for output in case.operation.outputs:
            by, how = _SPLIT[output]
            if round_inputs is None:
                terms = _TERMS.of(case, given, output, by, how)
            else:
                terms = Terms().of(case, given, output, by, how)
            found[output] = order(terms, case.working_dtype)
        return found

    return answer


def _average(order: Order, how: str) -> Callable[[Case, Arrays], Outputs]:
    """A mean: the sum divided by D, or times a rounded reciprocal, or a sum of shares."""

    def answer(case: Case, a: Arrays) -> Outputs:
        (output,), by = case.operation.outputs, case.operation.upstream or "A_prev"
        if _maximum(case) or _many(a[by], "pixels", output):
            return {}
        shares = _TERMS.of(case, a, output, by, "pixels")
        divisor, t = _divisor(case), case.working_dtype.type
        if by != "A_prev":  # each term has the divisor of the window that it comes from
            divisor = np.append(1.0, np.broadcast_to(divisor, (1, *a[by].shape[1:3], 1)))
            divisor = divisor.reshape(-1, *[1] * (shares.ndim - 1))
        if how == "shares" or (by != "A_prev" and how == "quotient"):
            return {output: order(shares, case.working_dtype)}
        reciprocal = (1 / divisor.astype(t)).astype(np.float64)
        if by != "A_prev":
            return {output: order(shares * divisor * reciprocal, case.working_dtype)}
        total = order(shares * divisor, case.working_dtype)
        return {output: total / divisor.astype(t) if how == "quotient" else total * reciprocal.astype(t)}

    return answer


def _maximum(case: Case) -> bool:
    return "mode" in case.operation.parameters and case.word("mode") == "max"


def _divisor(case: Case) -> Array:
    """What each mean is divided by."""
    if "windows" in case.operation.traits:
        return np.asarray(divisors(case)[None, ..., None], np.float64)
    return np.full((1, 1, 1, 1), float(case["h"] * case["w"]))


def _running(case: Case, a: Arrays) -> Outputs:
    """The mean by updates ``m += (x - m) / k``; not of infinity, whose difference to itself is NaN."""
    x, t = a["A_prev"], a["A_prev"].dtype.type
    if not x.size or np.isinf(x).any():
        return {}
    flat = x.reshape(x.shape[0], -1, x.shape[3])
    m = np.zeros_like(flat[:, 0])
    for k in range(flat.shape[1]):
        m = m + (flat[:, k] - m) / t(k + 1)
    return {"A": m[:, None, None, :]}


def _integral(case: Case, a: Arrays) -> Outputs:
    """Sums over windows from a table of sums from the first pixel on."""
    window = window_of(case)
    if _maximum(case) or not window.dense or not a["A_prev"].size or not np.isfinite(a["A_prev"]).all():
        return {}
    table = np.pad(a["A_prev"], ((0, 0), (1, 0), (1, 0), (0, 0)))
    table = np.add.accumulate(np.add.accumulate(table, 1, table.dtype), 2, table.dtype)
    (top, bottom), (left, right) = (
        _ends(axis, n) for axis, n in zip((window.rows, window.columns), window.outputs, strict=True)
    )

    def at(rows: Array, columns: Array) -> Array:
        return table[:, rows][:, :, columns]

    total = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
    return {"A": total / _divisor(case).astype(table.dtype)}


def _ends(axis: Any, outputs: int) -> tuple[Array, Array]:
    start = np.arange(outputs) * axis.s - axis.before
    return np.clip(start, 0, axis.n), np.clip(start + axis.f, 0, axis.n)


SUMS = (
    "conv_forward", "conv_backward", "conv_transpose_forward", "conv_transpose_backward", "affine_forward",
    "affine_backward",
)  # fmt: skip
AVERAGES = ("pool_forward", "pool_backward", "global_average_pool_forward")


def tf32(x: Array) -> Array:
    """Rounded to eleven bits, as tensor cores read float32."""
    return _bits(x, 13)


def bfloat16(x: Array) -> Array:
    """Rounded to eight bits."""
    return _bits(x, 16)


def _bits(x: Array, least: int) -> Array:
    if x.dtype != np.float32:
        return x
    bits = np.ascontiguousarray(x).view(np.uint32)
    half = np.uint32((1 << (least - 1)) - 1)
    kept = (bits + half + ((bits >> np.uint32(least)) & np.uint32(1))) & np.uint32(
        0xFFFFFFFF << least & 0xFFFFFFFF
    )
    return kept.view(np.float32)


def kernels() -> Iterator[Kernel]:
    """Every operation in every order."""
    ordered = Arithmetic.declared(order="data")
    for op in SUMS:
        for order in OF_SHAPES:
            yield Kernel(order.__name__.replace("_", " "), op, _answer(order, None), IEEE)
        for order in OF_DATA:
            yield Kernel(
                f"{order.__name__.replace('_', ' ')} (order = data)", op, _answer(order, None), ordered
            )
        for precision, rounding in (("tf32", tf32), ("bf16", bfloat16)):
            held = Arithmetic.declared(precision=precision)
            yield Kernel(f"inputs in {precision} (declared)", op, _answer(fused, rounding), held)
    for op in AVERAGES:
        for order in OF_SHAPES:
            for how in ("quotient", "reciprocal", "shares"):
                yield Kernel(f"{how}, {order.__name__}", op, _average(order, how), IEEE)
    for op, name, answer in (
        ("global_average_pool_forward", "running-mean", _running),
        ("pool_forward", "integral-image", _integral),
    ):
        yield Kernel(f"{name} (declared)", op, answer, Arithmetic.declared(algorithm=name))
