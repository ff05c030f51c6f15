"""Bounds of the losses of each element and its target; the letters are those of `functions`.

A loss of N terms v, each off by D, is off by ``sum D / N + (N + 2) u sum (v + D) / N``: a sum of N terms and
a division, or the product with a rounded reciprocal. A gradient is a derivative s, off by D, divided
likewise: ``(D + 3 u (|s| + D)) / N``. The functions here, by the names of the losses, are what v and s are
and by how much they may be off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format, Limit, wide
from conformance.cases.case import Case
from conformance.operations.element_loss import count

Array = NDArray[Any]
#: What each element has, and by how much it may be off.
Off = tuple[Limit, Limit]


def mse_loss(form: Format, case: Case, x: Limit, t: Limit) -> tuple[Off, Off]:
    """``3 u v``: a rounded difference, squared. Its derivative, twice the difference: ``u |s|``."""
    d = np.abs(x - t)
    return (d * d, 3 * form.u * d * d), (2 * d, 2 * form.u * d)


#: By the name of the loss: ``(form, case, X, T)`` to those of the loss and of the gradient.
OF: Mapping[str, Callable[[Format, Case, Limit, Limit], tuple[Off, Off]]] = {
    "mse_loss": mse_loss,
}


def terms(form: Format, case: Case, name: str, X: Array, T: Array) -> Off:
    """The terms of the loss `name`, or the elements of its gradient, and how far they may be off; finite."""
    of_loss, of_gradient = OF[name](form, case, wide(X), wide(T))
    found = of_gradient if case.operation.forward else of_loss
    return _finite(found[0]), _finite(found[1])


def limit(form: Format, case: Case, name: str, X: Array, T: Array) -> Limit:
    """The bound of the module's first lines; ``w`` for each product that may underflow."""
    size, off = terms(form, case, name, X, T)
    n = max(count(case), 1)
    if case.operation.forward:
        return np.asarray((off + 3 * form.u * (np.abs(size) + off)) / n + 4 * form.w)
    total = float((np.abs(size) + off).sum())
    return np.asarray(off.sum() / n + (size.size + 2) * form.u * total / n + (2 * size.size + 1) * form.w)


def _finite(x: Limit) -> Limit:
    return np.where(np.isfinite(x), x, 0.0)
