"""Forms of the activations of an exponential, each with every library of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.elementwise import declared, stable
from ci.audit.functions import LIBRARIES, Functions
from ci.audit.kernel import Arrays, Kernel, Outputs
from conformance.bounds.arithmetic import IEEE
from conformance.cases.case import Case
from conformance.operations.elu import unit

Array = NDArray[Any]
#: ``(functions, case, z, g or None)`` to the output.
Form = Callable[[Functions, Case, Array, Any], Array]


def _elu(difference: Callable[[Functions, Array], Array], inverse: bool) -> Form:
    def form(F: Functions, case: Case, z: Array, g: Any) -> Array:
        of, c = unit(case), z.dtype.type
        low = np.minimum(z, c(0))
        x = low * (c(1) / c(of.divisor)) if inverse else low / c(of.divisor)
        return np.asarray(np.where(z > 0, c(of.above) * z, c(of.factor) * difference(F, x)))

    return form


def _less_one(F: Functions, x: Array) -> Array:
    return F.exp(x) - 1


def _elu_slope(F: Functions, case: Case, z: Array, g: Any) -> Array:
    of, c = unit(case), z.dtype.type
    power = F.exp(np.minimum(z, c(0)) * (c(1) / c(of.divisor)))
    return np.asarray(np.where(z > 0, g * c(of.above), g * c(of.factor / of.divisor) * power))


def _elu_slope_of_output(F: Functions, case: Case, z: Array, g: Any) -> Array:
    of, c = unit(case), z.dtype.type
    y = _elu(lambda F, x: F.expm1(x), False)(F, case, z, None)
    return np.asarray(np.where(z > 0, g * c(of.above), g * ((y + c(of.factor)) / c(of.divisor))))


def _beta(case: Case, z: Array) -> tuple[Any, Array]:
    beta = z.dtype.type(float(str(case.value("beta"))))
    return beta, np.asarray(beta * z > float(str(case.value("thr"))))


def log1p(F: Functions, x: Array) -> Array:
    """Off as its logarithm is."""
    return np.asarray(F._off(np.log1p, x))


def _softplus(smooth: Callable[[Functions, Array], Array]) -> Form:
    def form(F: Functions, case: Case, z: Array, g: Any) -> Array:
        beta, above = _beta(case, z)
        return np.asarray(np.where(above, z, smooth(F, np.where(above, beta * 0, beta * z)) / beta))

    return form


def _as_torch(F: Functions, w: Array) -> Array:
    return log1p(F, F.exp(w))


def _split(F: Functions, w: Array) -> Array:
    return np.maximum(w, w.dtype.type(0)) + log1p(F, F.exp(-np.abs(w)))


def _logarithm(F: Functions, w: Array) -> Array:
    return F.log(1 + F.exp(w))


def _of_sigmoid(F: Functions, w: Array) -> Array:
    return -F.log(stable(F, -w))


def _softplus_slope(F: Functions, case: Case, z: Array, g: Any) -> Array:
    beta, above = _beta(case, z)
    e = F.exp(np.where(above, beta * 0, beta * z))
    return np.asarray(np.where(above, g, g * e / (e + 1)))


def _softplus_slope_below(F: Functions, case: Case, z: Array, g: Any) -> Array:
    beta, above = _beta(case, z)
    return np.asarray(np.where(above, g, g * (1 - stable(F, -(beta * z)))))


def _mish(smooth: Callable[[Functions, Array], Array]) -> Form:
    return lambda F, case, z, g: z * F.tanh(smooth(F, z))


def _bounded(z: Array) -> Array:
    """z, or 20, where Mish's gate is 1 to all digits."""
    return np.minimum(z, z.dtype.type(20))


def _of_product(form: Callable[[Array, Array], Array]) -> Form:
    """Of z and ``q = e^z (e^z + 2)``."""

    def of(F: Functions, case: Case, z: Array, g: Any) -> Array:
        n = F.exp(_bounded(z))
        return form(z, n * (n + 2))

    return of


def _square(F: Functions, z: Array) -> Array:
    return np.asarray(np.square(1 + F.exp(_bounded(z))))


def _of_square(form: Callable[[Array, Array], Array]) -> Form:
    """Of z and ``n = (1 + e^z)^2``."""
    return lambda F, case, z, g: form(z, _square(F, z))


def _gate_of_square(F: Functions, z: Array) -> Array:
    n = _square(F, z)
    return (n - 1) / (n + 1)


def _mish_slope(gate: Callable[[Functions, Array], Array]) -> Form:
    def form(F: Functions, case: Case, z: Array, g: Any) -> Array:
        t = gate(F, z)
        return np.asarray(g * (t + z * stable(F, z) * (1 - t * t)))

    return form


#: Operation, name, form, whether its tails keep their relative accuracy.
FORMS: tuple[tuple[str, str, Form, bool], ...] = (
    *((op, "expm1", _elu(lambda F, x: F.expm1(x), False), True) for op in ("elu", "selu", "celu")),
    *((op, "expm1, inverse", _elu(lambda F, x: F.expm1(x), True), True) for op in ("elu", "selu", "celu")),
    *((op, "exp - 1", _elu(_less_one, False), False) for op in ("elu", "selu", "celu")),
    *((f"{op}_backward", "g factor exp", _elu_slope, True) for op in ("elu", "selu", "celu")),
    *((f"{op}_backward", "g (y + alpha)", _elu_slope_of_output, False) for op in ("elu", "selu", "celu")),
    ("softplus", "log1p(exp)", _softplus(_as_torch), True),
    ("softplus", "max + log1p(exp(-|w|))", _softplus(_split), True),
    ("softplus", "log(1 + exp)", _softplus(_logarithm), False),
    ("softplus", "-log sigmoid(-w)", _softplus(_of_sigmoid), False),
    ("softplus_backward", "g e / (e + 1)", _softplus_slope, True),
    ("softplus_backward", "g (1 - s(-w))", _softplus_slope_below, False),
    ("mish", "z tanh(max + log1p)", _mish(_split), True),
    ("mish", "z q / (q + 2)", _of_product(lambda z, q: z * (q / (q + 2))), True),
    (
        "mish",
        "z tanh(max + log(1 + exp))",
        _mish(lambda F, z: np.maximum(z, 0) + F.log(1 + F.exp(-np.abs(z)))),
        False,
    ),
    ("mish", "z (n - 1) / (n + 1)", _of_square(lambda z, n: z * ((n - 1) / (n + 1))), False),
    ("mish", "z (1 - 2 / (n + 1))", _of_square(lambda z, n: z * (1 - 2 / (n + 1))), False),
    ("mish", "z - 2 z / (q + 2)", _of_product(lambda z, q: z - 2 * z / (q + 2)), False),
    ("mish", "z tanh(-log sigmoid(-z))", _mish(lambda F, z: _of_sigmoid(F, _bounded(z))), False),
    ("mish_backward", "g (t + z s (1 - t^2)), t of n", _mish_slope(_gate_of_square), False),
    ("mish_backward", "g (t + z s (1 - t^2))", _mish_slope(lambda F, z: F.tanh(_split(F, z))), True),
)


def kernels() -> Iterator[Kernel]:
    """Every form with every library."""
    for F in LIBRARIES:
        for op, name, form, relative in FORMS:

            def answer(case: Case, a: Arrays, form: Form = form, F: Functions = F) -> Outputs:
                return {case.operation.outputs[0]: form(F, case, a["Z"], a.get("dA"))}

            yield Kernel(f"{name}; {F}", op, answer, IEEE)
            if relative:
                yield Kernel(f"{name} (relative); {F}", op, answer, declared(op, "relative"))
