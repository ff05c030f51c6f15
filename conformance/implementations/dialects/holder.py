"""The parameters and gradients that an instance of a layer holds, wherever it holds them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from conformance.implementations.dialects.arrays import Array, inward
from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.table import Row

#: What a parameter is called.
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "weight": ("W", "w", "weight", "weights", "kernel", "kernels", "filters", "filter", "gamma", "_W", "_w",
               "alpha", "slope", "slopes", "a"),
    "bias": ("b", "bias", "biases", "beta", "B", "_b"),
    "running_mean": ("running_mean", "moving_mean", "mean_running", "global_mean"),
    "running_var": ("running_var", "moving_var", "moving_variance", "running_variance", "global_var"),
}  # fmt: skip
#: What stands before or behind that of a gradient.
_GRADIENTS = ("d{}", "d_{}", "grad_{}", "{}_grad", "grad{}", "{}_gradient", "gradient_{}", "D{}", "_d{}")
_DICTIONARIES = ("params", "parameters", "_params", "weights")
_OF_GRADIENTS = ("grads", "gradients", "grad", "_grads", "dparams")


class Place(NamedTuple):
    """An array of an instance: in its attributes or in a dictionary, or what is beside it as ``grad``."""

    mapping: dict[str, Any]
    key: str
    grad: bool = False

    @property
    def value(self) -> Any:
        """What is there."""
        value = self.mapping[self.key]
        if self.grad:
            return value.grad
        return value if isinstance(value, np.ndarray) or not hasattr(value, "data") else value.data

    def put(self, value: Array) -> None:
        """Put an array there."""
        there = self.mapping.get(self.key)
        if there is None or isinstance(there, np.ndarray) or not hasattr(there, "data"):
            self.mapping[self.key] = value
        else:
            there.data = value


class Holder:
    """Where an instance holds what a case needs.

    Parameters
    ----------
    instance : object
        The layer.
    row : Row
        What it computes.
    layout : str
        Of its images.
    arranged : dict
        How weights of earlier instances, no two of whose extents were the same, were found to be arranged.
    """

    def __init__(self, instance: Any, row: Row, layout: str, arranged: dict[str, tuple[int, ...]]) -> None:
        self._instance, self._row, self._layout, self._arranged = instance, row, layout, arranged
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._kept_part: float | None = None
        self._values = 0

    def put(self, parameters: Mapping[str, Array]) -> None:
        """Give the instance its parameters, in the shapes of those it has.

        Raises
        ------
        DialectError
            If it has no such parameter, or one of another size.
        """
        for name, value in parameters.items():
            place, there = self._found(name)
            if place is None:
                raise DialectError(
                    f"{type(self._instance).__name__} has no {' or '.join(_PARAMETERS[name][:4])}"
                )
            if name == "weight" and self._row.arrays["weight"] in ("filters", "matrix"):
                given = value.transpose(self._axes(value, there))
            elif there is not None and np.size(there) == value.size:
                given = value.reshape(np.shape(there))
            else:
                given = value
            self._shapes[name] = given.shape
            place.put(np.array(given, order="C"))

    def back(self, name: str, value: Any) -> Any:
        """A gradient of the instance as the contract has it."""
        kind = self._row.arrays[name]
        if not isinstance(value, np.ndarray):
            return value
        if kind in ("filters", "matrix"):
            axes = self._axes_of(name, value.ndim)
            return (
                np.ascontiguousarray(value.transpose(np.argsort(axes))) if len(axes) == value.ndim else value
            )
        return value.reshape((1, 1, 1, -1) if kind == "channels" else (1, -1))

    def gradient(self, name: str) -> Any:
        """The gradient of a parameter; None where there is none."""
        place = self._gradient_place(name)
        return None if place is None else place.value

    def zero(self) -> None:
        """Zero the gradients that are added to."""
        for name in ("weight", "bias"):
            value = self.gradient(name) if name in self._row.arrays else None
            if isinstance(value, np.ndarray) and value.flags.writeable:
                value[...] = 0

    def put_statistics(self, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> None:
        """Give a normalization its running statistics, momentum and epsilon."""
        mean, variance = (inward("channels", arrays[n]) for n in ("running_mean", "running_var"))
        momentum = getattr(self._instance, "momentum", None)
        shape = arrays["input"].shape
        self._values = int(np.prod(shape[:-1])) if options["training"] else 0
        usual = _default(type(self._instance), ("momentum", "decay"))
        if momentum is not None:
            # Where 0.9 is usual it is the part that is kept, and the variance is divided by n.
            self._kept_part = 1 - options["momentum"] if (usual or 0) > 0.5 else None
            self._instance.momentum = options["momentum"] if self._kept_part is None else self._kept_part
        for name in ("eps", "epsilon"):
            if hasattr(self._instance, name):
                setattr(self._instance, name, options["epsilon"])
        if self._kept_part is not None and self._values > 1:
            variance = (variance.astype(np.float64) * (self._values - 1) / self._values).astype(
                variance.dtype
            )
        for name, value in (("running_mean", mean), ("running_var", variance)):
            place, there = self._found(name)
            fitting = there is not None and np.size(there) == value.size
            place = place or Place(vars(self._instance), name)
            place.put(value.reshape(np.shape(there)) if fitting else value)

    def statistics(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """The running statistics of a normalization, as the contract has them."""
        found = {}
        for name in ("running_mean", "running_var"):
            value = np.asarray(self._found(name)[1]).reshape(1, 1, 1, -1)
            if name == "running_var" and self._kept_part is not None and self._values > 1:
                value = (value.astype(np.float64) * self._values / (self._values - 1)).astype(value.dtype)
            found[name] = value
        return found

    def _axes(self, value: Array, there: Any) -> tuple[int, ...]:
        """How the axes of a weight of the contract go into one of the instance's shape."""
        shape = np.shape(there)
        usual = self._axes_of("weight", value.ndim)
        if len(shape) != value.ndim or there is None:
            return usual
        fitting = [a for a in permutations(range(value.ndim)) if tuple(value.shape[i] for i in a) == shape]
        if usual in fitting:
            return usual
        if not fitting:
            raise DialectError(
                f"{type(self._instance).__name__}: its weight has shape {shape}, "
                f"expected an order of {value.shape}"
            )
        # Rows and columns of a window are in that order in every layout.
        plain = [a for a in fitting if value.ndim == 2 or a.index(0) < a.index(1)] or fitting
        if len(plain) == 1:
            self._arranged[self._row.name] = plain[0]
        return plain[0]

    def _axes_of(self, name: str, ndim: int) -> tuple[int, ...]:
        if self._row.name in self._arranged:
            return self._arranged[self._row.name]
        if ndim == 2:
            return (0, 1)
        return (3, 2, 0, 1) if self._layout == "NCHW" else (0, 1, 2, 3)

    def _found(self, name: str) -> tuple[Place | None, Any]:
        """Where a parameter is, and what is there."""
        for also in _PARAMETERS[name]:
            for mapping in self._mappings(_DICTIONARIES):
                if also in mapping and not isinstance(mapping[also], (bool, dict, list)):
                    place = Place(mapping, also)
                    return place, place.value
        return None, None

    def _gradient_place(self, name: str) -> Place | None:
        own, *dictionaries = self._mappings(_OF_GRADIENTS)
        for also in _PARAMETERS[name]:
            forms = [form.format(also) for form in _GRADIENTS]
            for mapping in (own, *dictionaries):
                for key in forms if mapping is own else (*forms, also):
                    if key in mapping:
                        return Place(mapping, key)
        place, _ = self._found(name)
        if place is not None and hasattr(place.mapping[place.key], "grad"):
            return place._replace(grad=True)
        return None

    def _mappings(self, names: tuple[str, ...]) -> list[dict[str, Any]]:
        """The attributes of the instance, and those of them that are dictionaries of these names."""
        own = vars(self._instance)
        return [own, *(own[name] for name in names if isinstance(own.get(name), dict))]


def _default(kind: Any, names: tuple[str, ...]) -> Any:
    """The default of a parameter of a constructor."""
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in names and isinstance(parameter.default, (int, float)):
            return parameter.default
    return None
