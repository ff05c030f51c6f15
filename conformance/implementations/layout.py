"""Arrays in the layout an implementation declares: ``layout = "NCHW"`` in its module, else NHWC.

An implementation in NCHW is given images ``(m, C, H, W)``, filters OIHW ``(n_C, n_C_prev, f, f)``, conv
biases ``(1, n_C, 1, 1)``, the window of conv_single_step and its filter ``(C, f, f)``, and gives its
outputs likewise; the rows of arr2col run over ``(c, h, w)`` then. A mask, a matrix and a row stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case

LAYOUTS = ("NHWC", "NCHW")

_IMAGE, _FILTER, _WINDOW = (0, 3, 1, 2), (3, 2, 0, 1), (2, 0, 1)

#: Of each contract array, how its axes go into NCHW. Only arrays of that many axes are meant.
_AXES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("input", "doutput", "A_prev", "dA_prev", "b", "db", "dZ", "dA", "A", "Z", "X"), _IMAGE),
    **dict.fromkeys(("output", "dinput"), _IMAGE),
    **dict.fromkeys(
        ("gamma", "beta", "running_mean", "running_var", "dgamma", "dbeta", "slopes", "dslopes"), _IMAGE
    ),
    "W": _FILTER,
    "dW": _FILTER,
    "a_slice_prev": _WINDOW,
}


def inward(case: Case, arrays: Mapping[str, NDArray[Any]], layout: str) -> dict[str, NDArray[Any]]:
    """`arrays` as the implementation wants them: contiguous, the same ones where nothing is to do."""
    if layout == "NHWC":
        return dict(arrays)
    flat = case.operation.flat
    return {
        name: _flat(image(case, array, layout))
        if name in flat
        else np.array(_permuted(name, array), order="C")
        for name, array in arrays.items()
    }


def outward(case: Case, outputs: Mapping[str, Any], layout: str) -> dict[str, Any]:
    """The outputs of the implementation in NHWC, as far as they have the axes for it."""
    if layout == "NHWC":
        return dict(outputs)
    flat = case.operation.flat
    return {
        name: _rows(case, value) if name in flat else _permuted(name, value, back=True)
        for name, value in outputs.items()
    }


def answered(case: Case, outputs: Mapping[str, NDArray[Any]], layout: str) -> dict[str, NDArray[Any]]:
    """Outputs in NHWC as an implementation of that layout gives them."""
    if layout == "NHWC":
        return dict(outputs)
    flat = case.operation.flat
    return {n: _flat(image(case, x, layout)) if n in flat else _permuted(n, x) for n, x in outputs.items()}


def image(case: Case, array: NDArray[Any], layout: str) -> NDArray[Any]:
    """``(m, H, W, C)``, or a matrix of such rows, as an image of the layout."""
    whole = array.reshape(case["m"], case["h"], case["w"], case["c"])
    return whole if layout == "NHWC" else np.array(whole.transpose(_IMAGE), order="C")


def _rows(case: Case, flat: Any) -> Any:
    """Rows over ``(c, h, w)`` as rows over ``(h, w, c)``, where they are such rows."""
    m, h, w, c = (case[n] for n in "mhwc")
    if not isinstance(flat, np.ndarray) or flat.shape != (m, h * w * c):
        return _permuted("output", flat, back=True)
    return _flat(flat.reshape(m, c, h, w).transpose(0, 2, 3, 1))


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), int(np.prod(array.shape[1:])))


def _permuted(name: str, value: Any, back: bool = False) -> Any:
    axes = _AXES.get(name)
    if name == "W" and isinstance(value, np.ndarray) and value.ndim == 3:
        axes = _WINDOW
    if axes is None or not isinstance(value, np.ndarray) or value.ndim != len(axes):
        return value
    return value.transpose(tuple(np.argsort(axes)) if back else axes)
