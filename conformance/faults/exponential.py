"""Faults of ELU, SELU, CELU, softplus and Mish."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, instead, option
from conformance.operations.elu import SCALE, SELU_ALPHA, Unit, other_unit, unit
from conformance.operations.mish import gate
from conformance.operations.sigmoid import sigmoid, slope
from conformance.operations.silu import silu_slope, times
from conformance.operations.softplus import softplus

_ALPHA = {"elu": "A", "elu_backward": "dZ", "celu": "A", "celu_backward": "dZ"}
_SELU = {"selu": "A", "selu_backward": "dZ"}
_SLOPES = {"elu_backward": "dZ", "selu_backward": "dZ", "celu_backward": "dZ"}
_SOFTPLUS = {"softplus": "A", "softplus_backward": "dZ"}


option(
    "elu-alpha-ignored",
    "Alpha is 1, whatever is given.",
    _ALPHA,
    of=lambda case, a: {"of": Unit(1.0, 1.0, 1.0)},
)
option("elu-is-celu", "Z is divided by alpha in elu, or is not in celu.", _ALPHA,
       of=lambda case, a: {"of": other_unit(case)})  # fmt: skip
option("selu-not-scaled", "The scale 1.0507 is left out, above 0, below it or both.", _SELU,
       of=lambda case, a, above, below: {"of": Unit(above, below, 1.0)},
       variants=({"above": 1.0, "below": SCALE * SELU_ALPHA}, {"above": SCALE, "below": SELU_ALPHA},
                 {"above": 1.0, "below": SELU_ALPHA}))  # fmt: skip
option("selu-constants-rounded", "The constants have five digits.", _SELU, of=lambda case, a: {
    "of": Unit(1.0507, 1.0507 * 1.67326, 1.0)})  # fmt: skip
after("elu-without-one", "1 is not subtracted from the exponential.", {"elu": "A", "selu": "A", "celu": "A"},
      lambda case, value: np.where(value < 0, value + unit(case).factor, value))  # fmt: skip


@slip(
    "elu-gradient-of-right-at-zero",
    "At 0 the slope is that to the right.",
    {"elu_backward": "dZ", "selu_backward": "dZ"},
)
def _right_at_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dZ": np.where(a["Z"] == 0, unit(case).above * a["dA"], base(case, a)["dZ"])}


option(
    "elu-derivative-by-activation",
    "Below 0 the slope is the activation itself.",
    _SLOPES,
    of=lambda case, a: {"slope": lambda z: np.where(z > 0, unit(case).above, unit(case).value(z))},
)
data("elu-derivative-at-activation", "The derivative is taken at the activation.", _SLOPES,
     lambda case, a: {"Z": unit(case).value(a["Z"])})  # fmt: skip
option("softplus-beta-ignored", "Beta is 1, whatever is given.", _SOFTPLUS, beta=1.0)
option("softplus-threshold-ignored", "The smooth formula is taken above the threshold too.",
       {"softplus": "A"}, threshold=False)  # fmt: skip


@slip(
    "softplus-not-divided", "The division by beta is forgotten, or multiplied by beta once more.", _SOFTPLUS
)
def _not_divided(case: Case, a: Arrays, base: Base) -> Outputs:
    beta = float(str(case.value("beta")))
    right = base(case, a)
    above = beta * a["Z"] > float(str(case.value("thr")))
    return {name: np.where(above, value, beta * value) for name, value in right.items()}


option(
    "softplus-derivative-of-sigmoid", "dA is multiplied by s*(1-s).", {"softplus_backward": "dZ"}, slope=slope
)


@slip(
    "softplus-overflows",
    "exp(beta Z) overflows without a threshold: infinity, and NaN in the gradient.",
    _SOFTPLUS,
)
def _overflows(case: Case, a: Arrays, base: Base) -> Outputs:
    reach = float(np.log(finfo(case.working_dtype).max))
    far = float(str(case.value("beta"))) * a["Z"] > reach
    wrong = np.nan if case.operation.upstream else np.inf
    return {name: np.where(far, wrong, value) for name, value in base(case, a).items()}


instead("mish-is-silu", "silu is computed.", {"mish": "A"}, lambda case, a: times(a["Z"], sigmoid(a["Z"])))
instead("mish-without-tanh", "Z is multiplied by softplus(Z) itself.", {"mish": "A"},
        lambda case, a: times(a["Z"], softplus(a["Z"])))  # fmt: skip
instead("mish-by-tanh-of-exp", "Z*tanh(exp(Z)) is computed.", {"mish": "A"},
        lambda case, a: times(a["Z"], np.tanh(np.exp(np.minimum(a["Z"], 40)))))  # fmt: skip
option(
    "mish-gate-for-constant", "The derivative of the gate is left out.", {"mish_backward": "dZ"}, slope=gate
)
option("mish-gradient-of-silu", "The derivative of silu is taken.", {"mish_backward": "dZ"}, slope=silu_slope)


def _without_sigmoid(z: Array) -> Array:
    return np.asarray(gate(z) + times(z, 1 - gate(z) ** 2))


option("mish-inner-derivative-missing", "The derivative of softplus, sigmoid(Z), is left out.",
       {"mish_backward": "dZ"}, slope=_without_sigmoid)  # fmt: skip
