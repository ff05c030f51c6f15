"""Which elements are wrong if a sigmoid is 0 below some small number: for what peers declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen


def lost(seen: Seen, least: float) -> NDArray[np.bool_]:
    """The elements of an output that come of a sigmoid below `least`; none for another activation."""
    from conformance.operations.sigmoid import sigmoid  # a witness alone needs it

    nothing = np.zeros((), np.bool_)
    if seen.arrays is None or seen.got is None:
        return nothing
    a: dict[str, Any] = {name: np.asarray(v, np.float64) for name, v in seen.arrays.items()}
    if "Z" in a:
        return np.asarray((seen.got == 0) & (sigmoid(a["Z"]) <= least))
    if seen.case.word("activation") != "sigmoid":
        return nothing
    small = np.asarray(sigmoid(a["A_prev"] @ a["W"] + a["b"]) <= least)
    if seen.output == "A":
        return np.asarray(small & (seen.got == 0))
    # Each row of dA_prev, each column of dW and db, is a sum over its row or column of dZ.
    return np.asarray(small.any(1 if seen.output == "dA_prev" else 0, keepdims=True))
