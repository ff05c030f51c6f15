"""The affine layer with an activation, its sums in every order; and PyTorch's float32 everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.elementwise import plain, stable
from ci.audit.functions import LIBRARIES, Functions
from ci.audit.kernel import Arrays, Kernel, Outputs
from ci.audit.sums import OF_SHAPES, Order
from conformance.bounds.arithmetic import IEEE, Arithmetic
from conformance.cases.case import Case
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS

Array = NDArray[Any]


def _products(order: Order, left: Array, right: Array, bias: Array | None = None) -> Array:
    """A product of matrices, the terms of each element in an order."""
    terms = left.T[:, :, None].astype(np.float64) * right[:, None, :]
    first = np.zeros((1, *terms.shape[1:])) if bias is None else np.broadcast_to(bias, (1, *terms.shape[1:]))
    return order(np.concatenate([first, terms]), left.dtype)


def _squash(F: Functions, word: str, Z: Array, lost: bool) -> Array:
    if word == "sigmoid":
        return plain(F, Z) if lost else stable(F, Z)
    return np.maximum(Z, 0) if word == "relu" else Z


def _forward(order: Order, F: Functions, lost: bool) -> Callable[[Case, Arrays], Outputs]:
    def answer(case: Case, a: Arrays) -> Outputs:
        if not all(x.size for x in a.values()):
            return {}
        Z = _products(order, a["A_prev"], a["W"], a["b"])
        return {"A": _squash(F, case.word("activation"), Z, lost)}

    return answer


def _backward(
    order: Order, F: Functions, lost: bool, keeps: bool = False
) -> Callable[[Case, Arrays], Outputs]:
    def answer(case: Case, a: Arrays) -> Outputs:
        if not all(x.size for x in a.values()):
            return {}
        Z, word, g = _products(order, a["A_prev"], a["W"], a["b"]), case.word("activation"), a["dA"]
        if word == "sigmoid":
            y = _squash(F, word, Z, lost)
            g = g * (y * (stable(F, -Z) if keeps else 1 - y))
        elif word == "relu":
            g = np.where(Z <= 0, g.dtype.type(0), g)
        ones = np.ones((len(g), 1), g.dtype)
        return {
            "dA_prev": _products(order, g, np.ascontiguousarray(a["W"].T)),
            "dW": _products(order, np.ascontiguousarray(a["A_prev"].T), g),
            "db": _products(order, ones.T, g),
        }

    return answer


def kernels() -> Iterator[Kernel]:
    """Every order, with a library of one unit and one of four."""
    for F in (LIBRARIES[0], LIBRARIES[-1]):
        for order in OF_SHAPES:
            for op, of in (
                ("affine_activation_forward", _forward),
                ("affine_activation_backward", _backward),
            ):
                name = order.__name__
                yield Kernel(f"{name}; {F}", op, of(order, F, False), IEEE)
                yield Kernel(f"{name}, 1 / (1 + exp(-z)) (normal); {F}", op, of(order, F, True), _normal(op))
            op = "affine_activation_backward"
            held = Arithmetic.declared(accuracy={op: "relative"})
            yield Kernel(
                f"{order.__name__}, s(z) s(-z) (relative); {F}", op, _backward(order, F, False, True), held
            )


def _normal(op: str) -> Arithmetic:
    """What a module says whose sigmoid is 0 where exp overflows."""
    word = "normal" if "normal" in OPERATIONS[op].accuracies else ""
    return Arithmetic.declared(accuracy={op: word}) if word else IEEE


def peers() -> Iterator[Kernel]:
    """PyTorch's float32, under the declarations that hold for it."""
    torch = load("torch_float32")

    def answer(case: Case, a: Arrays) -> Outputs:
        if case.op == "conv_backward" and case.value("f") == 1:
            return {}  # it may write out of bounds: its adapter says when
        outcome = torch.call(case, a)
        if outcome.error:
            raise RuntimeError(f"{case}: {outcome.error}")
        return outcome.outputs

    for op in OPERATIONS:
        if torch.has(op) and OPERATIONS[op].bound:
            yield Kernel(
                f"PyTorch's float32{'' if _normal(op) is IEEE else ' (normal)'}", op, answer, _normal(op)
            )
