"""What the losses of each element and its target have in common: what one is stands in its own file.

A loss is the mean of ``value(case, X, T)`` over all elements, and its gradient that of ``slope``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.options import Option
from conformance.cases.request import Made
from conformance.operations import corner_shapes
from conformance.operations.affine import SAMPLES
from conformance.operations.call import CACHE, Call, Parameter
from conformance.operations.entry import ROWS, Array, Arrays, Corner, Entry, Form, Outputs, Tensors

if TYPE_CHECKING:
    from conformance.cases.case import Case

#: ``(case, X, T)`` to a number for each element.
Term = Callable[["Case", Array, Array], Array]

_MEAN = "pytorch #70348, #116349: the mean of nothing"


def count(case: Case) -> int:
    """By what the sum over all elements is divided."""
    return case["m"] * case["n"]


def pair(
    name: str,
    oracle: Callable[[Any, Case, Tensors], Any],
    value: Term,
    slope: Term,
    *,
    option: Option | None = None,
    traits: Sequence[str] = (),
    families: Sequence[str] = (),
    corners: Sequence[Corner] = (),
) -> tuple[Entry, Entry]:
    """The entries of a loss and of its gradient; its bounds are those of this name in `bounds.element_loss`.

    Parameters
    ----------
    name : str
        The function's.
    oracle : callable
        PyTorch's, as of an `Entry`.
    value, slope : callable
        The loss of each element and its derivative, in float64.
    option : Option, optional
        The number that it is given beside its arrays.
    traits : sequence of str
        Beside `losses`, which all have.
    families : sequence of str
        With which data its corner shapes are filled, beside normal ones.
    corners : sequence of Corner
        Its own, beside those of all.
    """
    words = () if option is None else (Parameter(option.name),)

    def forward(case: Case, a: Arrays, of: Term = value, over: float | None = None) -> Outputs:
        """Of which terms the sum is, and by what it is divided, are left open."""
        by = count(case) if over is None else over
        return {"loss": np.asarray(of(case, a["X"], a["T"]).sum() / np.float64(by or np.nan))}

    def backward(case: Case, a: Arrays, of: Term = slope, over: float | None = None) -> Outputs:
        return {"dX": of(case, a["X"], a["T"]) / (count(case) if over is None else over)}

    shapes: tuple[Corner, ...] = (
        *corners,
        ("no-columns", _MEAN, "m3n0", "normal"),
        ("many", "more than one chunk of a sum, and a tail of each kind", "m3n2731", "normal"),
        *corner_shapes.rows("normal", *families),
    )
    cost = Entry(
        name=name,
        grammar=(ROWS,),
        arrays=("X", "T"),
        outputs=("loss",),
        options=() if option is None else (option,),
        shapes={"X": ROWS, "T": ROWS},
        call=Call(("X", "T", *words), by_hand=Made("Loss", {"X": "X", "T": "T"})),
        oracle=oracle,
        reference=forward,
        bound=lambda rules: rules.element_loss(name),
        rounding=lambda r, q: _rounding(r, q, value),
        traits=frozenset({"losses", "inexact", *traits}),
        corners=shapes,
        forms={"loss": Form(None, rounded=True)},
        pools={"m": SAMPLES},
    )
    gradient = cost.gradient(
        f"{name}_backward",
        upstream=None,
        wanted={"dX": "X"},
        call=Call((CACHE, *words)),
        reference=backward,
        bound=lambda rules: rules.element_loss(name),
        rounding=lambda r, q: _rounding(r, q, slope),
        corners=shapes,
    )
    return cost, gradient


def _rounding(r: Any, q: Any, of: Term) -> Any:
    """The terms may cancel: what they are made of is as large as their arguments."""
    terms = count(q.case) if q.output == "loss" else 1
    found = np.abs(of(q.case, q.a["X"], q.a["T"]))
    size = float(np.max(found, initial=0.0, where=np.isfinite(found))) / max(count(q.case), 1)
    return r.Rounding(0.0, 0.0, (terms + 8) * q.unit, 8 * q.unit * size + 16 * q.tiny)
