from typing import Any

import numpy as np
from numpy.typing import NDArray

_Values = NDArray[np.float64]
_Places = NDArray[np.int64]
_Picked = dict[str, tuple[_Values, _Places]]
_Axis = tuple[int, int, int, int]

def convolution(
    sequence: _Values,
    extents: tuple[int, ...],
    down: _Axis,
    across: _Axis,
    channels: int,
    turned: bool,
    A_prev: NDArray[Any],
    W: NDArray[Any],
    dZ: NDArray[Any] | None,
) -> _Picked: ...
def affine(
    sequence: _Values,
    extents: tuple[int, int, int],
    A_prev: NDArray[Any],
    W: NDArray[Any],
    upstream: NDArray[Any] | None,
) -> _Picked: ...
def pooling(
    sequence: _Values,
    extents: tuple[int, ...],
    down: _Axis,
    across: _Axis,
    divisors: NDArray[Any] | None,
    A_prev: NDArray[Any],
    dA: NDArray[Any] | None,
) -> _Picked: ...
def pixels(sequence: _Values, extents: tuple[int, int, int, int], A_prev: NDArray[Any]) -> _Picked: ...
def seen(
    terms: NDArray[Any],
    limit: NDArray[Any],
    results: NDArray[Any],
    places: _Places | None,
    least: float,
) -> tuple[int, int]: ...
