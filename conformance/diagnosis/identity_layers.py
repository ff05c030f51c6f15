"""A forward function and its gradient, called on integers drawn here: what the identities are asked of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.generation.arrays import array_shapes
from conformance.generation.random import Stream
from conformance.operations import OPERATIONS
from conformance.verdict.compare import fitted

if TYPE_CHECKING:
    from conformance.implementations.implementation import Implementation

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Layer:
    """A forward function, its gradient, and what of them the identities are about."""

    forward: str
    backward: str
    #: Gradients by the argument they belong to, of those in which the function is homogeneous.
    gradients: Mapping[str, str]
    upstream: str

    @property
    def output(self) -> str:
        """The output of the forward function."""
        return OPERATIONS[self.forward].outputs[0]


#: The layers in the contract's order.
_LAYERS = tuple(
    Layer(entry.forward, entry.name, entry.gradients, entry.upstream or entry.arrays[0])
    for entry in OPERATIONS.values()
    if entry.gradients and entry.forward in OPERATIONS
)
#: The layers by either of their functions.
LAYERS = {op: layer for layer in _LAYERS for op in (layer.forward, layer.backward)}


class Asked:
    """One draw of integers, and what an implementation answers on it."""

    def __init__(self, implementation: Implementation, layer: Layer, case: Case, draw: int) -> None:
        self.implementation, self.layer, self.case = implementation, layer, case
        shapes = array_shapes(self._of(layer.forward, case))
        upstream = array_shapes(self._of(layer.backward, case))[layer.upstream]
        stream = Stream(f"identities:{case}:{draw}")
        self._divisors = set(OPERATIONS[layer.forward].divisors(case))
        self.arrays = {name: self._integers(stream, shape) for name, shape in shapes.items()}
        self.upstream = self._integers(stream, upstream)
        #: Outputs that came without the right shape, so that nothing can be asked of them.
        self.unfit: list[str] = []

    @staticmethod
    def _of(op: str, case: Case) -> Case:
        return case.replace(op=op)

    def _integers(self, stream: Stream, shape: tuple[int, ...]) -> Array:
        """+-1 to +-7; for means positive multiples of what they are divided by, so that nothing cancels."""
        values = stream.integers(1, 7, shape).astype(np.float64)
        multiple = math.lcm(*self._divisors)
        return values * stream.signs(shape) if multiple == 1 else values * multiple

    @property
    def slack(self) -> float:
        """The relative rounding of one output: 0 but for means."""
        unit = float(finfo(self.case.numpy_dtype).eps)
        rounded = any(divisor & (divisor - 1) for divisor in self._divisors)
        return (max(self._divisors) + 2) * unit if rounded else 0.0

    def forward(self, case: Case, arrays: Arrays) -> Array | None:
        """The forward function's output; None without one of the right shape."""
        return self._call(self._of(self.layer.forward, case), arrays).get(self.layer.output)

    def backward(self, case: Case, arrays: Arrays, upstream: Array) -> dict[str, Array]:
        """The gradients of the right shape by their names."""
        given = {**arrays, self.layer.upstream: upstream}
        found = self._call(self._of(self.layer.backward, case), given)
        # A documented mean over the batch is the gradient but for that factor.
        if (
            self.implementation.settings.value("affine-gradient") == "mean"
            and "affine" in case.operation.traits
        ):
            found = {n: v if n == "dA_prev" else v * case["m"] for n, v in found.items()}
        return found

    def _call(self, case: Case, arrays: Arrays) -> dict[str, Array]:
        if not self.implementation.has(case.op):
            return {}
        given = {n: np.array(arrays[n], case.numpy_dtype, order="C") for n in case.operation.arrays}
        outcome = self.implementation.call(case, given)
        shapes = _shapes(case)
        found = {}
        for name, value in outcome.outputs.items():
            if self.implementation.settings.lenient_shapes:
                value = fitted(value, shapes[name])
            if isinstance(value, np.ndarray) and value.shape == shapes[name] and value.dtype.kind == "f":
                found[name] = value.astype(np.float64)
            else:
                self.unfit.append(f"{case.op}.{name}")
        return found

    def same(self, got: Array, wanted: Array) -> bool:
        """Whether two arrays are equal; for means, but for rounding."""
        if got.shape != wanted.shape:
            return False
        with np.errstate(all="ignore"):
            return bool((np.abs(got - wanted) <= 2 * self.slack * np.abs(wanted)).all())


def _shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """The shape of each output of a layer's function."""
    arrays = array_shapes(case)
    layer = LAYERS[case.op]
    if case.op == layer.backward:
        forward = array_shapes(case.replace(op=layer.forward))
        return {
            output: forward[name]
            for name, output in (*layer.gradients.items(), ("b", "db"))
            if name in forward
        }
    return {layer.output: array_shapes(case.replace(op=layer.backward))[layer.upstream] if arrays else ()}
