from typing import Any

import numpy as np
from numpy.typing import NDArray

_Index = tuple[int, ...]

def compared(
    got: Any,
    expected: NDArray[np.float64],
    limit: NDArray[np.float64],
    statistical: NDArray[np.float64] | None,
    grid: tuple[float, float, float, float],
) -> tuple[int, int, float, float, _Index, float, float, tuple[float, _Index, float, float] | None]: ...
