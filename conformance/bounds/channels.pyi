from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Format

_Values = NDArray[np.float64]
_Array = NDArray[Any]

def forward(
    form: Format,
    random: float,
    training: bool,
    momentum: float,
    epsilon: float,
    A_prev: _Array,
    gamma: _Array,
    beta: _Array,
    running_mean: _Array,
    running_var: _Array,
) -> dict[str, _Values]: ...
def backward(
    form: Format,
    random: float,
    training: bool,
    epsilon: float,
    A_prev: _Array,
    gamma: _Array,
    running_mean: _Array,
    running_var: _Array,
    dA: _Array,
) -> dict[str, _Values]: ...
