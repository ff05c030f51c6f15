from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format

_Values = NDArray[np.float64]

@final
class Targets:
    m: int
    n: int
    count: int
    made: int
    def __new__(cls, Y: NDArray[Any], n: int, ignored: object, e: float, made: int) -> Targets: ...

def loss_terms(t: Targets, AL: NDArray[Any]) -> _Values: ...
def cross_entropy_backward(form: Format, t: Targets, AL: NDArray[Any]) -> _Values: ...
def softmax_cross_entropy_backward(form: Format, t: Targets, X: NDArray[Any], summed: bool) -> _Values: ...
