"""Bounds of the cross-entropy and its gradients; the letters are those of `conformance.bounds.functions`.

``t`` is the target of a row: one-hot, or with label smoothing ``e`` the label's ``1 - e`` and ``e / n``
everywhere; ``m`` counts the rows whose label is not ignored. A smoothed target is made in at most four
roundings (e to the dtype, 1 - e or e / n, their sum), a one-hot one in none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import targets as compiled
from conformance.bounds import units
from conformance.bounds.arithmetic import Format, Limit
from conformance.bounds.rows import Softmax
from conformance.bounds.targets import Targets
from conformance.cases.case import Case
from conformance.operations.cross_entropy import count, target

Array = NDArray[Any]


def _smoothing(case: Case) -> float:
    return float(case.value("smooth"))  # type: ignore[arg-type]


def _made(case: Case) -> int:
    """The roundings in a target."""
    return 4 if _smoothing(case) else 0


def targets(case: Case, Y: Array) -> Targets:
    """``t`` of each row, 0 in those that do not count; their number."""
    return Targets(Y, case["n"], case.value("ignore"), _smoothing(case), _made(case))


def terms(case: Case, AL: Array, Y: Array) -> Limit:
    """The terms of the loss: ``t log(AL) / m``, those of a target of 0 left out."""
    return compiled.loss_terms(targets(case, Y), AL)


def cross_entropy(form: Format, case: Case, found: Limit) -> Limit:
    """``(E + (r + q + 3) u) sum t |l| / m``, l the logarithms, r the roundings of t, q the number of `terms`.

    Each logarithm is within E, relatively (near one as well: AL is given, not computed), and all have one
    sign. A product with t (one rounding), a sum of q terms, and a division or the product with a rounded
    reciprocal, 2 u.
    """
    if not found.size:
        return np.zeros(())
    relative = form.exp + (found.size + _made(case) + 3) * form.u
    return np.asarray(np.abs(found).sum() * relative * (1 + relative) + (found.size + 1) * form.w)


def cross_entropy_backward(form: Format, case: Case, AL: Array, Y: Array) -> Limit:
    """``(r + 3) u t / (m p)`` where t is not 0, 0 elsewhere.

    ``-t / (m p)`` is a product and a division, or two divisions, or the product of two reciprocals: at
    most three roundings beside those of t. Where ``1 / p`` is beyond the largest number, the order decides.
    """
    return compiled.cross_entropy_backward(form, targets(case, Y), AL)


def softmax_cross_entropy_backward(form: Format, case: Case, X: Array, Y: Array, accuracy: str) -> Limit:
    """``(y_i e_i + r u t_i + 3 u |y_i - t_i|) / m``, with the error e_i of softmax; 0 in ignored rows.

    The subtraction and the division by m (or the product with its rounded reciprocal) make three
    roundings of the result; y_i comes with its own error ``y_i e_i``, t_i with its own. Underflow:
    ``(n + 4) w``.
    """
    return compiled.softmax_cross_entropy_backward(form, targets(case, Y), X, accuracy == "absolute")


def logits_terms(case: Case, X: Array, Y: Array) -> tuple[Limit, Limit, Limit]:
    """Of each term of the loss of logits: the target, ``log y`` and the row's X."""
    shifted = X.astype(np.float64)
    shifted = shifted - shifted.max(1, keepdims=True, initial=-np.inf)
    found = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return target(case, {"X": X, "Y": Y}), found, shifted


def softmax_cross_entropy(form: Format, case: Case, X: Array, Y: Array, accuracy: str) -> Limit:
    """``sum t D / m + (r + q + 3) u sum t (|l| + D) / m``, D how far a logarithm l may be off.

    D is that of `units.log_softmax`, or of the logarithm of a probability that is off by its relative error e
    (`functions.softmax`): ``e + E |l|``, the larger of the two. The rest is as in `cross_entropy`.
    """
    aim, logarithms, _ = logits_terms(case, X, Y)
    counted = aim != 0
    t, size = aim[counted], np.abs(logarithms[counted])
    if not t.size:
        return np.zeros(())
    off = units.log_softmax(form, X, accuracy)[counted]
    probability = Softmax(form, X, accuracy == "absolute").e[counted]
    off = np.maximum(off, probability * (1 + probability) + form.exp * size)
    rows = max(count(case, {"Y": Y}), 1)
    relative = (t.size + _made(case) + 3) * form.u
    return np.asarray(
        (t * off).sum() / rows + relative * (t * (size + off)).sum() / rows + (t.size + 1) * form.w
    )
