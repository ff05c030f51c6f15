"""Which bound goes with which operation and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import affine_activation as composed
from conformance.bounds import single, storage, sums, terms
from conformance.bounds.arithmetic import IEEE, Arithmetic, Bound, Limit
from conformance.bounds.sums import Terms
from conformance.bounds.terms import Picked
from conformance.bounds.tier import kind_of
from conformance.cases.case import Case
from conformance.cases.window import divisors, divisors_of

Arrays = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, Limit]
Bounds = dict[str, Bound]

_ZERO = np.zeros(())


def bounds(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic = IEEE) -> Bounds:
    """The bound of each output of a case.

    Parameters
    ----------
    case : Case
        The operation, its parameters, the dtype and the family.
    arrays : mapping of str to ndarray
        What the implementation was given.
    expected : mapping of str to ndarray
        The oracle's outputs for them.
    arithmetic : Arithmetic, optional
        The class of arithmetic that the implementation declares.

    Returns
    -------
    dict of str to Bound
        By the names in ``case.operation.outputs``.
    """
    rule = _RULES.get(case.op)
    if rule is None or (case.op == "pool_forward" and case.word("mode") == "max"):
        return {name: _equal(value) for name, value in expected.items()}
    with np.errstate(all="ignore"):  # NaN and infinities in, NaN and infinities out
        return rule(case, arrays, expected, arithmetic)


def _equal(expected: Limit) -> Bound:
    """Choosing, moving and copying round nothing."""
    return Bound("equal", _ZERO, None, 1.0 if expected.size else None)


def _summed(
    case: Case,
    expected: Outputs,
    found: Mapping[str, Terms],
    roundings: int,
    steps: Mapping[str, float],
    picked: Callable[[], Picked],
    arithmetic: Arithmetic,
    extra: Mapping[str, Limit] | None = None,
) -> Bounds:
    """Bounds of outputs that are sums: exact where the data allow it, (1) of `sums` elsewhere."""
    kind = kind_of(case)
    if not arithmetic.ieee and kind == "statistical":
        kind = "bound"
    made: Bounds = {}
    drawn: Picked | None = None
    for name, term in found.items():
        added, right = sums.NONE if extra is None else extra[name], expected[name]
        unrounded = kind == "exact" and arithmetic.ieee and not added.any()
        if unrounded and sums.exact(case, term, steps[name], right):
            bound = Bound("exact", _ZERO, None, 1.0 if term.n.any() else None)
            made[name] = storage.exact(case, name, bound, right)
            continue
        # db is a plain sum.
        each = sums.ADDITIONS if name == "db" else roundings
        limit = storage.stored(case, name, sums.limit(case, term, each, arithmetic, added), right)
        random = sums.statistical(case, term, added) if kind == "statistical" else None
        if random is not None:
            random = storage.stored(case, name, random, right)
        drawn = picked() if drawn is None else drawn
        visible = limit if random is None else np.minimum(limit, random)
        share = terms.share(drawn, name, visible, right, case.numpy_dtype)
        made[name] = Bound("bound" if random is None else "statistical", limit, random, share)
    return made


def _steps(case: Case, arrays: Arrays, upstream: NDArray[Any] | None) -> dict[str, float]:
    """The power of two that divides every term of each output, for the exact tier."""
    if kind_of(case) != "exact":
        return {}
    units = {name: sums.unit(x) for name, x in arrays.items()}
    a = units.get("A_prev", units.get("a_slice_prev", 1.0))
    if upstream is None:
        step = min(_times(a, units["W"]), units["b"])
        return dict.fromkeys(("Z", "A"), step)
    g = sums.unit(upstream)
    return {"dA_prev": _times(g, units["W"]), "dW": _times(a, g), "db": g}


def _times(a: float, b: float) -> float:
    return float("inf") if float("inf") in (a, b) else a * b


def _convolution(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """conv_forward: ``n u (conv(|A|, |W|) + |b|)``, the bias one of the n terms; conv_backward: dA_prev
    ``n u convT(|dZ|, |W|)``, dW ``n u corr(|A|, |dZ|)``, db ``(n - 1) u sum |dZ|``. A transposed
    convolution has the same sums with conv and convT exchanged.
    """
    squares = kind_of(case) == "statistical"
    found = sums.ingredients(case, arrays, case.operation.arrays, squares)
    steps = _steps(case, arrays, arrays.get("dZ"))
    return _summed(
        case, expected, found, sums.PRODUCTS, steps, lambda: terms.convolution(case, arrays), arithmetic
    )


def _single_step(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """``n u (sum |a| |W| + |b|)``, one window of conv_forward."""
    squares = kind_of(case) == "statistical"
    found = sums.ingredients(case, arrays, case.operation.arrays, squares)
    products = np.asarray(arrays["a_slice_prev"], np.float64) * arrays["W"]
    return _summed(
        case, expected, found, sums.PRODUCTS, _steps(case, arrays, None),
        lambda: {"Z": (products.reshape(-1), np.zeros(products.size, np.int64))}, arithmetic,
    )  # fmt: skip


def _affine(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """affine_forward: ``n u (|A| |W| + |b|)``; affine_backward: dA_prev ``n u |dZ| |W|^T``, dW
    ``n u |A|^T |dZ|``, db ``(n - 1) u sum |dZ|``.
    """
    squares = kind_of(case) == "statistical"
    found = sums.ingredients(case, arrays, case.operation.arrays, squares)
    upstream = arrays.get("dZ")
    return _summed(
        case, expected, found, sums.PRODUCTS, _steps(case, arrays, upstream),
        lambda: terms.affine(case, arrays, upstream), arithmetic,
    )  # fmt: skip


def _affine_activation_forward(
    case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic
) -> Bounds:
    """NULL: the bound of Z; relu: the same, because it moves no two numbers further apart; sigmoid:
    `affine_activation.sigmoid_of`.
    """
    squares = kind_of(case) == "statistical"
    Z, term = composed.forward(case, arrays, squares)
    if case.word("activation") != "sigmoid":
        return _summed(
            case, expected, {"A": term}, sums.PRODUCTS, _steps(case, arrays, None),
            lambda: {"A": picked["Z"]} if (picked := terms.affine(case, arrays, None)) else {}, arithmetic,
        )  # fmt: skip
    delta = sums.limit(case, term, sums.PRODUCTS, arithmetic)
    limit = composed.sigmoid_of(case, Z, delta) + 3 * arithmetic.roundoff
    limit = storage.stored(case, "A", limit, expected["A"])
    slope = expected["A"] * (1 - expected["A"])
    picked = terms.affine(case, arrays, None)
    share = None
    if picked:
        products, places = picked["Z"]
        moved = products * slope.reshape(-1)[places]
        share = terms.seen(moved, limit, expected["A"], case.numpy_dtype, places)
    return {"A": Bound("bound", limit, None, share)}


def _affine_activation_backward(
    case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic
) -> Bounds:
    """The bounds of affine_backward for the true dZ, plus what the error of dZ itself moves."""
    squares = kind_of(case) == "statistical"
    Z, term = composed.forward(case, arrays, False)
    delta = sums.limit(case, term, sums.PRODUCTS, arithmetic)
    if kind_of(case) == "exact" and sums.exact(case, term, _steps(case, arrays, None)["Z"], Z):
        delta = np.zeros_like(delta)
    error = composed.upstream_error(case, arrays, Z, delta)
    dZ = composed.true_upstream(case, arrays["dA"], Z)
    plain = composed.affine_case(case, "affine_backward")
    data = {"A_prev": arrays["A_prev"], "W": arrays["W"], "b": arrays["b"], "dZ": dZ}
    found = sums.ingredients(plain, data, plain.operation.arrays, squares)
    return _summed(
        case, expected, found, sums.PRODUCTS, _steps(case, arrays, dZ),
        lambda: terms.affine(case, arrays, dZ), arithmetic,
        composed.propagated(case, arrays, error, arithmetic),
    )  # fmt: skip


def _pool_forward(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """Average: ``(n + 1) u sum |x| / D``: n - 1 additions, then a division by D or the product with its
    rounded reciprocal. The maximum is one of its arguments, so it is in the equal tier.
    """
    found = _average(case, arrays, "A_prev")
    return _pooled(case, arrays, expected, found["A"], "A", "A_prev", arithmetic)


def _pool_backward(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """Average: ``(n + 1) u sum |dA| / D`` over the n windows that hold the element; max: ``(n - 1) u
    sum |dA|`` over the n windows that chose it.
    """
    found = _average(case, arrays, "dA")
    return _pooled(case, arrays, expected, found["dA_prev"], "dA_prev", "dA", arithmetic)


def _global_average(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """``(n + 1) u sum |x| / D``, as an average over one window."""
    pixels = case["h"] * case["w"]
    found = sums.ingredients(case, arrays, ("A_prev",), kind_of(case) == "statistical")
    whole = {name: sums.divided(term, np.asarray(float(pixels))) for name, term in found.items()}
    step = sums.unit(arrays["A_prev"]) / pixels if kind_of(case) == "exact" else 0.0
    return _summed(
        case, expected, whole, sums.MEAN, {"A": step},
        lambda: terms.pixels(case, arrays), arithmetic,
    )  # fmt: skip


def _average(case: Case, arrays: Arrays, summed: str) -> dict[str, Terms]:
    squares = kind_of(case) == "statistical"
    if case.word("mode") == "max":
        return sums.ingredients(case, arrays, (summed,), squares)
    divisor = divisors(case)[..., None].astype(np.float64)
    if summed == "dA":
        return sums.ingredients(case, arrays, (summed,), squares, divisor)
    found = sums.ingredients(case, arrays, (summed,), squares)
    return {name: sums.divided(term, divisor) for name, term in found.items()}


def _pooled(
    case: Case, arrays: Arrays, expected: Outputs, term: Terms, name: str, summed: str, arithmetic: Arithmetic
) -> Bounds:
    average = case.word("mode") == "average"
    # A quotient by anything but a power of two is rounded: `kind_of` calls no such case exact.
    largest = max(divisors_of(case), default=1) if average else 1
    steps = {name: sums.unit(arrays[summed]) / largest if kind_of(case) == "exact" else 0.0}
    extent = (arrays["dA"] if name == "dA_prev" else expected["A"]).shape[1:3]
    return _summed(
        case, expected, {name: term}, sums.MEAN if average else sums.ADDITIONS, steps,
        lambda: terms.pooling(case, arrays, *extent), arithmetic,
    )  # fmt: skip


_RULES: dict[str, Callable[[Case, Arrays, Outputs, Arithmetic], Bounds]] = {
    "conv_single_step": _single_step,
    "conv_forward": _convolution,
    "conv_backward": _convolution,
    "conv_transpose_forward": _convolution,
    "conv_transpose_backward": _convolution,
    "affine_forward": _affine,
    "affine_backward": _affine,
    "affine_activation_forward": _affine_activation_forward,
    "affine_activation_backward": _affine_activation_backward,
    "pool_forward": _pool_forward,
    "pool_backward": _pool_backward,
    "global_average_pool_forward": _global_average,
    **single.RULES,
}
