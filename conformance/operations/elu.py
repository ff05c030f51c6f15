"""Exponential linear units, ELU, SELU and CELU, and their gradients, at 0 that to the left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from conformance.cases.option_table import ALPHA
from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case

SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Unit(NamedTuple):
    """``above z`` above 0, else ``factor (e^(z / divisor) - 1)``."""

    above: float
    factor: float
    divisor: float

    def value(self, z: Array) -> Array:
        """The activation."""
        return np.where(z > 0, self.above * z, self.factor * np.expm1(np.minimum(z, 0) / self.divisor))

    def slope(self, z: Array) -> Array:
        """Its derivative."""
        below = self.factor / self.divisor * np.exp(np.minimum(z, 0) / self.divisor)
        return np.where(z > 0, self.above, below)


def unit(case: Case, rounded: bool = True) -> Unit:
    """The unit of a case; a parameter is rounded to the dtype it is computed in."""
    if not case.operation.options:
        return Unit(SCALE, SCALE * SELU_ALPHA, 1.0)
    alpha = float(case.value("alpha"))  # type: ignore[arg-type]
    alpha = float(case.working_dtype.type(alpha)) if rounded else alpha
    return Unit(1.0, alpha, alpha if case.op.startswith("celu") else 1.0)


def other_unit(case: Case) -> Unit:
    """CELU for ELU, ELU for CELU."""
    own = unit(case)
    return own._replace(divisor=1.0 if case.op.startswith("celu") else own.factor)


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's own, but for celu, whose gradient takes 1/alpha from float32: by its elu below 0."""
    Z, functional, of = t["Z"], torch.nn.functional, unit(case, rounded=False)
    if not case.operation.options:
        return functional.selu(Z)
    if not case.op.startswith("celu"):
        return functional.elu(Z, of.factor)
    return torch.where(Z > 0, Z, of.factor * functional.elu(torch.where(Z > 0, 0.0, Z) / of.divisor))


def _forward(case: Case, a: Arrays, of: Unit | None = None) -> Outputs:
    return {"A": (of or unit(case)).value(a["Z"])}


def _backward(
    case: Case, a: Arrays, of: Unit | None = None, slope: Callable[[Array], Array] | None = None
) -> Outputs:
    """Which unit it is, and the slope, are left open."""
    return {"dZ": (slope or (of or unit(case)).slope)(a["Z"]) * a["dA"]}


def _rounding(r: Any, q: Any) -> Any:
    """e^z - 1 and y + alpha cancel: an absolute error of some units of the factor."""
    factor = unit(q.case).factor
    g = np.abs(q.a["dA"]) if "dA" in q.a else 1.0
    lost = 16 * q.unit * factor * g * (q.a["Z"] < 0)
    return r.Rounding(0.0, 0.0, 16 * q.unit, lost + 4 * q.tiny)


_LANES = "tensorflow #116943, tinygrad #17852"
_SLOPES = "tensorflow #124902, jax #40820, RubixML #427"


_ALPHAS = (
    ("alpha-below-1", "pytorch #47671: the slope at 0 is alpha", "m2h3w4c5_alpha0.5", "ties"),
    ("alpha-above-1", "tinygrad #17852: other alphas", "m2h3w4c5_alpha2", "normal"),
)


def _pair(name: str, options: tuple[Any, ...], traits: frozenset[str]) -> tuple[Entry, Entry]:
    more = _ALPHAS if options else ()
    forward = Entry(
        name=name,
        grammar=(IMAGE,),
        arrays=("Z",),
        outputs=("A",),
        options=options,
        call=plain("Z", *(Parameter(option.name) for option in options), by_hand="Z"),
        oracle=_oracle,
        reference=_forward,
        bound=lambda rules: rules.tailed(
            lambda f, case, a, word: rules.exponential.elu(f, a["Z"], unit(case, rounded=False), word)
        ),
        accuracies=("absolute", "relative"),
        rounding=_rounding,
        traits=traits | {"bent", "inexact"},
        corners=more + tuple(corner_shapes.images("magnitudes", "nan", "saturated", "ties", lanes=_LANES)),
    )
    backward = forward.gradient(
        f"{name}_backward",
        upstream="dA",
        wanted={"dZ": "Z"},
        reference=_backward,
        bound=lambda rules: rules.tailed(
            lambda f, case, a, word: rules.exponential.elu_backward(
                f, a["Z"], a["dA"], unit(case, rounded=False), word
            )
        ),
        accuracies=("absolute", "relative"),
        rounding=_rounding,
        traits=frozenset({"bent", "inexact"}),
        corners=more + tuple(corner_shapes.images("magnitudes", "saturated", "ties", lanes=_SLOPES)),
    )
    return forward, backward


ENTRIES = (
    *_pair("elu", (ALPHA,), frozenset({"kink"})),
    *_pair("selu", (), frozenset({"gate", "endless"})),
    *_pair("celu", (ALPHA,), frozenset({"kink"})),
)
