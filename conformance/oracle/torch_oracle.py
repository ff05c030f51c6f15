"""What the right answer is: PyTorch autograd in float64 on the arrays the implementation saw.

The only file of the suite that imports torch; the entries of the operations are handed it. Images come and go
as NHWC; oneDNN is off and torch runs on one thread, because the float32 NHWC kernels of torch 2.13 can
corrupt memory and because a reference must not depend on the machine. Where torch refuses (no channels, no
filters) or answers something else than the definition, the mathematics stands in its place, with the reason
beside it.

`evaluate` takes arrays of any float dtype, so that the error bounds can ask for the same operation
on ones (the number of terms), on absolute values and on squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from conformance.cases.case import Case
from conformance.operations import OPERATIONS

torch.set_num_threads(1)

Arrays = Mapping[str, NDArray[Any]]
Tensors = dict[str, Tensor]
Outputs = dict[str, NDArray[np.float64]]


def evaluate(case: Case, arrays: Arrays) -> Outputs:
    """The outputs of `case` on `arrays`, computed in float64.

    Parameters
    ----------
    case : Case
        The operation and its parameters.
    arrays : mapping of str to ndarray
        The arrays named in ``case.operation.arrays``, of any real dtype. ``Y`` holds class indices.

    Returns
    -------
    dict of str to ndarray of float64
        By the names in ``case.operation.outputs``. Every gradient is torch's own derivative of the
        forward function along the upstream gradient.
    """
    entry = case.operation
    variables = entry.wanted.values()
    tensors = {name: _tensor(arrays[name], name, name in variables) for name in entry.arrays}
    # Not the ``flags`` context manager: it sets TF32 as well, and warns that there is no Intel GPU.
    backend = cast(Any, torch.backends.mkldnn)
    onednn = backend.enabled
    backend.enabled = False
    try:
        if variables:
            outputs = _backward(case, tensors)
        else:
            with torch.inference_mode():
                value = entry.oracle(torch, case, tensors)
            outputs = value if isinstance(value, dict) else {entry.outputs[0]: value}
    finally:
        backend.enabled = onednn
    return {name: value.contiguous().numpy() for name, value in outputs.items()}


def _tensor(array: NDArray[Any], name: str, differentiable: bool) -> Tensor:
    dtype = np.int64 if name == "Y" else np.float64
    # A copy: the caller's array may be read-only, and nothing here may reach back into it.
    return torch.from_numpy(np.array(array, dtype=dtype, order="C")).requires_grad_(differentiable)


def _backward(case: Case, t: Tensors) -> Tensors:
    """Differentiate the forward function of `case` along its upstream gradient."""
    entry = case.operation
    wanted = entry.wanted
    for name in wanted.values():
        if name not in t:  # of a linear function the gradient is the same wherever it is taken
            shape = OPERATIONS[str(entry.forward)].shape(case, name)
            t[name] = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    value = entry.oracle(torch, case, t)
    if isinstance(value, dict):
        value = next(iter(value.values()))
    if entry.upstream:
        # The gradient of this sum is the upstream one, to the bit. Handed over as `grad_outputs`, it would
        # make PyTorch import SymPy to compare two shapes: a second of every run.
        value = (value * t[entry.upstream]).sum()
    # An operand that the mathematics of an empty sum leaves out has gradient zero.
    gradients = torch.autograd.grad(value, [t[name] for name in wanted.values()], materialize_grads=True)
    return dict(zip(wanted, gradients, strict=True))


def erfc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """One less the error function."""
    found: NDArray[np.float64] = torch.special.erfc(torch.from_numpy(x)).numpy()
    return found
