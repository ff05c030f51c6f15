"""Faults of tanh, SiLU, GELU and leaky ReLU, and of the logarithm of softmax."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Arrays, Base, Outputs
from conformance.operations.gelu import distribution, gelu_slope
from conformance.operations.sigmoid import sigmoid
from conformance.operations.silu import silu_slope

_GELU = {"gelu": "A", "gelu_backward": "dZ"}
_LEAKY = {"leaky_relu": "A", "leaky_relu_backward": "dZ"}
_LOG = {"log_softmax": "logp", "log_softmax_backward": "dX"}


@slip("tanh-is-sigmoid", "The logistic function is computed instead of tanh.", {"tanh": "A"})
def _tanh_is_sigmoid(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"A": sigmoid(a["Z"])}


@slip("tanh-argument-doubled", "tanh(2 Z) or tanh(Z/2): the factor of the exponent is wrong.", {"tanh": "A"},
      variants=({"by": 2.0}, {"by": 0.5}))  # fmt: skip
def _tanh_argument_doubled(case: Case, a: Arrays, base: Base, by: float) -> Outputs:
    return base(case, {"Z": by * a["Z"]})


@slip(
    "tanh-derivative-of-z",
    "The derivative is computed as 1-Z*Z, as if the cache held the activation.",
    {"tanh_backward": "dZ"},
)
def _tanh_derivative_of_z(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, slope=lambda z: 1 - z * z)


@slip("tanh-derivative-not-squared", "dA is multiplied by 1-tanh(Z).", {"tanh_backward": "dZ"})
def _tanh_derivative_not_squared(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, slope=lambda z: 1 - np.tanh(z))


@slip("tanh-derivative-at-activation", "The derivative is taken at tanh(Z).", {"tanh_backward": "dZ"})
def _tanh_derivative_at_activation(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "Z": np.tanh(a["Z"])})


@slip("silu-is-gelu", "gelu is computed, or its derivative.", {"silu": "A", "silu_backward": "dZ"})
def _silu_is_gelu(case: Case, a: Arrays, base: Base) -> Outputs:
    if not case.operation.upstream:
        return {"A": a["Z"] * distribution(a["Z"])}
    return base(case, a, slope=lambda z: gelu_slope(z, "none"))


@slip("silu-is-sigmoid", "The factor Z is forgotten.", {"silu": "A"})
def _silu_is_sigmoid(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"A": sigmoid(a["Z"])}


@slip(
    "gate-taken-for-constant",
    "The derivative of the gate is left out: sigmoid(Z), or Phi(Z).",
    {"silu_backward": "dZ", "gelu_backward": "dZ"},
)
def _gate_taken_for_constant(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.get("approximate", "none") == "tanh":
        return {}
    return base(case, a, slope=distribution if "approximate" in case.operation.parameters else sigmoid)


@slip(
    "silu-derivative-of-sigmoid",
    "dA is multiplied by s*(1-s), the derivative of the sigmoid.",
    {"silu_backward": "dZ"},
)
def _silu_derivative_of_sigmoid(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, slope=lambda z: sigmoid(z) * sigmoid(-z))


@slip("gelu-forms-exchanged", "The tanh form is computed for the exact one, or the exact for it.", _GELU)
def _gelu_forms_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, form="none" if case.word("approximate") == "tanh" else "tanh")


@slip("gelu-by-sigmoid", "The approximation Z*sigmoid(1.702*Z) stands for gelu.", _GELU)
def _gelu_by_sigmoid(case: Case, a: Arrays, base: Base) -> Outputs:
    z = 1.702 * a["Z"]
    if not case.operation.upstream:
        return {"A": a["Z"] * sigmoid(z)}
    return {"dZ": a["dA"] * silu_slope(z)}


@slip("gelu-argument-not-scaled", "erf(Z) is taken instead of erf(Z/sqrt(2)).", {"gelu": "A"})
def _gelu_argument_not_scaled(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("approximate") == "tanh":
        return {}
    return {"A": a["Z"] * distribution(a["Z"] * np.sqrt(2.0))}


@slip("gelu-cube-missing", "The term in Z^3 is left out of the tanh form.", {"gelu": "A"})
def _gelu_cube_missing(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("approximate") != "tanh":
        return {}
    return {"A": a["Z"] * sigmoid(2 * np.sqrt(2 / np.pi) * a["Z"])}


@slip("gelu-half-missing", "The factor 1/2 is forgotten.", {"gelu_backward": "dZ"})
def _gelu_half_missing(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("approximate") == "tanh":
        return {}
    return base(case, a, slope=lambda z: gelu_slope(z, "none") + distribution(z))


@slip("leaky-is-relu", "A negative Z becomes 0, or lets no gradient through.", _LEAKY)
def _leaky_is_relu(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, leak=0.0)


@slip("leaky-slope-is-divisor", "A negative Z is divided by the slope.", _LEAKY)
def _leaky_slope_is_divisor(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, leak=1.0 / float(str(case.value("a"))))


@slip(
    "leaky-mask-from-gradient",
    "The mask is taken from dA > 0 instead of Z > 0.",
    {"leaky_relu_backward": "dZ"},
)
def _leaky_mask_from_gradient(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "Z": a["dA"]})


@slip("log-softmax-no-shift", "The row maximum is not subtracted, so large logits overflow.", _LOG)
def _log_softmax_no_shift(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, shift="none")


@slip("log-softmax-over-batch", "The sum runs down the columns, over the batch.", _LOG)
def _log_softmax_over_batch(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, axis=0)


@slip("log-softmax-without-logarithm", "The probabilities themselves are returned.", {"log_softmax": "logp"})
def _log_softmax_without_logarithm(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"logp": np.exp(base(case, a)["logp"])}


@slip(
    "log-softmax-of-rounded-probability",
    "log(softmax(X)): a probability that underflows gives -inf.",
    {"log_softmax": "logp"},
)
def _log_softmax_of_rounded_probability(case: Case, a: Arrays, base: Base) -> Outputs:
    p = np.exp(base(case, a)["logp"]).astype(case.numpy_dtype).astype(np.float64)
    return {"logp": np.log(p)}


@slip("log-softmax-other-logarithm", "The logarithm is to base 2.", {"log_softmax": "logp"})
def _log_softmax_other_logarithm(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"logp": base(case, a)["logp"] / np.log(2.0)}


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
