"""Zero padding of images, and the cutting off of it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Arrays, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _padded(torch: Any, case: Case, t: Tensors) -> Any:
    p = case["p"]
    return torch.nn.functional.pad(t["input"], (0, 0, p, p, p, p))


def _forward(case: Case, a: Arrays) -> Outputs:
    p = case["p"]
    return {"output": np.pad(a["input"], ((0, 0), (p, p), (p, p), (0, 0)))}


def _backward(case: Case, a: Arrays) -> Outputs:
    p = case["p"]
    return {"dinput": a["doutput"][:, p : p + case["h"], p : p + case["w"]]}


def _extents(case: Case) -> tuple[int, ...]:
    return case["m"], case["h"] + 2 * case["p"], case["w"] + 2 * case["p"], case["c"]


_CORNERS = tuple(corner_shapes.images("coordinates", pads=(0, 2, 7)))

FORWARD = Entry(
    name="pad3d",
    grammar=(IMAGE, ("p",)),
    arrays=("input",),
    outputs=("output",),
    call=plain("input", Parameter("p")),
    oracle=_padded,
    reference=_forward,
    traits=frozenset({"moves"}),
    corners=_CORNERS,
    linear={"output": (("input", None),)},
)
BACKWARD = FORWARD.gradient(
    "pad3d_backward",
    upstream="doutput",
    wanted={"dinput": "input"},
    arrays=("doutput",),
    shapes={"doutput": _extents},
    call=plain("doutput", Parameter("p")),
    reference=_backward,
    corners=_CORNERS,
    gradients={"input": "dinput"},
)
ENTRIES = (FORWARD, BACKWARD)
