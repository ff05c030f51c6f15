"""A `ModelNew` compared with the `Model` beside it: one function, of inputs, parameters, upstream gradients.

What is right, how far from it rounding may lead, and `Model` itself are not here. No module is recognised as
this; the judge says it (`conformance.models`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from conformance.implementations.dialects.model_tensors import gradients, leaves_of, named, outputs_of
from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.reference import NEW, built
from conformance.implementations.dialects.tensors import DTYPES, array, device_of
from conformance.implementations.source import told

DEVICES = True


class UnmatchedError(ValueError):
    """It cannot be told which parameter of `ModelNew` is which of `Model`."""


def adapted(target: Any, device: str | None = None) -> SimpleNamespace:
    """The function ``ModelNew`` over the `ModelNew` of a module.

    Raises
    ------
    DialectError
        If it cannot be built, or the device is not there.
    """
    torch.set_num_threads(1)
    place = device or getattr(target, "device", None)
    try:
        model = built(vars(target), NEW)
    except Exception as error:
        raise DialectError(f"{NEW}: {told(error)}") from error
    return SimpleNamespace(**{NEW: partial(answered, model if place is None else model.to(device_of(place)))})


def matched(there: Mapping[str, Tensor], given: Mapping[str, Any]) -> dict[str, str]:
    """Of each given parameter its name here: the same, else that of its place, if all shapes are the same."""
    if set(given) == set(there) and all(tuple(there[n].shape) == x.shape for n, x in given.items()):
        return {name: name for name in given}
    if [tuple(x.shape) for x in there.values()] == [x.shape for x in given.values()]:
        return dict(zip(given, there, strict=True))
    has, wanted = (
        ", ".join(f"{name} {tuple(x.shape)}" for name, x in values.items()) or "none"
        for values in (there, given)
    )
    raise UnmatchedError(
        f"ModelNew has the parameters {has}; Model has {wanted}: call them so, in that order"
    )


def filled(model: Any, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Give a model its parameters and buffers; returns the parameters by the names that `Model` has."""
    found = {}
    for kind, there in (
        ("parameter.", dict(model.named_parameters())),
        ("buffer.", dict(model.named_buffers())),
    ):
        given = {name.removeprefix(kind): x for name, x in arrays.items() if name.startswith(kind)}
        if kind == "buffer." and not there:
            continue  # of statistics that it does not keep
        names = matched(there, given)
        with torch.no_grad():
            for name, place in names.items():
                there[place].copy_(torch.from_numpy(given[name]))
        if kind == "parameter.":
            found = {name: there[place] for name, place in names.items()}
    return found


def answered(model: Any, said: Mapping[str, Any], *values: Any) -> dict[str, Any]:
    """The outputs and gradients of a model by name; None for a gradient that there is not.

    Parameters
    ----------
    model : Module
        What is called.
    said : mapping
        ``names`` of the arrays, the ``inputs`` as names of arrays or as they are, those of them that are
        ``floats``, the ``dtype``, and what is answered, ``outputs``.
    *values : ndarray
        The arrays.
    """
    arrays = dict(zip(said["names"], values, strict=True))
    parameters, dtype = filled(model, arrays), DTYPES[said["dtype"]]
    device = next((p.device for p in parameters.values()), torch.device("cpu"))
    inputs = [_input(x, arrays, dtype if x in said["floats"] else None, device) for x in said["inputs"]]
    leaves = leaves_of(inputs, parameters)
    outputs = outputs_of(model, inputs)
    upstream = [torch.from_numpy(x) for name, x in arrays.items() if name.startswith("upstream.")]
    _same_shapes(outputs, upstream)
    found = named(outputs)
    if any(y.requires_grad for y in outputs):
        found |= gradients(outputs, leaves, upstream)
    return {name: array(found.get(name)) for name in said["outputs"]}


def _input(value: Any, arrays: Mapping[str, Any], dtype: torch.dtype | None, device: torch.device) -> Any:
    if not isinstance(value, str) or value not in arrays:
        return value
    return torch.from_numpy(arrays[value]).to(device, dtype)


def _same_shapes(outputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> None:
    """See that there is an upstream gradient for each output."""
    if [tuple(y.shape) for y in outputs] != [tuple(g.shape) for g in upstream]:
        shapes = ", ".join(str(tuple(y.shape)) for y in outputs) or "none"
        expected = ", ".join(str(tuple(g.shape)) for g in upstream)
        raise ValueError(f"answered tensors of shape {shapes}, expected {expected}")
