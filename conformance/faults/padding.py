"""Faults of what stands in the border of an image: of padding, and of a convolution that pads by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.cases.axis import Axis
from conformance.cases.case import Case
from conformance.cases.window import Window, window_of
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs

_CONV = {"conv_forward": "Z", "conv_backward": "dA_prev dW"}


def _filled(id: str, text: str, also: dict[str, str], **how: Any) -> None:
    """A slip that fills the border as `numpy.pad` does, of `pad3d` and of `also`."""

    @slip(id, text, {"pad3d": "output", **also})
    def wrong(case: Case, a: Arrays, base: Base) -> Outputs:
        image = a[case.operation.arrays[0]]
        if not (image.size or "constant_values" in how):
            return {}
        if "s" not in case.operation.parameters:  # it pads, and does nothing else
            return {
                case.operation.outputs[0]: np.pad(
                    image, _sides((case["p"], case["p"]), (case["p"], case["p"])), **how
                )
            }
        window = window_of(case)
        rows, columns = _ends(window.rows), _ends(window.columns)
        padded = np.pad(image, _sides(rows, columns), **how)
        whole = Window(_whole(window.rows, padded.shape[1]), _whole(window.columns, padded.shape[2]))
        out = base(case, {**a, "A_prev": padded}, window=whole)
        if "dA_prev" in out and not how.get("constant_values"):
            out["dA_prev"] = _folded(out["dA_prev"], image.shape, (rows, columns), how)
        else:
            out.pop("dA_prev", None)
        return out


def _ends(axis: Axis) -> tuple[int, int]:
    return axis.before, max(axis.after, 0)


def _sides(rows: tuple[int, int], columns: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return ((0, 0), rows, columns, (0, 0))


def _whole(axis: Axis, extent: int) -> Axis:
    """The same places of an axis that holds its padding."""
    return axis.but(n=extent, before=0, after=0)


def _folded(
    gradient: Array, shape: tuple[int, ...], sides: tuple[tuple[int, int], ...], how: dict[str, Any]
) -> Array:
    """The gradient of what was repeated, added up where it came from."""
    places = [np.pad(np.arange(n), side, **how) for n, side in zip(shape[1:3], sides, strict=True)]
    folded = np.zeros(shape)
    np.add.at(folded, np.ix_(np.arange(shape[0]), *places, np.arange(shape[3])), gradient)
    return folded


_filled("padding-replicated", "The border is filled with the edge's values instead of 0.", _CONV, mode="edge")
_filled("padding-reflected", "The border is a mirror image of what is inside, not 0.", _CONV, mode="reflect")
_filled("padding-wrapped", "The border is filled from the opposite edge, not with 0.", _CONV, mode="wrap")
_filled(
    "padding-of-ones",
    "The border is filled with 1 instead of 0.",
    {"conv_forward": "Z", "conv_backward": "dW"},
    constant_values=1.0,
)
