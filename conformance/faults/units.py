"""Faults of tanh, SiLU, GELU and leaky ReLU, and of the logarithm of softmax."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, instead, is_word, option
from conformance.operations.gelu import CUBE, distribution, gelu_slope
from conformance.operations.sigmoid import sigmoid
from conformance.operations.silu import silu_slope

_GELU = {"gelu": "A", "gelu_backward": "dZ"}
_LEAKY = {"leaky_relu": "A", "leaky_relu_backward": "dZ"}
_LOG = {"log_softmax": "logp", "log_softmax_backward": "dX"}
_exact = is_word("approximate", "none")
_tanh_slope = partial(option, targets={"tanh_backward": "dZ"})


def _rational(z: Array) -> Array:
    return np.asarray(z * (27 + z * z) / (27 + 9 * z * z))


instead("tanh-is-sigmoid", "The logistic function is computed instead of tanh.", {"tanh": "A"},
        lambda case, a: sigmoid(a["Z"]))  # fmt: skip
data("tanh-argument-doubled", "tanh(2 Z) or tanh(Z/2): the factor of the exponent is wrong.", {"tanh": "A"},
     lambda case, a, by: {"Z": by * a["Z"]}, variants=({"by": 2.0}, {"by": 0.5}))  # fmt: skip
instead(
    "tanh-by-rational-function",
    "The quotient Z*(27+Z*Z)/(27+9*Z*Z), 1 from 3 on, stands for tanh.",
    {"tanh": "A"},
    lambda case, a: _rational(np.clip(a["Z"], -3, 3)),
)
_tanh_slope(
    "tanh-derivative-of-z",
    "The derivative is computed as 1-Z*Z, as if the cache held the activation.",
    slope=lambda z: 1 - z * z,
)
_tanh_slope("tanh-derivative-not-squared", "dA is multiplied by 1-tanh(Z).", slope=lambda z: 1 - np.tanh(z))
data("tanh-derivative-at-activation", "The derivative is taken at tanh(Z).", {"tanh_backward": "dZ"},
     lambda case, a: {"Z": np.tanh(a["Z"])})  # fmt: skip


@slip("silu-is-gelu", "gelu is computed, or its derivative.", {"silu": "A", "silu_backward": "dZ"})
def _silu_is_gelu(case: Case, a: Arrays, base: Base) -> Outputs:
    if not case.operation.upstream:
        return {"A": a["Z"] * distribution(a["Z"])}
    return base(case, a, slope=lambda z: gelu_slope(z, "none"))


instead("silu-is-sigmoid", "The factor Z is forgotten.", {"silu": "A"},
        lambda case, a: sigmoid(a["Z"]))  # fmt: skip
option(
    "gate-taken-for-constant",
    "The derivative of the gate is left out: sigmoid(Z), or Phi(Z).",
    {"silu_backward": "dZ", "gelu_backward": "dZ"},
    _exact,
    of=lambda case, a: {"slope": distribution if "approximate" in case.operation.parameters else sigmoid},
)


def _gate_on_one_side(case: Case, a: Arrays, above: bool) -> dict[str, Callable[[Array], Array]]:
    gelu = "approximate" in case.operation.parameters
    gate: Callable[[Array], Array] = distribution if gelu else sigmoid
    slope: Callable[[Array], Array] = partial(gelu_slope, form="none") if gelu else silu_slope
    return {"slope": lambda z: np.where((z > 0) == above, gate(z), slope(z))}


option(
    "gate-taken-for-constant-on-one-side",
    "The derivative of the gate is left out where Z is above 0, or where it is not.",
    {"silu_backward": "dZ", "gelu_backward": "dZ"},
    _exact,
    of=_gate_on_one_side,
    variants=({"above": True}, {"above": False}),
)
option(
    "silu-derivative-of-sigmoid",
    "dA is multiplied by s*(1-s), the derivative of the sigmoid.",
    {"silu_backward": "dZ"},
    slope=lambda z: sigmoid(z) * sigmoid(-z),
)
option(
    "gelu-forms-exchanged",
    "The tanh form is computed for the exact one, or the exact for it.",
    _GELU,
    of=lambda case, a: {"form": "tanh" if _exact(case) else "none"},
)


@slip("gelu-by-sigmoid", "The approximation Z*sigmoid(1.702*Z) stands for gelu.", _GELU)
def _gelu_by_sigmoid(case: Case, a: Arrays, base: Base) -> Outputs:
    z = 1.702 * a["Z"]
    if not case.operation.upstream:
        return {"A": a["Z"] * sigmoid(z)}
    return {"dZ": a["dA"] * silu_slope(z)}


instead("gelu-argument-not-scaled", "erf(Z) is taken instead of erf(Z/sqrt(2)).", {"gelu": "A"},
        lambda case, a: a["Z"] * distribution(a["Z"] * np.sqrt(2.0)), _exact)  # fmt: skip
instead("gelu-cube-missing", "The term in Z^3 is left out of the tanh form.", {"gelu": "A"},
        lambda case, a: a["Z"] * sigmoid(2 * np.sqrt(2 / np.pi) * a["Z"]),
        is_word("approximate", "tanh"))  # fmt: skip
option(
    "gelu-coefficient-mistyped",
    "The coefficient of Z^3 in the tanh form is 0.44715 or 0.0044715 instead of 0.044715.",
    _GELU,
    is_word("approximate", "tanh"),
    variants=({"cube": 10 * CUBE}, {"cube": CUBE / 10}),
)
option("gelu-half-missing", "The factor 1/2 is forgotten.", {"gelu_backward": "dZ"}, _exact,
       slope=lambda z: gelu_slope(z, "none") + distribution(z))  # fmt: skip
option("leaky-is-relu", "A negative Z becomes 0, or lets no gradient through.", _LEAKY, leak=0.0)
option(
    "leaky-slope-is-divisor",
    "A negative Z is divided by the slope.",
    _LEAKY,
    of=lambda case, a: {"leak": 1.0 / float(str(case.value("a")))},
)


def _maximum_of_both(case: Case, a: Arrays) -> Array:
    slope = float(case.working_dtype.type(float(str(case.value("a")))))
    return np.maximum(a["Z"], slope * a["Z"])


instead(
    "leaky-is-maximum",
    "max(Z, slope*Z) is returned, which is another function where the slope is above 1.",
    {"leaky_relu": "A"},
    _maximum_of_both,
)
data(
    "leaky-mask-from-gradient",
    "The mask is taken from dA > 0 instead of Z > 0.",
    {"leaky_relu_backward": "dZ"},
    lambda case, a: {"Z": a["dA"]},
)
option("log-softmax-no-shift", "The row maximum is not subtracted, so large logits overflow.", _LOG,
       shift="none")  # fmt: skip
option("log-softmax-over-batch", "The sum runs down the columns, over the batch.", _LOG, axis=0)
after("log-softmax-without-logarithm", "The probabilities themselves are returned.", {"log_softmax": "logp"},
      lambda case, logp: np.exp(logp))  # fmt: skip
after(
    "log-softmax-of-rounded-probability",
    "log(softmax(X)): a probability that underflows gives -inf.",
    {"log_softmax": "logp"},
    lambda case, logp: np.log(np.exp(logp).astype(case.numpy_dtype).astype(np.float64)),
)
after("log-softmax-other-logarithm", "The logarithm is to base 2.", {"log_softmax": "logp"},
      lambda case, logp: logp / np.log(2.0))  # fmt: skip


@slip(
    "log-softmax-gradient-without-sum",
    "The upstream gradient is not summed: g-p, or g-p*g.",
    {"log_softmax_backward": "dX"},
    variants=({"weighted": False}, {"weighted": True}),
)
def _log_softmax_gradient_without_sum(case: Case, a: Arrays, base: Base, weighted: bool) -> Outputs:
    g = a["dlogp"]
    total = g.sum(1, keepdims=True)
    p = np.where(total != 0, (g - base(case, a)["dX"]) / total, 0)
    return {"dX": g - p * (g if weighted else 1.0)}


@slip(
    "log-softmax-gradient-of-softmax",
    "The gradient of softmax is returned.",
    {"log_softmax_backward": "dX"},
)
def _log_softmax_gradient_of_softmax(case: Case, a: Arrays, base: Base) -> Outputs:
    powers = np.exp(a["X"] - a["X"].max(1, keepdims=True, initial=-np.inf))
    p = powers / powers.sum(1, keepdims=True)
    return {"dX": p * (a["dlogp"] - (p * a["dlogp"]).sum(1, keepdims=True))}


def _absolute(case: Case, a: Arrays, output: str) -> Array:
    """1 - 2/(exp(2 z) + 1) and its like cancel: an absolute error of some units, relative to no result."""
    unit = float(finfo(case.working_dtype).eps) / 2
    upstream = np.abs(a["dA"]) if "dA" in a else 1.0
    return np.asarray(8 * unit * upstream * np.ones_like(a["Z"]))


@slip(
    "tanh-by-exponentials",
    "tanh is a quotient of exponentials: digits cancel near 0, and it is NaN where they overflow.",
    {"tanh": "A", "tanh_backward": "dZ"},
    variants=({"low": 1.0, "high": 1.0}, {"low": 2.0, "high": 0.0}, {"low": 0.0, "high": 2.0},
              {"low": 0.0, "high": 0.0}),
    own=_absolute,
)  # fmt: skip
def _tanh_by_exponentials(case: Case, a: Arrays, base: Base, low: float, high: float) -> Outputs:
    reach = float(np.log(finfo(case.working_dtype).max))
    beyond = (-low * a["Z"] > reach) | (high * a["Z"] > reach)
    t = np.tanh(a["Z"])
    unit = float(finfo(case.working_dtype).eps)
    near = np.where(np.isfinite(t), np.round((1 + t) / unit) * unit - 1, t)  # as a result near 1 is rounded
    value = base(case, a, slope=lambda z: 1 - near**2)["dZ"] if "dA" in a else near
    return {case.operation.outputs[0]: np.where(beyond, np.nan, value)}


@slip(
    "gelu-power-overflows",
    "Z*Z or Z*Z*Z overflows for large Z, and infinity times 0 is NaN.",
    {"gelu_backward": "dZ"},
    variants=({"power": 3}, {"power": 2}),
)
def _gelu_power_overflows(case: Case, a: Arrays, base: Base, power: int) -> Outputs:
    with np.errstate(over="ignore"):
        beyond = np.isinf((np.abs(a["Z"]) ** power).astype(case.working_dtype)) & np.isfinite(a["Z"])
    return {"dZ": np.where(beyond, np.nan, base(case, a)["dZ"])}


def _tail_is_zero(case: Case, got: Array, expected: Array) -> bool:
    """Whether some of what is no larger than a subnormal exponential makes it, and nothing else, is 0."""
    zero = (got == 0) & (expected != 0)
    return bool(
        zero.any() and (np.abs(expected[zero]) < 2.0**20 * float(finfo(case.working_dtype).tiny)).all()
    )


@slip(
    "silu-tail-flushed",
    "Where exp(Z), or Z itself, is subnormal, the result is 0.",
    {"silu": "A", "silu_backward": "dZ"},
    variants=({"inputs": False}, {"inputs": True}),
    signature=_tail_is_zero,
)
def _silu_tail_flushed(case: Case, a: Arrays, base: Base, inputs: bool) -> Outputs:
    tiny = float(finfo(case.working_dtype).tiny)
    z = np.where(np.abs(a["Z"]) < tiny, 0.0, a["Z"]) if inputs else a["Z"]
    below = (z < float(np.log(tiny))) & np.isfinite(z)
    return {name: np.where(below, 0.0, v) for name, v in base(case, {**a, "Z": z}).items()}


after(
    "small-values-are-zero",
    "Results below a small number (a tolerance) are returned as 0.",
    {"softmax": "probs", "sigmoid": "A", "silu": "A", "gelu": "A"},
    lambda case, value, below: np.where(np.abs(value) < below, 0.0, value),
    variants=tuple({"below": 10.0**-n} for n in (3, 4, 5, 6, 7, 8, 10, 12)),
)
