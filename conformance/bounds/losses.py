"""Bounds of the cross-entropy and its gradients; the letters are those of `conformance.bounds.functions`.

``t`` is the target of a row: one-hot, or with label smoothing ``e`` the label's ``1 - e`` and ``e / n``
everywhere; ``m`` counts the rows whose label is not ignored. A smoothed target is made in at most four
roundings (e to the dtype, 1 - e or e / n, their sum), a one-hot one in none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format, Limit
from conformance.bounds.functions import softmax_parts
from conformance.case import Case

Array = NDArray[Any]


def target(case: Case, Y: Array) -> tuple[Limit, int, int]:
    """``t`` of each row, 0 in those that do not count; their number; the roundings in ``t``."""
    labels, n = np.asarray(Y).reshape(-1), case["n"]
    ignored, e = case.value("ignore"), float(case.value("smooth"))  # type: ignore[arg-type]
    kept = np.ones(len(labels), bool) if isinstance(ignored, str) else labels != ignored
    t = np.zeros((len(labels), n))
    t[np.flatnonzero(kept), labels[kept]] = 1 - e
    if e:
        t += e / n * kept[:, None]
    return t, int(kept.sum()), 4 if e else 0


def terms(case: Case, AL: Array, Y: Array) -> Limit:
    """The terms of the loss: ``t log(AL) / m``, those of a target of 0 left out."""
    t, m, _ = target(case, Y)
    with np.errstate(divide="ignore"):
        return np.asarray(t[t != 0] * np.log(np.asarray(AL, np.float64)[t != 0]) / max(m, 1))


def cross_entropy(form: Format, case: Case, AL: Array, Y: Array) -> Limit:
    """``(E + (r + q + 3) u) sum t |l| / m``, l the logarithms, r the roundings of t, q the number of terms.

    Each logarithm is within E, relatively (near one as well: AL is given, not computed), and all have one
    sign. A product with t (one rounding), a sum of q terms, and a division or the product with a rounded
    reciprocal, 2 u.
    """
    found = terms(case, AL, Y)
    if not found.size:
        return np.zeros(())
    _, _, made = target(case, Y)
    relative = form.exp + (found.size + made + 3) * form.u
    return np.asarray(np.abs(found).sum() * relative * (1 + relative) + (found.size + 1) * form.w)


def cross_entropy_backward(form: Format, case: Case, AL: Array, Y: Array) -> Limit:
    """``(r + 3) u t / (m p)`` where t is not 0, 0 elsewhere.

    ``-t / (m p)`` is a product and a division, or two divisions, or the product of two reciprocals: at
    most three roundings beside those of t. Where ``1 / p`` is beyond the largest number, the order decides.
    """
    AL, (t, m, made) = np.asarray(AL, np.float64), target(case, Y)
    with np.errstate(divide="ignore", invalid="ignore"):
        reciprocal = 1 / AL
        relative = (made + 3) * form.u * (1 + (made + 3) * form.u)
        limit = relative * t * reciprocal / max(m, 1) + form.w
    return np.where(t == 0, 0.0, np.where(reciprocal > form.largest / 4, np.inf, limit))


def softmax_cross_entropy_backward(form: Format, case: Case, X: Array, Y: Array) -> Limit:
    """``(y_i e_i + r u t_i + 3 u |y_i - t_i|) / m``, with the error e_i of softmax; 0 in ignored rows.

    The subtraction and the division by m (or the product with its rounded reciprocal) make three
    roundings of the result; y_i comes with its own error ``y_i e_i``, t_i with its own. Underflow:
    ``(n + 4) w``.
    """
    y, e = softmax_parts(form, X)
    t, m, made = target(case, Y)
    n = y.shape[1]
    first = y * e * (1 + 3 * form.u) + made * form.u * t + 3 * form.u * np.abs(y - t)
    limit = first * (1 + (made + 6) * form.u) / max(m, 1) + (n + 4) * form.w
    counted = (t != 0).any(1)[:, None] if t.size else np.zeros((len(t), 1), bool)
    result: Limit = np.where(counted, limit, 0.0)
    return result
