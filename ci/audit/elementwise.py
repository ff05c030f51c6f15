"""Forms of the functions of one element, each with every library of functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.functions import LIBRARIES, Functions
from ci.audit.kernel import Arrays, Kernel, Outputs
from conformance.bounds.arithmetic import IEEE, Arithmetic
from conformance.cases.case import Case

Array = NDArray[Any]
#: ``(functions, z, dA or None)`` to the output.
Form = Callable[..., Array]

_ROOT = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _c(value: float, like: Array) -> Any:
    return like.dtype.type(value)


def stable(F: Functions, z: Array) -> Array:
    """The sigmoid with exp of negative numbers alone."""
    e = F.exp(-np.abs(z))
    return np.asarray(np.where(z < 0, e / (1 + e), 1 / (1 + e)))


def plain(F: Functions, z: Array) -> Array:
    """``1 / (1 + exp(-z))``, 0 where exp overflows."""
    return 1 / (1 + F.exp(-z))


def falling(F: Functions, z: Array) -> Array:
    """``t = exp(-2 |z|)``."""
    return F.exp(-2 * np.abs(z))


def by_expm1(F: Functions, z: Array) -> Array:
    """The tanh, ``-m / (m + 2)``, m the expm1 of ``-2 |z|``."""
    m = F.expm1(-2 * np.abs(z))
    return np.asarray(np.copysign(-m / (m + 2), z))


def by_growing_expm1(F: Functions, z: Array) -> Array:
    """The tanh as ``m / (m + 2)``, m the expm1 of ``2 |z|``, 1 where that overflows."""
    m = F.expm1(np.minimum(2 * np.abs(z), _c(60, z)))
    return np.asarray(np.copysign(np.where(2 * np.abs(z) > 60, 1, m / (m + 2)), z).astype(z.dtype))


TANH: dict[str, Callable[[Functions, Array], Array]] = {
    "tanh": lambda F, z: F.tanh(z),
    "by expm1(-2|z|)": by_expm1,
    "by expm1(2|z|)": by_growing_expm1,
}
SIGMOID: dict[str, Callable[[Functions, Array], Array]] = {"exp(-|z|)": stable}

_SLOPES: dict[str, Form] = {
    "g t (1 - y) (1 + y)": lambda y, g: g * (1 - y) * (1 + y),
    "g (1 - y^2)": lambda y, g: g * (1 - y * y),
    "g - g y^2": lambda y, g: g - g * y * y,
}


def tanh_gradients() -> Iterator[tuple[str, Form, bool]]:
    """Name, form, and whether its tails keep their relative accuracy."""
    for name, tanh in TANH.items():
        for slope, of in _SLOPES.items():
            yield f"{slope}, y {name}", lambda F, z, g, t=tanh, of=of: of(t(F, z), g), False

    def quotient(F: Functions, z: Array, g: Array) -> Array:
        t = falling(F, z)
        return g * (4 * t / ((1 + t) * (1 + t)))

    yield "4 t / (1 + t)^2", quotient, True
    yield "1 / cosh^2", lambda F, z, g: g / F.cosh(z) / F.cosh(z), True


def _silu_gradient(F: Functions, z: Array, g: Array) -> Array:
    s = stable(F, z)
    return g * s * (1 + z * (1 - s))


def _silu_gradient_of_output(F: Functions, z: Array, g: Array) -> Array:
    s = stable(F, z)
    y = z * s
    return g * (s + y * (1 - s))


def _silu_gradient_symmetric(F: Functions, z: Array, g: Array) -> Array:
    s, rest = stable(F, z), stable(F, -z)
    return g * (s * (1 + z * rest))


def inner(z: Array) -> Array:
    """What the approximate gelu takes tanh of, as it is written."""
    return _c(_ROOT, z) * (z + _c(_CUBIC, z) * z * z * z)


def nested(z: Array) -> Array:
    """The same, by Horner's rule."""
    return z * (_c(_ROOT, z) + _c(_ROOT * _CUBIC, z) * z * z)


def rational(x: Array) -> Array:
    """The error function as Abramowitz and Stegun approximate it (7.1.26), which many vector libraries do.

    Beside its own error there is no room for one of exp.
    """
    t = 1 / (1 + _c(0.3275911, x) * np.abs(x))
    series = _c(1.061405429, x)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + _c(factor, x)
    return np.asarray(np.sign(x) * (1 - series * t * LIBRARIES[0].exp(-x * x)))


def gelus(approximate: str) -> Iterator[tuple[str, Form, bool]]:
    """Forms of the gelu, and whether their tails keep their relative accuracy."""
    if approximate == "none":
        root = math.sqrt(0.5)
        yield "0.5 z (1 + erf)", lambda F, z: _c(0.5, z) * z * (1 + F.erf(z * _c(root, z))), False
        yield "z (0.5 + 0.5 erf)", lambda F, z: z * (_c(0.5, z) + _c(0.5, z) * F.erf(z * _c(root, z))), False
        yield "0.5 z erfc(-z)", lambda F, z: _c(0.5, z) * z * F.erfc(-z * _c(root, z)), True
        yield (
            "0.5 z (1 + erf), erf by A & S 7.1.26",
            lambda F, z: _c(0.5, z) * z * (1 + rational(z * _c(root, z))),
            False,
        )
        return
    for name, tanh in TANH.items():
        yield f"0.5 z (1 + tanh), {name}", lambda F, z, t=tanh: _c(0.5, z) * z * (1 + t(F, inner(z))), False
        yield f"h tanh + h, nested, {name}", lambda F, z, t=tanh: z / 2 * t(F, nested(z)) + z / 2, False
    yield "z sigmoid(2 t)", lambda F, z: z * stable(F, 2 * inner(z)), True
    yield "z sigmoid(2 t), nested", lambda F, z: z * stable(F, 2 * nested(z)), True

    def by_quotient(F: Functions, z: Array) -> Array:
        return _c(0.5, z) * z * (1 + (1 - 2 / (1 + F.exp(2 * inner(z)))))

    yield "tanh as 1 - 2/(1 + exp)", by_quotient, False


def _times(x: Array, factor: Array) -> Array:
    return np.asarray(np.where(factor == 0, x.dtype.type(0), x * factor))


def gelu_gradients(approximate: str) -> Iterator[tuple[str, Form, bool]]:
    """Forms of its gradient."""
    if approximate == "none":

        def density(F: Functions, z: Array) -> Array:
            return _c(_ROOT / 2, z) * F.exp(_c(-0.5, z) * z * z)

        def by_erf(F: Functions, z: Array, g: Array) -> Array:
            cdf = _c(0.5, z) * (1 + F.erf(z * _c(math.sqrt(0.5), z)))
            return g * (cdf + _times(z, density(F, z)))

        def by_erfc(F: Functions, z: Array, g: Array) -> Array:
            cdf = _c(0.5, z) * F.erfc(-z * _c(math.sqrt(0.5), z))
            return g * (cdf + _times(z, density(F, z)))

        def by_erf_of_scaled(F: Functions, z: Array, g: Array) -> Array:
            x = z * _c(math.sqrt(0.5), z)
            slope = _times(z, _c(_ROOT / 2, z) * F.exp(-x * x))
            return g * (_c(0.5, z) * F.erfc(-x) + slope)

        def by_rational(F: Functions, z: Array, g: Array) -> Array:
            cdf = _c(0.5, z) * (1 + rational(z * _c(math.sqrt(0.5), z)))
            return g * (cdf + _times(z, density(F, z)))

        yield "by erf", by_erf, False
        yield "by erf of A & S 7.1.26", by_rational, False
        yield "by erfc and its derivative", by_erf_of_scaled, True
        yield "by erfc", by_erfc, True
        return
    for name, tanh in TANH.items():

        def by_tanh(F: Functions, z: Array, g: Array, tanh: Any = tanh) -> Array:
            t = tanh(F, inner(z))
            left, right = _c(0.5, z) * z, 1 + t
            slope = _c(_ROOT, z) * (1 + _c(3 * _CUBIC, z) * z * z)
            return g * (_c(0.5, z) * right + _times(slope, left * (1 - t * t)))

        yield f"by tanh, {name}", by_tanh, False

    def by_sigmoid(F: Functions, z: Array, g: Array) -> Array:
        w = 2 * inner(z)
        s, rest = stable(F, w), stable(F, -w)
        slope = _c(2 * _ROOT, z) * (1 + _c(3 * _CUBIC, z) * z * z)
        return g * (s + _times(z, _times(slope, s * rest)))

    yield "by sigmoid", by_sigmoid, True


def _plain_kernel(op: str, name: str, form: Form, declared: Arithmetic, F: Functions) -> Kernel:
    def answer(case: Case, a: Arrays) -> Outputs:
        more = (a["dA"],) if "dA" in a else ()
        return {case.operation.outputs[0]: form(F, a["Z"], *more)}

    return Kernel(f"{name}; {F}", op, answer, declared)


def declared(op: str, accuracy: str) -> Arithmetic:
    """What a module with an accuracy declares."""
    return Arithmetic.declared(accuracy={op: accuracy})


def forms() -> Iterator[tuple[str, str, Form, tuple[str, ...]]]:
    """Operation, name, form, and the accuracies that it attains beside the one that is asked undeclared."""
    for name, sigmoid in SIGMOID.items():
        yield "sigmoid", name, sigmoid, ()
        yield "silu", f"z s, s {name}", lambda F, z, s=sigmoid: z * s(F, z), ()
    yield "sigmoid", "1 / (1 + exp(-z))", plain, ("normal",)
    yield "silu", "z / (1 + exp(-z))", lambda F, z: z / (1 + F.exp(-z)), ("normal",)
    yield "sigmoid_backward", "g y (1 - y)", lambda F, z, g: g * (stable(F, z) * (1 - stable(F, z))), ()
    yield "sigmoid_backward", "(g y) (1 - y)", lambda F, z, g: g * stable(F, z) * (1 - stable(F, z)), ()
    yield (
        "sigmoid_backward",
        "y by 1 / (1 + exp(-z))",
        lambda F, z, g: g * (1 - plain(F, z)) * plain(F, z),
        ("normal",),
    )
    yield (
        "sigmoid_backward",
        "g s(z) s(-z)",
        lambda F, z, g: g * (stable(F, z) * stable(F, -z)),
        ("relative",),
    )

    def quotient(F: Functions, z: Array, g: Array) -> Array:
        e = F.exp(-np.abs(z))
        return g * (e / ((1 + e) * (1 + e)))

    yield "sigmoid_backward", "g e / (1 + e)^2", quotient, ("relative",)
    for name, tanh in TANH.items():
        yield "tanh", name, tanh, ()
    for name, form, relative in tanh_gradients():
        yield "tanh_backward", name, form, ("relative",) if relative else ()
    yield "silu_backward", "g s (1 + z (1 - s))", _silu_gradient, ()
    yield "silu_backward", "g (s + y (1 - s))", _silu_gradient_of_output, ()
    yield "silu_backward", "g (s (1 + z s(-z)))", _silu_gradient_symmetric, ()


def kernels() -> Iterator[Kernel]:
    """Every form with every library."""
    for F in LIBRARIES:
        for op, name, form, words in forms():
            if "normal" not in words:
                yield _plain_kernel(op, name, form, IEEE, F)
            for word in words:
                yield _plain_kernel(op, f"{name} ({word})", form, declared(op, word), F)
        for op, of in (("gelu", gelus), ("gelu_backward", gelu_gradients)):
            yield from _of_words(op, of, F)


def _of_words(
    op: str, of: Callable[[str], Iterator[tuple[str, Form, bool]]], F: Functions
) -> Iterator[Kernel]:
    """Kernels of the operation whose word says which of two functions it is."""
    for word in ("none", "tanh"):
        for name, form, relative in of(word):

            def answer(case: Case, a: Arrays, form: Form = form, word: str = word) -> Outputs:
                if case.word("approximate") != word:
                    return {}
                more = (a["dA"],) if "dA" in a else ()
                return {case.operation.outputs[0]: form(F, a["Z"], *more)}

            yield Kernel(f"{word}: {name}; {F}", op, answer)
            if relative:
                yield Kernel(f"{word}: {name} (relative); {F}", op, answer, declared(op, "relative"))
