"""Images as rows of numbers and back: ``arr2col``, ``col2arr``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.call import CACHE, Call
from conformance.operations.entry import IMAGE, Arrays, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _rows(case: Case) -> tuple[int, int]:
    return case["m"], case["h"] * case["w"] * case["c"]


def _images(case: Case) -> tuple[int, ...]:
    return tuple([case[name] for name in IMAGE])


def _to_columns(torch: Any, case: Case, t: Tensors) -> Any:
    return t["X"].reshape(_rows(case))


def _from_columns(torch: Any, case: Case, t: Tensors) -> Any:
    return t["X"].reshape(_images(case))


def _arr2col(case: Case, a: Arrays, order: str = "hwc") -> Outputs:
    axes = (0, *(1 + "hwc".index(letter) for letter in order))
    return {"output": a["X"].transpose(axes).reshape(a["X"].shape[0], -1)}


def _col2arr(case: Case, a: Arrays, order: str = "hwc") -> Outputs:
    extents = (case["m"], *(case[letter] for letter in order))
    axes = (0, *(1 + order.index(letter) for letter in "hwc"))
    return {"output": a["X"].reshape(extents).transpose(axes)}


def _other(case: Case, a: Arrays) -> Any:
    # Only the shape of the cache may matter: an answer that is the cache itself has to show.
    return np.full(_images(case), 3, np.asarray(a["X"]).dtype)


_CORNERS = tuple(corner_shapes.images("coordinates"))

ARR2COL = Entry(
    name="arr2col",
    grammar=(IMAGE,),
    arrays=("X",),
    outputs=("output",),
    call=plain("X", by_hand="X"),
    oracle=_to_columns,
    reference=_arr2col,
    traits=frozenset({"moves", "moves anything"}),
    corners=_CORNERS,
    flat=("output",),
    linear={"output": (("X", None),)},
)
COL2ARR = Entry(
    name="col2arr",
    grammar=(IMAGE,),
    arrays=("X",),
    outputs=("output",),
    forward="arr2col",
    shapes={"X": _rows},
    call=Call(("X", CACHE), given={"X": _other}),
    oracle=_from_columns,
    reference=_col2arr,
    traits=frozenset({"moves"}),
    corners=_CORNERS,
    flat=("X",),
    linear={"output": (("X", None),)},
    gradients={"X": "output"},
)
ENTRIES = (ARR2COL, COL2ARR)
