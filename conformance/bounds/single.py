"""Which bound of `functions`, `units` and `norm` goes with which operation: those that are no plain sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import functions, losses, norm, storage, terms, units
from conformance.bounds.arithmetic import FORMATS, Arithmetic, Bound, Format, Limit
from conformance.bounds.rows import Softmax
from conformance.cases.case import Case

Arrays = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, Limit]
Bounds = dict[str, Bound]
Rule = Callable[[Case, Arrays, Outputs, Arithmetic], Bounds]


def _function(
    rule: Callable[[Case, Arrays, Outputs], Limit], term: Callable[[Case, Arrays], Limit] | None = None
) -> Rule:
    """A rule for an operation of one output."""

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


def _several(rule: Callable[[Format, Case, Arrays], dict[str, Limit]]) -> Rule:
    """A rule for an operation of several outputs."""

    def made(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
        form = FORMATS[case.dtype]
        ours, factor = rule(form, case, arrays), functions.oracles_too(form)
        found = {}
        for name, value in expected.items():
            limit = ours[name] * factor
            if arithmetic.roundoff:
                limit = _coarser(case, limit, arithmetic)
            limit = storage.stored(case, name, limit, value)
            tier = "bound" if limit.any() or not value.size else "equal"
            found[name] = Bound(tier, limit, None, terms.seen(value, limit, value, case.numpy_dtype))
        return found

    return made


def _loss(case: Case, arrays: Arrays, expected: Outputs, arithmetic: Arithmetic) -> Bounds:
    """The loss, whose terms are those of its bound."""
    found = losses.terms(case, arrays["AL"], arrays["Y"])
    rule = _function(
        lambda c, a, e: _both(c, lambda f: losses.cross_entropy(f, c, found)), lambda c, a: found
    )
    return rule(case, arrays, expected, arithmetic)


def _combined(case: Case, arrays: Arrays, expected: Outputs) -> Limit:
    """softmax_cross_entropy_backward, in two calls."""
    X, Y = arrays["X"], arrays["Y"]
    limit = _both(case, lambda f: losses.softmax_cross_entropy_backward(f, case, X, Y))
    return limit + _probabilities(case, X) if storage.rounded(case, "dX") and limit.size else limit


def _probabilities(case: Case, X: NDArray[Any]) -> Limit:
    """What storing the softmax's output in half between the calls adds: half its spacing, divided by m."""
    found = Softmax(FORMATS[case.dtype], X)
    return storage.stored(case, "dX", np.zeros_like(found.y), found.y * (1 + found.e)) / _rows(case)


def _rows(case: Case) -> int:
    """The rows that count, at least: with ignored labels one."""
    return 1 if case.beyond else max(case["m"], 1)


def _form(case: Case) -> str:
    return case.word("approximate")


_both = functions.both

RULES: dict[str, Rule] = {
    "distribute_value": _function(lambda c, a, e: functions.distribute(e["a"])),
    "sigmoid": _function(lambda c, a, e: _both(c, lambda f: functions.sigmoid(f, a["Z"]))),
    "sigmoid_backward": _function(
        lambda c, a, e: _both(c, lambda f: functions.sigmoid_backward(f, a["Z"], a["dA"]))
    ),
    "softmax": _function(lambda c, a, e: _both(c, lambda f: functions.softmax(f, a["X"]))),
    "softmax_backward": _function(
        lambda c, a, e: _both(c, lambda f: functions.softmax_backward(f, a["X"], a["dprobs"]))
    ),
    "softmax_cross_entropy_backward": _function(_combined),
    "cross_entropy_cost": _loss,
    "cross_entropy_backward": _function(
        lambda c, a, e: _both(c, lambda f: losses.cross_entropy_backward(f, c, a["AL"], a["Y"]))
    ),
    "tanh": _function(lambda c, a, e: _both(c, lambda f: units.tanh(f, a["Z"]))),
    "tanh_backward": _function(lambda c, a, e: _both(c, lambda f: units.tanh_backward(f, a["Z"], a["dA"]))),
    "silu": _function(lambda c, a, e: _both(c, lambda f: units.silu(f, a["Z"]))),
    "silu_backward": _function(lambda c, a, e: _both(c, lambda f: units.silu_backward(f, a["Z"], a["dA"]))),
    "gelu": _function(lambda c, a, e: _both(c, lambda f: units.gelu(f, a["Z"], _form(c)))),
    "gelu_backward": _function(
        lambda c, a, e: _both(c, lambda f: units.gelu_backward(f, a["Z"], a["dA"], _form(c)))
    ),
    "leaky_relu": _function(lambda c, a, e: _both(c, lambda f: units.leaky_relu(f, e["A"]))),
    "leaky_relu_backward": _function(
        lambda c, a, e: _both(c, lambda f: units.leaky_relu_backward(f, e["dZ"]))
    ),
    "log_softmax": _function(lambda c, a, e: _both(c, lambda f: units.log_softmax(f, a["X"]))),
    "log_softmax_backward": _function(
        lambda c, a, e: _both(c, lambda f: units.log_softmax_backward(f, a["X"], a["dlogp"]))
    ),
    "global_average_pool_backward": _function(
        lambda c, a, e: _both(c, lambda f: norm.shares(f, e["dA_prev"]))
    ),
    "batch_norm_forward": _several(norm.batch_norm_forward),
    "batch_norm_backward": _several(norm.batch_norm_backward),
}
