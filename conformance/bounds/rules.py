"""The rules that the entries of the operations choose from: how far from the right answer each output may be.

A rule is a function ``(case, arrays, expected, arithmetic)`` to the `Bound` of each output. The first ones
are of sums of products, those below of functions; `function` and `several` make rules of a limit. What has no
rule chooses, moves or copies: it must be `equal`. `functions`, `units`, `rational`, `exponential`,
`norm`, `row_norm` and `losses` are there for the entries, which are handed this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import affine_activation as composed
from conformance.bounds import element_loss as _elements
from conformance.bounds import exponential as exponential
from conformance.bounds import functions, losses, means, storage, sums, terms
from conformance.bounds import norm as norm
from conformance.bounds import rational as rational
from conformance.bounds import row_norm as row_norm
from conformance.bounds import units as units
from conformance.bounds.arithmetic import FORMATS, Arithmetic, Bound, Format, Limit, Tails
from conformance.bounds.rows import Softmax
from conformance.bounds.sums import Terms
from conformance.bounds.terms import Picked
from conformance.bounds.tier import kind_of
from conformance.cases.case import Case
from conformance.cases.window import divisors, divisors_of
from conformance.operations.element_loss import count

Arrays = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, Limit]
Bounds = dict[str, Bound]
Rule = Callable[[Case, Arrays, Outputs, Arithmetic], Bounds]

_ZERO = np.zeros(())


def equal(expected: Limit) -> Bound:
    """Choosing, moving and copying round nothing."""
    return Bound("equal", _ZERO, None, 1.0 if expected.size else None)


def _kind(case: Case, arithmetic: Arithmetic) -> str:
    """The tier that judges a case in that arithmetic: roundings that something steers are not random."""
    kind = kind_of(case)
    steered = not arithmetic.ieee or arithmetic.by_value
    return "bound" if kind == "statistical" and steered else kind


def _summed(
    case: Case,
    expected: Outputs,
    found: Mapping[str, Terms],
    roundings: int,
    steps: Mapping[str, float],
    picked: Callable[[], Picked],
    arithmetic: Arithmetic,
    extra: Mapping[str, tuple[Limit, Limit]] | None = None,
) -> Bounds:
    """Bounds of outputs that are sums: exact where the data allow it, (1) of `sums` elsewhere.

    `extra` is what is added to the bound of an output, and to its statistical limit.
    """
    kind = _kind(case, arithmetic)
    made: Bounds = {}
    drawn: Picked | None = None
    for name, term in found.items():
        (added, at_random), right = (sums.NONE, sums.NONE) if extra is None else extra[name], expected[name]
        unrounded = kind == "exact" and arithmetic.ieee and not added.any()
        if unrounded and sums.exact(case, term, steps[name], right):
            bound = Bound("exact", _ZERO, None, 1.0 if term.S.any() else None)
            made[name] = storage.exact(case, name, bound, right)
            continue
        # db is a plain sum.
        each = sums.ADDITIONS if name == "db" else roundings
        limit = storage.stored(case, name, sums.limit(case, term, each, arithmetic, added), right)
        random = sums.statistical(case, term, at_random) if kind == "statistical" else None
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


def convolution(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """conv_forward: ``n u (conv(|A|, |W|) + |b|)``, the bias one of the n terms; conv_backward: dA_prev
    ``n u convT(|dZ|, |W|)``, dW ``n u corr(|A|, |dZ|)``, db ``(n - 1) u sum |dZ|``. A transposed
    convolution has the same sums with conv and convT exchanged.
    """
    squares = kind_of(case) == "statistical"
    given = sums.coarse(arrays, arithmetic)
    found = sums.ingredients(case, given, case.operation.arrays, squares)
    steps = _steps(case, arrays, arrays.get("dZ"))
    return _summed(
        case, expected, found, sums.PRODUCTS, steps, lambda: terms.convolution(case, arrays), arithmetic
    )


def single_step(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """``n u (sum |a| |W| + |b|)``, one window of conv_forward."""
    squares = kind_of(case) == "statistical"
    given = sums.coarse(arrays, arithmetic)
    found = sums.ingredients(case, given, case.operation.arrays, squares)
    products = np.asarray(arrays["a_slice_prev"], np.float64) * arrays["W"]
    return _summed(
        case, expected, found, sums.PRODUCTS, _steps(case, arrays, None),
        lambda: {"Z": (products.reshape(-1), np.zeros(products.size, np.int64))}, arithmetic,
    )  # fmt: skip


def affine(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """affine_forward: ``n u (|A| |W| + |b|)``; affine_backward: dA_prev ``n u |dZ| |W|^T``, dW
    ``n u |A|^T |dZ|``, db ``(n - 1) u sum |dZ|``.
    """
    squares = kind_of(case) == "statistical"
    given = sums.coarse(arrays, arithmetic)
    found = sums.ingredients(case, given, case.operation.arrays, squares)
    upstream = arrays.get("dZ")
    return _summed(
        case, expected, found, sums.PRODUCTS, _steps(case, arrays, upstream),
        lambda: terms.affine(case, arrays, upstream), arithmetic,
    )  # fmt: skip


def _squashed_forward(
    case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic, accuracy: str
) -> Bounds:
    """`affine_activation.sigmoid_of` with the bound of Z, and with its statistical limit."""
    Z, term = composed.forward(case, arrays, arithmetic, _kind(case, arithmetic) == "statistical")
    deltas = [sums.limit(case, term, sums.PRODUCTS, arithmetic), sums.statistical(case, term)]
    limit, random = (
        None if delta is None else storage.stored(
            case, "A", composed.sigmoid_of(case, Z, delta, accuracy) + 3 * arithmetic.roundoff, expected["A"]
        )
        for delta in deltas
    )  # fmt: skip
    assert limit is not None
    visible = limit if random is None else np.minimum(limit, random)
    slope = expected["A"] * (1 - expected["A"])
    picked = terms.affine(case, arrays, None)
    share = None
    if picked:
        products, places = picked["Z"]
        moved = products * slope.reshape(-1)[places]
        share = terms.seen(moved, visible, expected["A"], case.numpy_dtype, places)
    return {"A": Bound("bound" if random is None else "statistical", limit, random, share)}


def _activated_forward(accuracy: str) -> Rule:
    """NULL: the bound of Z; relu: the same, because it moves no two numbers further apart; sigmoid:
    `affine_activation.sigmoid_of`.
    """

    def made(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
        if case.word("activation") == "sigmoid":
            return _squashed_forward(case, arrays, expected, arithmetic, accuracy)
        _, term = composed.forward(case, arrays, arithmetic, kind_of(case) == "statistical")
        return _summed(
            case, expected, {"A": term}, sums.PRODUCTS, _steps(case, arrays, None),
            lambda: {"A": picked["Z"]} if (picked := terms.affine(case, arrays, None)) else {}, arithmetic,
        )  # fmt: skip

    return made


def _activated_backward(accuracy: str) -> Rule:
    """The bounds of affine_backward for the true dZ, plus what the error of dZ itself moves."""

    def made(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
        squares = _kind(case, arithmetic) == "statistical"
        Z, term = composed.forward(case, arrays, arithmetic, squares)
        delta = sums.limit(case, term, sums.PRODUCTS, arithmetic)
        if kind_of(case) == "exact" and sums.exact(case, term, _steps(case, arrays, None)["Z"], Z):
            delta = np.zeros_like(delta)
        error = composed.upstream_error(case, arrays, Z, delta, accuracy)
        moved = at_random = composed.propagated(case, arrays, error, arithmetic)
        random = sums.statistical(case, term)
        if random is not None:
            error = composed.upstream_error(case, arrays, Z, random, accuracy)
            at_random = composed.propagated(case, arrays, error, arithmetic)
        dZ = composed.true_upstream(case, arrays["dA"], Z)
        plain = composed.affine_case(case, "affine_backward")
        data = {"A_prev": arrays["A_prev"], "W": arrays["W"], "b": arrays["b"], "dZ": dZ}
        found = sums.ingredients(plain, sums.coarse(data, arithmetic), plain.operation.arrays, squares)
        return _summed(
            case, expected, found, sums.PRODUCTS, _steps(case, arrays, dZ),
            lambda: terms.affine(case, arrays, dZ), arithmetic,
            {name: (moved[name], at_random[name]) for name in moved},
        )  # fmt: skip

    return made


def pool_forward(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """Average: ``(n + 1) u sum |x| / D``: n - 1 additions, then a division by D or the product with its
    rounded reciprocal. The maximum is one of its arguments, so it is in the equal tier.
    """
    if case.word("mode") == "max":
        return {name: equal(value) for name, value in expected.items()}
    found = _average(case, arrays, "A_prev")
    return _pooled(case, arrays, expected, found["A"], "A", "A_prev", arithmetic)


def pool_backward(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """Average: ``(n + 1) u sum |dA| / D`` over the n windows that hold the element; max: ``(n - 1) u
    sum |dA|`` over the n windows that chose it.
    """
    found = _average(case, arrays, "dA")
    return _pooled(case, arrays, expected, found["dA_prev"], "dA_prev", "dA", arithmetic)


def global_average(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """``(n + 1) u sum |x| / D``, as an average over one window."""
    pixels = case["h"] * case["w"]
    found = sums.ingredients(case, arrays, ("A_prev",), kind_of(case) == "statistical")
    whole = {name: sums.divided(term, np.asarray(float(pixels))) for name, term in found.items()}
    step = sums.unit(arrays["A_prev"]) / pixels if kind_of(case) == "exact" else 0.0
    if arithmetic.mean == "running-mean":
        whole, arithmetic = {"A": means.running(whole["A"])}, replace(arithmetic, inexact=True)
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
    if average and arithmetic.mean:
        term, arithmetic = _mean(case, arrays[summed], term, arithmetic), replace(arithmetic, inexact=True)
    # A quotient by anything but a power of two is rounded: `kind_of` calls no such case exact.
    largest = max(divisors_of(case), default=1) if average else 1
    steps = {name: sums.unit(arrays[summed]) / largest if kind_of(case) == "exact" else 0.0}
    extent = (arrays["dA"] if name == "dA_prev" else expected["A"]).shape[1:3]
    return _summed(
        case, expected, {name: term}, sums.MEAN if average else sums.ADDITIONS, steps,
        lambda: terms.pooling(case, arrays, *extent), arithmetic,
    )  # fmt: skip


def _mean(case: Case, x: NDArray[Any], term: Terms, arithmetic: Arithmetic) -> Terms:
    """The terms of averages over windows in a way that is declared."""
    if arithmetic.mean == "running-mean":
        return means.running(term)
    return means.integral(case, term, x, divisors(case)[..., None].astype(np.float64))


def function(limit: Callable[[Format, Case, Arrays, Outputs], Limit]) -> Rule:
    """A rule for an operation of one output, to whose limit the oracle's is added (`functions.both`)."""
    return stated(lambda case, a, y: functions.both(case, lambda form: limit(form, case, a, y)))


def by_accuracy(rule: Callable[[str], Rule]) -> Rule:
    """A rule for an operation whose tails are held to one of several accuracies, from that under each.

    The limits are those of the accuracy that the implementation declares, else of the operation's first.
    """

    def made(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
        words = case.operation.accuracies
        declared = arithmetic.accuracy(case.op)
        held = declared or words[0]

        def under(name: str) -> Callable[[str], Bound]:
            def limit(word: str) -> Bound:
                with np.errstate(all="ignore"):  # as in `table.bounds`, where this is asked for later
                    return rule(word)(case, arrays, expected, arithmetic)[name]

            return limit

        found = rule(held)(case, arrays, expected, arithmetic)
        return {
            name: replace(bound, tails=Tails(held, bool(declared), words, under(name)))
            for name, bound in found.items()
        }

    return made


def tailed(limit: Callable[[Format, Case, Arrays, str], Limit]) -> Rule:
    """`function` where tails are held to one of several accuracies: `limit` is handed its name."""
    return by_accuracy(lambda word: function(lambda form, case, a, y: limit(form, case, a, word)))


def stated(
    rule: Callable[[Case, Arrays, Outputs], Limit], term: Callable[[Case, Arrays], Limit] | None = None
) -> Rule:
    """A rule for an operation of one output, its limit as it stands."""

    def made(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
        ((name, value),) = expected.items()
        limit = rule(case, arrays, expected)
        if arithmetic.roundoff:
            limit = _coarser(case, limit, arithmetic)
        limit = storage.stored(case, name, limit, value)
        share = terms.seen(value if term is None else term(case, arrays), limit, value, case.numpy_dtype)
        return {name: Bound("bound", limit, None, share)}

    return made


def _coarser(case: Case, limit: Limit, arithmetic: Arithmetic) -> Limit:
    """For a declared precision every rounding is to that: all of the limit grows alike."""
    return limit * max(1.0, arithmetic.roundoff / FORMATS[case.dtype].u)


def normalized(rule: Callable[[Format, Case, Arrays, float], dict[str, Limit]]) -> Rule:
    """A rule for several outputs, handed how many deviations random roundings may take, or 0."""

    def made(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
        form = FORMATS[case.dtype]
        factor = functions.oracles_too(form)
        ours = rule(form, case, arrays, 0.0)
        by_chance = rule(form, case, arrays, sums.LAMBDA) if _kind(case, arithmetic) == "statistical" else {}
        found = {}
        for name, value in expected.items():
            limit, random = ours[name] * factor, by_chance.get(name)
            if arithmetic.roundoff:
                limit = _coarser(case, limit, arithmetic)
            limit = visible = storage.stored(case, name, limit, value)
            if random is not None:
                random = storage.stored(case, name, random * factor, value)
                visible = np.minimum(limit, random)
            tier = "bound" if random is None else "statistical"
            tier = tier if limit.any() or not value.size else "equal"
            share = terms.seen(value, visible, value, case.numpy_dtype)
            found[name] = Bound(tier, limit, None if tier == "equal" else random, share)
        return found

    return made


def loss(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """The loss, whose terms are those of its bound."""
    found = losses.terms(case, arrays["AL"], arrays["Y"])
    rule = stated(
        lambda c, a, e: functions.both(c, lambda f: losses.cross_entropy(f, c, found)), lambda c, a: found
    )
    return rule(case, arrays, expected, arithmetic)


def element_loss(name: str) -> Rule:
    """The rule of a loss of each element and its target, and of its gradient (`bounds.element_loss`)."""

    def found(case: Case, a: Arrays, y: Outputs) -> Limit:
        return functions.both(case, lambda form: _elements.limit(form, case, name, a["X"], a["T"]))

    def of_mean(case: Case, a: Arrays) -> Limit:
        ((value),) = _elements.terms(FORMATS[case.dtype], case, name, a["X"], a["T"])[:1]
        return np.asarray(value / max(count(case), 1))

    return stated(found, of_mean)


def _combined(accuracy: str) -> Rule:
    """The gradient of the loss of logits, in two calls."""

    def limit(case: Case, arrays: Arrays, expected: Outputs) -> Limit:
        X, Y = arrays["X"], arrays["Y"]
        found = functions.both(case, lambda f: losses.softmax_cross_entropy_backward(f, case, X, Y, accuracy))
        stored = storage.rounded(case, "dX") and found.size
        return found + _probabilities(case, X, accuracy) if stored else found

    return stated(limit)


def _fused(accuracy: str) -> Rule:
    """The loss of logits, whose terms are those of its bound; in half its logarithms may be stored."""

    def limit(case: Case, arrays: Arrays, expected: Outputs) -> Limit:
        X, Y = arrays["X"], arrays["Y"]
        found = functions.both(case, lambda f: losses.softmax_cross_entropy(f, case, X, Y, accuracy))
        t, logarithms, _ = losses.logits_terms(case, X, Y)
        kept = np.where(t != 0, logarithms, 0.0)
        stored = t * storage.stored(case, "loss", np.zeros_like(kept), kept)
        return np.asarray(found + np.where(t != 0, stored, 0.0).sum() / _rows(case))

    return stated(limit, _of_logits)


def _of_logits(case: Case, arrays: Arrays) -> Limit:
    """The terms of the loss of logits, those of a target of 0 left out."""
    t, logarithms, _ = losses.logits_terms(case, arrays["X"], arrays["Y"])
    return np.asarray((t * logarithms)[t != 0] / _rows(case))


def _probabilities(case: Case, X: NDArray[Any], accuracy: str) -> Limit:
    """What storing the softmax's output in half between the calls adds: half its spacing, divided by m."""
    found = Softmax(FORMATS[case.dtype], X, accuracy == "absolute")
    return storage.spacing(found.y * (1 + found.e), case.numpy_dtype) / 2 / _rows(case)


def _rows(case: Case) -> int:
    """The rows that count, at least: with ignored labels one."""
    return 1 if case.beyond else max(case["m"], 1)


softmax_cross_entropy: Rule = by_accuracy(_fused)
softmax_cross_entropy_backward: Rule = by_accuracy(_combined)
affine_activation_forward: Rule = by_accuracy(_activated_forward)
affine_activation_backward: Rule = by_accuracy(_activated_backward)
