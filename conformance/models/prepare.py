"""The process of `Model`: draws what both are called with, says what is right and how far rounding may lead.

It runs of the file what `Model` needs alone (`dialects.reference`), before `ModelNew` is loaded elsewhere,
and from then on lets no other process read it or write to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from conformance.generation.random import Stream
from conformance.implementations import guard
from conformance.implementations.dialects.model_tensors import gradients, leaves_of, named, outputs_of
from conformance.implementations.dialects.reference import built, names_of
from conformance.implementations.dialects.tensors import DTYPES as TORCH
from conformance.models.line import DTYPES, Line, Shape
from conformance.models.rounding import Exactness, Rounding

#: Elements of an input up to which its own batch is kept.
LARGEST = 1 << 17

#: Runs in which rounding is moved, and how many times the error of `Model` in the working dtype is allowed.
RUNS, OWN = 6, 2.0


class Reference:
    """The `Model` of a file."""

    def __init__(self, place: str) -> None:
        self._names = names_of(place)
        torch.manual_seed(0)
        self.model = built(self._names, "Model")
        self._inputs = [x for x in self._names["get_inputs"]()]
        floats = [x for x in self._inputs if isinstance(x, Tensor) and x.is_floating_point()]
        if not floats:
            raise ValueError("get_inputs() gives no floating tensor")
        self.dtype = DTYPES[str(floats[0].dtype).removeprefix("torch.")]
        self._state = {name: value.clone() for name, value in self.model.state_dict().items()}

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes that `get_inputs` gives, the batch smaller where they are large."""
        shapes = tuple(tuple(x.shape) for x in self._inputs if isinstance(x, Tensor))
        most = max(math.prod(shape) for shape in shapes)
        batch = shapes[0][0] if shapes[0] else 1
        return _other(shapes, max(1, min(batch, batch * LARGEST // max(most, 1))), 0, 0)

    def variants(self) -> list[tuple[Shape, ...]]:
        """Shapes that the model takes, its own first."""
        own = self.shapes
        asked = [
            own,
            *(_other(own, *more) for more in ((1, 0, 0), (3, 0, 0), (2, 1, 0), (2, 0, 3), (5, -1, -2))),
        ]
        found: list[tuple[Shape, ...]] = []
        for shapes in dict.fromkeys(asked):
            line = Line(self.dtype, shapes, "normal", 0)
            try:
                with torch.no_grad():
                    outputs_of(
                        self._model(torch.float64, self._parameters(line)), self._drawn(line, torch.float64)
                    )
                found.append(shapes)
            except Exception:
                if not found:
                    raise
        return found

    def described(self) -> dict[str, Any]:
        """What is the same in every case, and the shapes that there are."""
        variants = self.variants()
        _, limits, arrays = self.case(Line(self.dtype, variants[0], "small", 0))
        tensors = [(f"input.{i}", x) for i, x in enumerate(self._inputs) if isinstance(x, Tensor)]
        return {
            "dtype": self.dtype,
            "variants": variants,
            "inputs": [f"input.{i}" if isinstance(x, Tensor) else x for i, x in enumerate(self._inputs)],
            "floats": [name for name, x in tensors if x.is_floating_point()],
            "names": list(arrays),
            "outputs": list(limits),
        }

    def case(self, line: Line) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What is right, its limits, and what `ModelNew` is given."""
        double, dtype = torch.float64, TORCH[line.dtype]
        parameters, unit = self._parameters(line), torch.finfo(dtype).eps / 2
        shapes = [y.shape for y in outputs_of(self._model(double, parameters), self._drawn(line, double))]
        upstream = [
            torch.from_numpy(_filled(line, f"g{i}", tuple(shape))).to(dtype) for i, shape in enumerate(shapes)
        ]
        watching = Exactness(2 * unit)
        right = self._run(line, double, parameters, upstream, watching)
        limits = {name: np.zeros(value.shape) for name, value in right.items()}
        again = self._run(line, double, parameters, upstream, None)
        if any(not np.array_equal(again[name], right[name], equal_nan=True) for name in right):
            raise ValueError(
                "Model gives different values when it is called again: nothing can be compared with it"
            )
        if not watching.exact:
            seen = [self._run(line, double, parameters, upstream, Rounding(unit, k)) for k in range(RUNS)]
            own = self._run(line, dtype, parameters, upstream, None)
            for name, value in right.items():
                with np.errstate(all="ignore"):
                    moved = np.max([np.abs(run[name] - value) for run in seen], axis=0)
                    error = OWN * np.abs(own[name] - value)
                floor = 4 * unit * np.abs(value) + float(torch.finfo(dtype).tiny)
                limits[name] = np.nan_to_num(
                    np.maximum(np.maximum(moved, error), floor), nan=np.inf, posinf=np.inf
                )
        drawn = [(f"input.{i}", x) for i, x in enumerate(self._drawn(line, dtype)) if isinstance(x, Tensor)]
        arrays = {name: _double(x) if x.is_floating_point() else x.numpy() for name, x in drawn}
        arrays |= {f"parameter.{name}": _double(x) for name, x in parameters.items()}
        arrays |= {f"buffer.{name}": _double(x) for name, x in self._state.items() if name not in parameters}
        arrays |= {f"upstream.{i}": _double(g) for i, g in enumerate(upstream)}
        return right, limits, arrays

    def _run(
        self, line: Line, dtype: torch.dtype, parameters: Mapping[str, Tensor], upstream: Sequence[Tensor],
        mode: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Outputs and gradients in a dtype."""
        torch.manual_seed(line.seed)
        model, inputs = self._model(dtype, parameters), self._drawn(line, dtype)
        leaves = leaves_of(inputs, dict(model.named_parameters()))
        torch.set_default_dtype(dtype if dtype == torch.float64 else torch.float32)
        try:
            if mode is None:
                outputs = outputs_of(model, inputs)
                found = gradients(outputs, leaves, upstream)
            else:
                with mode:
                    outputs = outputs_of(model, inputs)
                    found = gradients(outputs, leaves, [g.double() for g in upstream])
        finally:
            torch.set_default_dtype(torch.float32)
        return {name: _double(value) for name, value in (named(outputs) | found).items()}

    def _model(self, dtype: torch.dtype, parameters: Mapping[str, Tensor]) -> Any:
        self.model.load_state_dict({**self._state, **parameters})
        model = self.model.to(dtype)
        model.load_state_dict({**self._state, **parameters})  # what a narrower dtype had rounded
        return model

    def _parameters(self, line: Line) -> dict[str, Tensor]:
        """Parameters of the family, of the size that a layer's are."""
        found = {}
        for name, value in self.model.named_parameters():
            drawn = _filled(line, name, tuple(value.shape))
            if value.ndim > 1 and line.family in ("normal", "positive"):
                drawn = drawn * 2.0 ** -round(math.log2(math.sqrt(max(1, value[0].numel()))))
            found[name] = torch.from_numpy(drawn).to(TORCH[line.dtype]).double()
        return found

    def _drawn(self, line: Line, dtype: torch.dtype) -> list[Any]:
        """The inputs in a dtype; what is no floating tensor is as `get_inputs` gives it."""
        shapes, found = iter(line.shapes), []
        for i, x in enumerate(self._inputs):
            if not isinstance(x, Tensor):
                found.append(x)
                continue
            shape = next(shapes)
            if x.is_floating_point():
                found.append(torch.from_numpy(_filled(line, f"x{i}", shape)).to(TORCH[line.dtype]).to(dtype))
            else:
                rows = torch.arange(shape[0] if shape else 1) % (x.shape[0] if shape else 1)
                found.append(x[rows].clone() if shape else x.clone())
        return found


def _double(value: Tensor) -> NDArray[Any]:
    """A tensor as an array of float64, in which every number of it is one."""
    return np.asarray(value.detach().to("cpu", torch.float64).numpy())


def _other(shapes: tuple[Shape, ...], batch: int, rows: int, columns: int) -> tuple[Shape, ...]:
    """The shapes with another batch and other extents of images."""
    first, found = shapes[0][:1], []
    for shape in shapes:
        if len(shape) > 1 and shape[:1] == first:
            shape = (batch, *shape[1:])
        if len(shape) == 4:
            shape = (*shape[:2], max(1, shape[2] + rows), max(1, shape[3] + columns))
        found.append(shape)
    return tuple(found)


def _filled(line: Line, name: str, shape: Shape) -> Any:
    """Values of the family, as float64, each of them a number of every dtype that is wide enough."""
    stream, double = Stream(f"{line}:{name}"), np.dtype(np.float64)
    if line.family == "small":
        return stream.signed(1, 7, shape, double)
    if line.family == "ties":
        found = (stream.integers(-1, 2, shape) * stream.integers(-1, 2, shape)).astype(double)
        if name.startswith("x") and shape and shape[0] > 1:
            found[-1] = 0  # behind it a layer gives its bias alone, which is zero more often than not
        return found
    if line.family == "positive":
        return stream.uniform(shape, double, 0, 2)
    return stream.normal(shape, double)


_held: dict[str, Reference] = {}


def described(place: str) -> NDArray[np.uint8]:
    """Build the `Model` of a file; what `Reference.described` says, as the bytes of JSON."""
    torch.set_num_threads(1)
    _held[place] = Reference(place)
    guard.unreadable()
    return np.frombuffer(json.dumps(_held[place].described()).encode(), np.uint8)


def case(place: str, text: str) -> dict[str, Any]:
    """The arrays of a case: ``right.`` and ``limit.`` of each output, and what `ModelNew` is given."""
    right, limits, arrays = _held[place].case(Line.parse(text))  # read once, and not again
    return {
        **{f"right.{name}": value for name, value in right.items()},
        **{f"limit.{name}": value for name, value in limits.items()},
        **arrays,
    }


#: What the process is asked (`conformance.models.pair.Reference`).
SERVED = SimpleNamespace(described=described, case=case)
