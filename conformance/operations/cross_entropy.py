"""The cross-entropy of probabilities and labels, smoothed and ignored ones among them, and its gradients.

That of logits is the loss of their softmax, one function where frameworks have it fused, and its gradient,
which is given the cache of either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.option_table import IGNORED, LABEL_SMOOTHING
from conformance.cases.request import Made
from conformance.operations import corner_shapes, softmax
from conformance.operations.affine import SAMPLES
from conformance.operations.call import CACHE, Call, Returned
from conformance.operations.entry import ROWS, Array, Arrays, Entry, Form, Outputs, Tensors

if TYPE_CHECKING:
    from conformance.cases.case import Case

#: ``(case, arrays) -> (m, n)``: what each row is held against, 0 throughout in a row that does not count.
Target = Callable[["Case", Arrays], Array]


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """The mean over the rows that count; NaN for none, as torch's mean of nothing."""
    return _against_labels(case, t["AL"], t["Y"], torch.log)


def _oracle_of_logits(torch: Any, case: Case, t: Tensors) -> Any:
    return _against_labels(case, torch.log_softmax(t["X"], 1), t["Y"], lambda values: values)


def _against_labels(case: Case, values: Any, labels: Any, logarithm: Callable[[Any], Any]) -> Any:
    """Mean of ``-((1 - e) l[i, Y_i] + e/n sum_k l[i, k])`` over the rows whose label is not ignored.

    Without smoothing no logarithm but the label's is taken: that of 0 has no gradient, not even times 0.
    """
    ignored, e = case.value("ignore"), smoothing(case)
    kept = labels != (ignored if isinstance(ignored, int) else -1)
    rows = values[kept]
    losses = logarithm(rows.gather(1, labels[kept].reshape(-1, 1))).reshape(-1)
    if e:
        losses = (1 - e) * losses + e * logarithm(rows).mean(1)
    return -losses.mean()


def smoothing(case: Case) -> float:
    """The part of each target that all classes share."""
    return float(case.value("smooth"))  # type: ignore[arg-type]


def kept(case: Case, a: Arrays) -> Array:
    """Which rows count: those whose label is not the ignored one."""
    ignored = case.value("ignore")
    return np.ones(len(a["Y"]), bool) if ignored == "none" else np.asarray(a["Y"] != ignored)


def onehot(case: Case, a: Arrays) -> Array:
    """One at the label of each row that counts, 0 elsewhere."""
    counted = kept(case, a)
    out = np.zeros((case["m"], case["n"]))
    out[np.flatnonzero(counted), a["Y"][counted]] = 1.0
    return out


def target(case: Case, a: Arrays) -> Array:
    """The smoothed labels of the rows that count."""
    e = smoothing(case)
    return (1 - e) * onehot(case, a) + e / max(case["n"], 1) * kept(case, a)[:, None]


def count(case: Case, a: Arrays) -> int:
    """How many rows count."""
    return int(kept(case, a).sum())


def picked(a: Arrays, name: str) -> Array:
    """The entry of each row that the label names."""
    return a[name][np.arange(len(a["Y"])), a["Y"]]


def _weighted(weights: Array, values: Array) -> Array:
    """Products, 0 where a weight is."""
    return np.where(weights != 0, weights * np.where(weights != 0, values, 0.0), 0.0)


def _cost(
    case: Case, a: Arrays, epsilon: float = 0.0, aim: Target = target, divisor: int | None = None
) -> Outputs:
    # Next to 1 it matters that the sum is rounded to the dtype.
    p = (a["AL"] + epsilon).astype(case.numpy_dtype).astype(np.float64)
    by = count(case, a) if divisor is None else divisor
    return {"loss": np.asarray(-_weighted(aim(case, a), np.log(p)).sum() / np.float64(by or np.nan))}


def _backward(
    case: Case, a: Arrays, epsilon: float = 0.0, aim: Target = target, divisor: int | None = None
) -> Outputs:
    t, by = aim(case, a), max(count(case, a) if divisor is None else divisor, 1)
    # Divided once: 1/AL alone may overflow.
    return {"dAL": np.where(t != 0, -t / ((a["AL"] + epsilon) * by), 0.0)}


def _fused(
    case: Case, a: Arrays, aim: Target = target, divisor: int | None = None, **options: Any
) -> Outputs:
    by = count(case, a) if divisor is None else divisor
    logarithms = softmax.logarithms(case, a, **options)["logp"]
    return {"loss": np.asarray(-_weighted(aim(case, a), logarithms).sum() / np.float64(by or np.nan))}


def _of_logits(
    case: Case, a: Arrays, aim: Target = target, divisor: int | None = None, **options: Any
) -> Outputs:
    probabilities = softmax.forward(case, a, **options)["probs"]
    t, by = aim(case, a), max(count(case, a) if divisor is None else divisor, 1)
    counted = (t != 0).any(1)[:, None] if t.size else np.zeros((len(t), 1), bool)
    return {"dX": np.where(counted, probabilities - t, 0.0) / by}


def _rounding(r: Any, q: Any) -> Any:
    terms = q.case["m"] * (q.case["n"] if q.case.value("smooth") else 1)
    return r.Rounding(0.0, 0.0, 4 * q.unit + terms * q.unit, q.tiny)


def _rounding_of_loss(r: Any, q: Any) -> Any:
    terms = q.case["m"] * (q.case["n"] if q.case.value("smooth") else 1)
    return r.Rounding(0.0, 0.0, softmax.spread(q) + (4 + terms) * q.unit, softmax.spread(q) + q.tiny)


def _rounding_of_logits(r: Any, q: Any) -> Any:
    spread = softmax.spread(q)
    return r.Rounding(spread, 1.0 / max(q.case["m"], 1), spread, 16 * q.tiny)


def _index(case: Case, a: Arrays) -> Array:
    """Row and label of each sample."""
    return np.stack([np.arange(len(a["Y"])), a["Y"].reshape(-1)], axis=1)


def _probabilities(case: Case, a: Arrays) -> Array:
    e = np.exp(a["X"] - a["X"].max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


_FAMILIES = ("probabilities", "missing", "tiny", "certain", "impossible")
_CORNERS = tuple(corner_shapes.rows(*_FAMILIES, options=True))
_OF_LOGITS = tuple(corner_shapes.rows("normal", "overflow", "constant", "masked", "missing", options=True))

COST = Entry(
    name="cross_entropy_cost",
    grammar=(ROWS,),
    arrays=("AL", "Y"),
    outputs=("loss",),
    options=(LABEL_SMOOTHING, IGNORED),
    shapes={"AL": ROWS, "X": ROWS, "Y": ("m",)},
    call=Call(("AL", "Y"), keywords=True, by_hand=Made("CrossEntropy", {"AL": "AL", "Y_index": _index})),
    oracle=_oracle,
    reference=_cost,
    bound=lambda rules: rules.loss,
    rounding=_rounding,
    traits=frozenset({"probabilities", "labels", "inexact"}),
    corners=_CORNERS,
    forms={"loss": Form(None)},
    dim=("impossible",),
    pools={"m": SAMPLES},
    convention=lambda models: models.loss,
)
BACKWARD = COST.gradient(
    "cross_entropy_backward",
    upstream=None,
    wanted={"dAL": "AL"},
    call=Call((CACHE,), keywords=True),
    reference=_backward,
    bound=lambda rules: rules.function(
        lambda f, case, a, y: rules.losses.cross_entropy_backward(f, case, a["AL"], a["Y"])
    ),
    rounding=lambda r, q: r.Rounding(0.0, 0.0, 4 * q.unit, q.tiny),
    corners=_CORNERS,
    dim=("tiny",),  # one gradient of the column may be all of it
    convention=lambda models: models.loss,
)
FUSED = Entry(
    name="softmax_cross_entropy",
    grammar=(ROWS,),
    arrays=("X", "Y"),
    outputs=("loss",),
    options=(LABEL_SMOOTHING, IGNORED),
    shapes={"X": ROWS, "Y": ("m",)},
    call=Call(("X", "Y"), keywords=True, by_hand=Made("SoftmaxCrossEntropy", {"X": "X", "Y_index": _index})),
    oracle=_oracle_of_logits,
    reference=_fused,
    bound=lambda rules: rules.softmax_cross_entropy,
    accuracies=("relative", "absolute"),
    rounding=_rounding_of_loss,
    traits=frozenset({"logits", "labels", "inexact"}),
    corners=_OF_LOGITS,
    forms={"loss": Form(None, rounded=True)},
    pools={"m": SAMPLES},
    convention=lambda models: models.loss,
)
OF_LOGITS = BACKWARD.gradient(
    "softmax_cross_entropy_backward",
    upstream=None,
    wanted={"dX": "X"},
    arrays=("X", "Y"),
    forward=COST.name,
    call=Call(
        (CACHE,),
        keywords=True,
        given={"AL": Returned("softmax", _probabilities)},
        fused=FUSED.name,
    ),
    oracle=_oracle_of_logits,
    reference=_of_logits,
    bound=lambda rules: rules.softmax_cross_entropy_backward,
    accuracies=("relative", "absolute"),
    rounding=_rounding_of_logits,
    traits=frozenset({"logits", "labels", "inexact"}),
    corners=_OF_LOGITS,
    convention=lambda models: models.softmax_cross_entropy_backward,
)
ENTRIES = (COST, BACKWARD, FUSED, OF_LOGITS)
