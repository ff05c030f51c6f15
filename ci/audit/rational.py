"""Forms of the activations of straight and rational pieces, which call no library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.kernel import Arrays, Kernel, Outputs
from conformance.bounds.arithmetic import IEEE, Arithmetic
from conformance.cases.case import Case

Array = NDArray[Any]


def _cut(x: Array, low: float, high: float) -> Array:
    return np.asarray(np.clip(x, x.dtype.type(low), x.dtype.type(high)))


def _inside(z: Array, inner: Array, above: Array | float) -> Array:
    """`inner` between -3 and 3, 0 to the left, `above` to the right."""
    return np.asarray(np.where(z <= -3, z.dtype.type(0), np.where(z >= 3, above, inner)), z.dtype)


def _line(z: Array, by: float) -> Array:
    """``z by + 1/2``, the constant rounded."""
    return np.asarray(z * z.dtype.type(by) + z.dtype.type(0.5))


#: Operation, name, form of z or of (z, g).
_FORMS: tuple[tuple[str, str, Callable[..., Array]], ...] = (
    ("hardsigmoid", "clip(z + 3) / 6", lambda z: _cut(z + 3, 0, 6) / 6),
    ("hardsigmoid", "clip(z + 3) times 1/6", lambda z: _cut(z + 3, 0, 6) * z.dtype.type(1 / 6)),
    ("hardsigmoid", "clip(z/6 + 1/2)", lambda z: _cut(_line(z, 1 / 6), 0, 1)),
    ("hardsigmoid_backward", "g / 6", lambda z, g: np.where(np.abs(z) < 3, g, g * 0) / 6),
    (
        "hardsigmoid_backward",
        "g times 1/6",
        lambda z, g: np.where(np.abs(z) < 3, g, g * 0) * z.dtype.type(1 / 6),
    ),
    ("hardswish", "z (clip(z + 3) / 6)", lambda z: z * (_cut(z + 3, 0, 6) / 6)),
    ("hardswish", "z clip(z + 3) / 6", lambda z: z * _cut(z + 3, 0, 6) / 6),
    ("hardswish", "z clip(z + 3) times 1/6", lambda z: z * _cut(z + 3, 0, 6) * z.dtype.type(1 / 6)),
    ("hardswish", "z clip(z/6 + 1/2)", lambda z: z * _cut(_line(z, 1 / 6), 0, 1)),
    ("hardswish_backward", "g (z/3 + 1/2)", lambda z, g: g * _inside(z, _line(z, 1 / 3), 1)),
    ("hardswish_backward", "g (z + 3/2) / 3", lambda z, g: g * _inside(z, (z + z.dtype.type(1.5)) / 3, 1)),
    (
        "hardswish_backward",
        "g gate + g z / 6",
        lambda z, g: (
            g * (_cut(z + 3, 0, 6) * z.dtype.type(1 / 6)) + g * _inside(z, z * z.dtype.type(1 / 6), 0)
        ),
    ),
    ("softsign", "z / (1 + |z|)", lambda z: z / (1 + np.abs(z))),
    ("softsign", "z times 1 / (1 + |z|)", lambda z: z * (1 / (1 + np.abs(z)))),
    ("softsign", "1 - 1 / (1 + |z|) beyond 1", lambda z: _from_one(z)),
    ("softsign_backward", "g (1 - |y|)^2", lambda z, g: g * np.square(1 - np.abs(z / (1 + np.abs(z))))),
    ("hardswish", "z^2 times 1/6 + z / 2", lambda z: _inside(z, z * z * z.dtype.type(1 / 6) + z / 2, z)),
    ("softsign_backward", "g/d - g z/d/d", lambda z, g: g / (1 + np.abs(z)) - g * _quotient(z)),
)
_RELATIVE: tuple[tuple[str, str, Callable[..., Array]], ...] = (
    ("softsign_backward", "g / d / d", lambda z, g: g / (1 + np.abs(z)) / (1 + np.abs(z))),
    ("softsign_backward", "g (1/d)^2", lambda z, g: g * np.square(1 / (1 + np.abs(z)))),
)


def _quotient(z: Array) -> Array:
    d = 1 + np.abs(z)
    return np.asarray(np.abs(z) / d / d)


def _from_one(z: Array) -> Array:
    d = 1 + np.abs(z)
    return np.asarray(np.where(np.abs(z) > 1, np.sign(z) * (1 - 1 / d), z / d))


def _kernel(op: str, name: str, form: Callable[..., Array], declared: Arithmetic) -> Kernel:
    def answer(case: Case, a: Arrays) -> Outputs:
        more = (a["dA"],) if "dA" in a else ()
        return {case.operation.outputs[0]: form(a["Z"], *more)}

    return Kernel(name, op, answer, declared)


def kernels() -> Iterator[Kernel]:
    """Every form."""
    for op, name, form in (*_FORMS, *_RELATIVE):
        yield _kernel(op, name, form, IEEE)
    for op, name, form in _RELATIVE:
        yield _kernel(op, f"{name} (relative)", form, Arithmetic.declared(accuracy={op: "relative"}))
