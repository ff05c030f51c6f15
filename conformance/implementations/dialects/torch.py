"""The dialect ``torch``: functions with the names and signatures of ``torch.nn.functional``.

They take and return tensors, NCHW and OIHW. A `torch.autograd.Function` counts through its ``apply``.
Gradients are those of ``torch.autograd.grad``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conformance.implementations.dialects import names as names_of
from conformance.implementations.dialects import trials
from conformance.implementations.dialects.arguments import Takes
from conformance.implementations.dialects.contract_form import functions
from conformance.implementations.dialects.facade import Adapted
from conformance.implementations.dialects.graphs import Called, Graphs, Runs, as_it_is
from conformance.implementations.dialects.own import chosen
from conformance.implementations.dialects.table import ROWS, Row, named
from conformance.implementations.dialects.tensors import device_of
from conformance.implementations.signature import LackingError
from conformance.implementations.source import told

NAME = "torch"
#: It has a device.
DEVICES = True


def is_function(value: Any) -> bool:
    """Whether it is a function, or a `torch.autograd.Function`."""
    if inspect.isclass(value):
        return issubclass(value, torch.autograd.Function)
    return callable(value)


def claimed(target: Any, names: Iterable[str]) -> dict[str, str]:
    """Of what a module defines itself the functions of the dialect."""
    return names_of.claimed(target, is_function)


def found(target: Any) -> dict[str, Any]:
    """Of the functions of the dialect those that a module has, by the dialect's names."""
    return chosen(target, names_of.NAMES, is_function)


class _Function:
    """A function of a module."""

    def __init__(self, row: Row, value: Any) -> None:
        self._row = row
        self._applied = inspect.isclass(value)
        self._value = value.apply if self._applied else value
        signed, skip = value, 0
        if self._applied:
            signed = value.forward
            # With `setup_context` beside it, forward has no ctx.
            skip = int(value.setup_context is torch.autograd.Function.setup_context)
        arguments = tuple(dict.fromkeys((*row.options.values(), *row.fixed, "inplace")))
        self._takes = Takes(signed, tuple(row.arrays), arguments, skip)

    def __call__(
        self,
        tensors: Mapping[str, Tensor],
        options: Mapping[str, Any],
        inplace: bool,
        through: Callable[[Any], Any] = as_it_is,
    ) -> Any:
        row = self._row
        arguments: dict[str, Any] = {**tensors, **options, **self._row.fixed}
        neutral = row.defaults
        if row.name == "pad":
            arguments["pad"] = (options["pad"],) * 4
        bias = None if self._takes.has("bias") else arguments.pop("bias", None)
        if inplace and self._takes.names("inplace"):
            arguments["input"], arguments["inplace"] = arguments["input"].clone(), True
        output = self._takes.call(through(self._value), arguments, neutral, self._applied)
        if bias is None:
            return output
        if bias.dtype not in (torch.float32, torch.float64):
            raise LackingError("takes no bias, and a sum in half precision would be rounded twice")
        return output + (bias.reshape(1, -1, 1, 1) if row.output == "image" else bias)


class Functions:
    """Calls the functions of a module (`graphs.Runs`)."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._functions = {row.name: _Function(row, values[row.name]) for row in ROWS if row.name in values}
        self.wordless = False
        self.through: Callable[[Any], Any] = as_it_is

    def __call__(
        self,
        row: Row,
        tensors: Mapping[str, Tensor],
        options: Mapping[str, Any],
        wanted: frozenset[str],
        inplace: bool,
    ) -> Called:
        """Call one of them."""
        leaves = {n: x.requires_grad_() if n in wanted else x for n, x in tensors.items()}
        words = named(row, options, self.wordless)
        output = self._functions[row.name](leaves, words, inplace, self.through)
        return Called(output, leaves)


def rows_of(values: Mapping[str, Any]) -> list[Row]:
    """The rows of the functions that there are."""
    return [row for row in ROWS if row.name in values]


def adapted(target: Any, values: Mapping[str, Any] | None = None, device: str | None = None) -> Adapted:
    """The contract's functions over a module of the dialect."""
    values = found(target) if values is None else values
    where, remarks = device_of(device or getattr(target, "device", None)), dict[str, int]()
    return built(target, NAME, Functions(values), rows_of(values), where, remarks)


def unfit(target: Any) -> str:
    """What the first function raises, if none answers tensors: NumPy's are named alike."""
    values = found(target)
    engine = Graphs(Functions(values), device_of(getattr(target, "device", None)), {})
    raised = [engine.raised(row, trials.sample(row), trials.plain(row)) for row in rows_of(values)]
    if not raised or None in raised:
        return ""
    return f"no function of it answers tensors: {told(raised[0])}"  # type: ignore[arg-type]


def built(
    target: Any,
    dialect: str,
    runs: Runs,
    rows: Iterable[Row],
    device: torch.device,
    remarks: dict[str, int],
) -> Adapted:
    """The contract's functions over what calls those of a module; what they take is tried."""
    rows = list(rows)
    engine = Graphs(runs, device, remarks)
    tried = trials.Trials(lambda *case: engine.forward(*case)[0])
    for row in rows:
        if not engine.makes_graph(row, trials.sample(row), trials.plain(row)):
            engine.without_gradient(row)
        if row.name == "conv2d" and not _takes_words(engine, row):
            runs.wordless = True
    covers = {row.forward: row.name for row in rows}
    options, dtypes = tried.options(rows), tried.dtypes(rows)
    made = Adapted(target, dialect, functions(engine, rows), covers, options, dtypes, remarks)
    made.compiled = engine.compiled
    return made


def _takes_words(engine: Graphs, row: Row) -> bool:
    """Whether a word for a padding is answered, by the gradient too: PyTorch's own forward takes any."""

    def both(*case: Any) -> Any:
        output, kept = engine.forward(*case)
        if engine.differentiates(row):
            engine.backward(kept, np.ones_like(output))
        return output

    return trials.Trials(both).answers(row, pad="same")
