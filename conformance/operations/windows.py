"""The steps that the post's pooling is made of: the mask of a maximum, and a value spread over a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.request import Number
from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import Array, Arrays, Entry, Form, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _argmax(torch: Any, case: Case, t: Tensors) -> Any:
    """One at torch's argument of the maximum: the first of equals, the last NaN if there is one."""
    x = t["x"]
    functional = torch.nn.functional
    _, index = functional.max_pool2d(x[None, None], tuple(x.shape), return_indices=True)
    return functional.one_hot(index.reshape(()), x.numel()).reshape(x.shape).to(torch.float64)


def _spread(torch: Any, case: Case, t: Tensors) -> Any:
    return (t["dz"] / (case["h"] * case["w"])).expand(case["h"], case["w"])


def chosen(values: Array, ties: str, nan: str = "last", possible: Array | None = None) -> Array:
    """The share of the gradient that each entry of the last-but-one axis receives.

    Ties go to the ``first`` maximum, the ``last``, ``all`` of them in full or ``shared`` equally. Among
    NaN the ``last`` or the ``first`` gets all of it; or all shares are NaN (``spread``) or 0 (``none``).
    Entries that are not `possible` get nothing.
    """
    is_nan = np.isnan(values)
    some = is_nan.any(-2, keepdims=True)
    number = np.where(is_nan, -np.inf, values)
    candidates = np.where(some, is_nan, number == number.max(-2, keepdims=True))
    if possible is not None:
        candidates = candidates & possible
    last = np.where(some, nan == "last", ties == "last")
    first_seen = (np.cumsum(candidates, -2) == 1) & candidates
    last_seen = (np.cumsum(candidates[..., ::-1, :], -2)[..., ::-1, :] == 1) & candidates
    if ties in ("all", "shared"):
        share = candidates / (1.0 if ties == "all" else candidates.sum(-2, keepdims=True))
        first_seen = np.where(some, first_seen, share)
    out = np.where(last, last_seen, first_seen).astype(np.float64)
    if nan in ("spread", "none"):
        out = np.where(some, np.nan if nan == "spread" else 0.0, out)
    return np.asarray(out)


def _mask(case: Case, a: Arrays, ties: str = "first", nan: str = "last") -> Outputs:
    return {"mask": chosen(a["x"].reshape(-1, 1), ties, nan).reshape(a["x"].shape)}


def _distribute(case: Case, a: Arrays, divisor: float | None = None) -> Outputs:
    size = case["h"] * case["w"]
    return {"a": np.full((case["h"], case["w"]), a["dz"] / (divisor or size or 1))}


MASK = Entry(
    name="create_mask_from_window",
    grammar=(("h", "w"),),
    arrays=("x",),
    outputs=("mask",),
    shapes={"x": ("h", "w")},
    call=plain("x"),
    oracle=_argmax,
    reference=_mask,
    traits=frozenset({"mask"}),
    corners=tuple(corner_shapes.windows("coordinates", "ties", "nan", "lowest", "negative")),
    pools={"h": tuple(range(1, 15)), "w": tuple(range(1, 19))},
    convention=lambda models: models.mask,
)
SHARE = Entry(
    name="distribute_value",
    grammar=(("h", "w"),),
    arrays=("dz",),
    outputs=("a",),
    shapes={"dz": ()},
    call=plain(Number("dz"), (Parameter("h"), Parameter("w"))),
    oracle=_spread,
    reference=_distribute,
    bound=lambda rules: rules.stated(
        lambda case, a, y: rules.functions.distribute(y["a"], rules.FORMATS[case.dtype])
    ),
    rounding=lambda r, q: r.Rounding(0.0, 0.0, 4 * q.unit, 0.0),
    traits=frozenset({"share"}),
    corners=tuple(corner_shapes.windows("wide-x")),
    divisors=lambda case: {case["h"] * case["w"]},
    forms={"a": Form("float64")},
    pools={"h": tuple(range(1, 17)), "w": tuple(range(1, 19))},
    linear={"a": (("dz", None),)},
)
ENTRIES = (MASK, SHARE)
