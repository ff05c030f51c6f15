"""Softmax, its logarithm and the losses: forms of each, with every library of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.functions import LIBRARIES, Functions
from ci.audit.kernel import Arrays, Kernel, Outputs
from conformance.bounds.arithmetic import IEEE, Arithmetic
from conformance.cases.case import Case
from conformance.operations.cross_entropy import count, target

Array = NDArray[Any]
Probabilities = Callable[[Functions, Array], Array]


def _apart(x: Array) -> Array:
    return x - x.max(1, keepdims=True)


def _added(x: Array) -> Array:
    return np.add.accumulate(x, 1, x.dtype)[:, -1:]


def by_division(F: Functions, x: Array) -> Array:
    """``exp(d) / s``."""
    e = F.exp(_apart(x))
    return e / _added(e)


def by_reciprocal(F: Functions, x: Array) -> Array:
    """``exp(d) (1 / s)``."""
    e = F.exp(_apart(x))
    return e * (1 / e.sum(1, keepdims=True, dtype=x.dtype))


def online(F: Functions, x: Array) -> Array:
    """The sum scaled anew with each larger element (Milakov and Gimelshein)."""
    top, s = x[:, :1], np.ones_like(x[:, :1])
    for j in range(1, x.shape[1]):
        new = np.maximum(top, x[:, j : j + 1])
        s = s * F.exp(top - new) + F.exp(x[:, j : j + 1] - new)
        top = new
    return F.exp(x - top) / s


def logarithms(F: Functions, x: Array) -> Array:
    """``d - log s``."""
    d = _apart(x)
    return d - F.log(_added(F.exp(d)))


def of_logarithms(F: Functions, x: Array) -> Array:
    """``exp(d - log s)``, as PyTorch's cross-entropy has it."""
    return F.exp(logarithms(F, x))


def summed(F: Functions, x: Array) -> Array:
    """``x - (max + log s)``."""
    top = x.max(1, keepdims=True)
    return x - (top + F.log(_added(F.exp(x - top))))


def of_summed(F: Functions, x: Array) -> Array:
    """``exp(x - (max + log s))``."""
    return F.exp(summed(F, x))


SOFTMAX: tuple[tuple[Probabilities, str], ...] = (
    (by_division, ""), (by_reciprocal, ""), (online, ""), (of_logarithms, ""), (of_summed, "absolute"),
)  # fmt: skip


def _gradients(p: Array, g: Array) -> Iterator[tuple[str, Array]]:
    yield "y (g - t)", p * (g - _added(g * p))
    yield "y g - y t", p * g - p * _added(g * p)


def _loss(case: Case, a: Arrays, logarithms: Array) -> Array:
    t, by = target(case, a).astype(logarithms.dtype), count(case, a)
    at = t != 0
    terms = np.concatenate([-(t[at] * logarithms[at]), np.zeros(1, t.dtype)])
    return np.asarray(np.add.accumulate(terms, 0, terms.dtype)[-1] / t.dtype.type(by or np.nan))


def _quotients(case: Case, a: Arrays) -> Iterator[tuple[str, Array]]:
    t, p = target(case, a).astype(a["AL"].dtype), a["AL"]
    m = p.dtype.type(max(count(case, a), 1))
    yield "t / (m p)", np.where(t != 0, -t / (m * p), 0)
    yield "(t / p) / m", np.where(t != 0, -(t / p) / m, 0)
    yield "(1 / p) (t / m)", np.where(t != 0, -(1 / p) * (t / m), 0)


def _of_logits(case: Case, a: Arrays, probabilities: Array) -> Array:
    t = target(case, a)
    counted = (t != 0).any(1)[:, None]
    # The softmax is stored between the two calls.
    p = probabilities.astype(case.numpy_dtype).astype(case.working_dtype)
    return np.where(counted, p - t.astype(p.dtype), 0) / p.dtype.type(max(count(case, a), 1))


def _empty(a: Arrays) -> bool:
    return not all(x.size for x in a.values())


def _kernel(op: str, name: str, F: Functions, word: str, answer: Callable[[Case, Arrays], Array]) -> Kernel:
    declared = Arithmetic.declared(accuracy={op: word}) if word else IEEE

    def outputs(case: Case, a: Arrays) -> Outputs:
        return {} if _empty(a) else {case.operation.outputs[0]: answer(case, a)}

    return Kernel(f"{name}{f' ({word})' if word else ''}; {F}", op, outputs, declared)


def _of_row(F: Functions) -> Iterator[Kernel]:
    for softmax, word in SOFTMAX:
        name = softmax.__name__.replace("_", " ")
        yield _kernel("softmax", name, F, word, lambda case, a, s=softmax: s(F, a["X"]))
        for k, form in enumerate(("y (g - t)", "y g - y t")):
            yield _kernel(
                "softmax_backward", f"{form}, {name}", F, word,
                lambda case, a, s=softmax, k=k: list(_gradients(s(F, a["X"]), a["dprobs"]))[k][1],
            )  # fmt: skip
        yield _kernel(
            "softmax_cross_entropy_backward", name, F, word,
            lambda case, a, s=softmax: _of_logits(case, a, s(F, a["X"])),
        )  # fmt: skip
        yield _kernel(
            "log_softmax_backward", f"g - y sum g, {name}", F, word,
            lambda case, a, s=softmax: a["dlogp"] - s(F, a["X"]) * _added(a["dlogp"]),
        )  # fmt: skip
    for form, word in ((logarithms, ""), (summed, "absolute")):
        name = str(form.__doc__).strip("`.")
        yield _kernel("log_softmax", name, F, word, lambda case, a, f=form: f(F, a["X"]))
        yield _kernel(
            "softmax_cross_entropy", f"mean of t {name}", F, word,
            lambda case, a, f=form: _loss(case, a, f(F, a["X"])),
        )  # fmt: skip


def kernels() -> Iterator[Kernel]:
    """Every form with every library."""
    for F in LIBRARIES:
        yield from _of_row(F)
        yield _kernel(
            "cross_entropy_cost", "mean of t log", F, "", lambda case, a, F=F: _loss(case, a, F.log(a["AL"]))
        )
    for k, form in enumerate(("t / (m p)", "(t / p) / m", "(1 / p) (t / m)")):
        yield _kernel(
            "cross_entropy_backward",
            form,
            LIBRARIES[0],
            "",
            lambda case, a, k=k: list(_quotients(case, a))[k][1],
        )
