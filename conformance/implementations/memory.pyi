from typing import Any

from numpy.typing import NDArray

def same_bytes(one: NDArray[Any], other: NDArray[Any]) -> bool: ...
