from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_Values = NDArray[np.float64]

PRODUCTS: Final[int]
ADDITIONS: Final[int]
MEAN: Final[int]

def parts(x: NDArray[Any], squares: bool) -> tuple[_Values, _Values, Any]: ...
def unit(x: NDArray[Any]) -> float: ...
def largest(x: NDArray[Any]) -> float: ...
def fits(x: NDArray[Any], single: bool) -> bool: ...
def limit(
    n: _Values,
    S: _Values,
    added: _Values,
    kind: int,
    u: float,
    w: float,
    largest: float,
    v: float,
    growth: float,
) -> _Values: ...
def statistical(n: _Values, Q: _Values, added: _Values, factor: float, w: float) -> _Values: ...
