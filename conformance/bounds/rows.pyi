from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format

_Values = NDArray[np.float64]

@final
class Softmax:
    below: _Values
    y: _Values
    e: _Values
    sums: _Values
    shift: _Values
    logarithms: _Values
    added: _Values
    def __new__(cls, form: Format, X: NDArray[Any], summed: bool = False) -> Softmax: ...

def softmax(form: Format, X: NDArray[Any], summed: bool) -> _Values: ...
def softmax_backward(form: Format, X: NDArray[Any], dprobs: NDArray[Any], summed: bool) -> _Values: ...
def log_softmax(form: Format, X: NDArray[Any], summed: bool) -> _Values: ...
def log_softmax_backward(form: Format, X: NDArray[Any], dlogp: NDArray[Any], summed: bool) -> _Values: ...
