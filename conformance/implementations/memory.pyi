from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

def dirty(expected: Mapping[str, NDArray[Any]], dtype: np.dtype[Any], value: float) -> None: ...
def same_bytes(one: NDArray[Any], other: NDArray[Any]) -> bool: ...
