"""The losses of each element and its target: forms of each, added up in every order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.kernel import Arrays, Kernel, Outputs
from ci.audit.norms import SUMS, Sum
from conformance.cases.case import Case
from conformance.operations.element_loss import count

Array = NDArray[Any]
#: ``(case, x, t)`` to what each element has, in the arithmetic of the arrays.
Form = Callable[[Case, Array, Array], Array]


def _square(case: Case, x: Array, t: Array) -> Array:
    d = x - t
    return d * d


#: The forms of each loss and of its gradient.
FORMS: dict[str, dict[str, Form]] = {
    "mse_loss": {"d d": _square, "d^2 by power": lambda case, x, t: np.power(np.abs(x - t), x.dtype.type(2))},
    "mse_loss_backward": {
        "2 (x - t)": lambda case, x, t: 2 * (x - t),
        "d + d": lambda case, x, t: (x - t) + (x - t),
    },
}


def _mean(case: Case, terms: Array, add: Sum, reciprocal: bool) -> Array:
    n = terms.dtype.type(count(case))
    total = add(terms.reshape(-1, 1))[0]
    return np.asarray(total * (1 / n) if reciprocal else total / n)


def _kernel(op: str, name: str, form: Form, of: Callable[[Case, Array], Array]) -> Kernel:
    def outputs(case: Case, a: Arrays) -> Outputs:
        if not a["X"].size:
            return {}
        with np.errstate(all="ignore"):
            return {case.operation.outputs[0]: of(case, form(case, a["X"], a["T"]))}

    return Kernel(name, op, outputs)


def kernels() -> Iterator[Kernel]:
    """Every form in every order."""
    for op, forms in FORMS.items():
        for name, form in forms.items():
            if op.endswith("_backward"):
                yield _kernel(op, f"{name}, / n", form, lambda case, v: v / v.dtype.type(count(case)))
                yield _kernel(
                    op, f"{name}, (1 / n)", form, lambda case, v: v * (1 / v.dtype.type(count(case)))
                )
                continue
            for add in SUMS:
                for reciprocal in (False, True):
                    yield _kernel(
                        op,
                        f"{name}, {add.__name__.replace('_', ' ')}{', (1 / n)' if reciprocal else ''}",
                        form,
                        lambda case, v, add=add, reciprocal=reciprocal: _mean(case, v, add, reciprocal),
                    )
