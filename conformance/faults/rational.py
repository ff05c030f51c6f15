"""Faults of ReLU6, hard tanh, hard sigmoid, hard swish and softsign."""

from __future__ import annotations

from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import data, instead, option
from conformance.operations.hardsigmoid import hardsigmoid
from conformance.operations.hardswish import hardswish_slope
from conformance.operations.hardtanh import ends
from conformance.operations.sigmoid import sigmoid
from conformance.operations.silu import silu_slope, times

_CLIP = {"relu6_backward": "dZ", "hardtanh_backward": "dZ"}
_swish = partial(option, targets={"hardswish_backward": "dZ"})
_softsign = partial(option, targets={"softsign_backward": "dZ"})

option(
    "clip-gradient-at-ends",
    "What lies on an end, or on one of them, lets the gradient through, as torch.clamp does on both.",
    _CLIP,
    variants=tuple({"closed": ends} for ends in ((True, True), (False, True), (True, False))),
)
option(
    "clip-gradient-not-cut",
    "One of the ends, or both, are forgotten in the gradient.",
    _CLIP,
    of=lambda case, a, low, high: {
        "between": (-np.inf if low else ends(case)[0], np.inf if high else ends(case)[1])
    },
    variants=({"low": False, "high": True}, {"low": True, "high": False}, {"low": True, "high": True}),
)
option("relu6-without-end", "relu is computed: there is no end above.", {"relu6": "A"}, between=(0.0, np.inf))
option(
    "hardtanh-ends-ignored",
    "It is cut off at -1 and 1, whatever min_val and max_val say.",
    {"hardtanh": "A", "hardtanh_backward": "dZ"},
    between=(-1.0, 1.0),
)
instead("hardtanh-is-tanh", "tanh is computed.", {"hardtanh": "A"}, lambda case, a: np.tanh(a["Z"]))


@slip("relu6-by-difference", "relu(Z) - relu(Z-6): the 6 is lost in a large Z.", {"relu6": "A"})
def _relu6_by_difference(case: Case, a: Arrays, base: Base) -> Outputs:
    z = a["Z"].astype(case.working_dtype)
    return {"A": (np.maximum(z, 0) - np.maximum(z - 6, 0)).astype(np.float64)}


@slip(
    "hardsigmoid-other-slope",
    "Another hard sigmoid: Z/5 + 1/2 (Keras 2, ONNX's default), (Z+1)/2, or 1/6 to four digits.",
    {"hardsigmoid": "A", "hardsigmoid_backward": "dZ"},
    variants=({"by": 0.2}, {"by": 0.5}, {"by": 0.1668}, {"by": 0.1667}),
)
def _hardsigmoid_other_slope(case: Case, a: Arrays, base: Base, by: float) -> Outputs:
    line = a["Z"] * by + 0.5
    if not case.operation.upstream:
        return {"A": np.clip(line, 0, 1)}
    return base(case, a, slope=lambda z: np.where((line > 0) & (line < 1), by, 0.0))


option("hardsigmoid-gradient-not-cut", "The slope is 1/6 beyond -3 and 3 too.",
       {"hardsigmoid_backward": "dZ"}, slope=lambda z: np.full(z.shape, 1 / 6))  # fmt: skip
option("hardsigmoid-gradient-of-sigmoid", "The derivative of the sigmoid is taken.",
       {"hardsigmoid_backward": "dZ"}, slope=lambda z: sigmoid(z) * sigmoid(-z))  # fmt: skip
instead(
    "hardsigmoid-is-sigmoid",
    "The sigmoid is computed.",
    {"hardsigmoid": "A"},
    lambda case, a: sigmoid(a["Z"]),
)


def _at_ends(z: Array, low: bool, high: bool) -> Array:
    at = (z == -3) & low | (z == 3) & high
    return np.where(at, z / 3 + 0.5, hardswish_slope(z))


_swish(
    "hardswish-gradient-at-ends",
    "Z/3 + 1/2 holds at -3, at 3 or at both: -1/2 and 3/2 instead of 0 and 1.",
    of=lambda case, a, low, high: {"slope": lambda z: _at_ends(z, low, high)},
    variants=({"low": True, "high": True}, {"low": True, "high": False}, {"low": False, "high": True}),
)
_swish("hardswish-third-rounded", "1/3 has four digits: 0.3333.", slope=lambda z: np.where(
    np.abs(z) < 3, z * 0.3333 + 0.5, hardswish_slope(z)))  # fmt: skip
_swish("hardswish-gate-for-constant", "The derivative of the gate is left out.", slope=hardsigmoid)
_swish("hardswish-gradient-of-silu", "The derivative of silu is taken.", slope=silu_slope)
instead(
    "hardswish-is-silu",
    "silu is computed.",
    {"hardswish": "A"},
    lambda case, a: times(a["Z"], sigmoid(a["Z"])),
)
instead("hardswish-is-hardsigmoid", "The factor Z is forgotten.", {"hardswish": "A"},
        lambda case, a: hardsigmoid(a["Z"]))  # fmt: skip
instead("softsign-without-size", "The divisor is 1+Z instead of 1+|Z|.", {"softsign": "A"},
        lambda case, a: a["Z"] / (1 + a["Z"]))  # fmt: skip
instead("softsign-is-tanh", "tanh is computed.", {"softsign": "A"}, lambda case, a: np.tanh(a["Z"]))
_softsign(
    "softsign-derivative-not-squared", "The divisor is not squared.", slope=lambda z: 1 / (1 + np.abs(z))
)
_softsign("softsign-derivative-of-square", "The divisor is 1+Z*Z.", slope=lambda z: 1 / (1 + z * z))
data("softsign-derivative-at-activation", "The derivative is taken at softsign(Z).",
     {"softsign_backward": "dZ"}, lambda case, a: {"Z": a["Z"] / (1 + np.abs(a["Z"]))})  # fmt: skip
