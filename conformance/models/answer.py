"""The process of `ModelNew`: it is handed inputs, parameters and upstream gradients, and answers.

What is right, how far from it rounding may lead, and `Model` itself are not here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from conformance.implementations import guard
from conformance.implementations.dialects.reference import NEW, built
from conformance.implementations.loading import found
from conformance.implementations.source import told
from conformance.models.message import opened, receive, send
from conformance.models.tensors import DTYPES, gradients, leaves_of, named, outputs_of, plain


class UnmatchedError(ValueError):
    """It cannot be told which parameter of `ModelNew` is which of `Model`."""


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


def answered(model: Any, said: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """What `ModelNew` answers, as a message."""
    parameters, dtype = filled(model, arrays), DTYPES[said["dtype"]]
    device = next((p.device for p in parameters.values()), torch.device("cpu"))
    inputs: list[Any] = []
    for value in said["inputs"]:
        if isinstance(value, str) and value in arrays:
            x = torch.from_numpy(arrays[value].copy()).to(device)
            inputs.append(x.to(dtype) if value in said["floats"] else x)
        else:
            inputs.append(value)
    leaves = leaves_of(inputs, parameters)
    upstream = [torch.from_numpy(arrays[f"upstream.{i}"]) for i in range(said["outputs"])]
    outputs = outputs_of(model, inputs)
    if [tuple(y.shape) for y in outputs] != [tuple(g.shape) for g in upstream]:
        shapes = ", ".join(str(tuple(y.shape)) for y in outputs) or "none"
        expected = ", ".join(str(tuple(g.shape)) for g in upstream)
        return {"error": f"answered tensors of shape {shapes}, expected {expected}"}, {}
    graph = any(y.requires_grad for y in outputs)
    values = named(outputs) | (gradients(outputs, leaves, upstream) if graph else {})
    dtypes = {name: str(value.dtype).removeprefix("torch.") for name, value in values.items()}
    return {"dtypes": dtypes, "graph": graph}, plain(values)


def main(spec: str, descriptors: str, parent: str) -> None:
    """Answer until the channel is closed."""
    if int(parent):  # else a sandbox ends it
        guard.ending_with(int(parent))
    guard.untracing()
    inward, outward = opened(descriptors)
    try:
        model = built(vars(found(spec)), NEW)
        send(outward, {"ready": True}, {})
    except Exception as error:
        send(outward, {"unusable": f"{type(error).__name__}: {error}"}, {})
        return
    while (message := receive(inward)) is not None:
        said, arrays = message
        try:
            answer, values = answered(model, said, arrays)
        except UnmatchedError as error:
            answer, values = {"unusable": str(error)}, {}
        except BaseException as error:  # SystemExit too
            answer, values = {"error": f"raised {told(error)}"}, {}
        send(outward, {**answer, "number": said["number"]}, values)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
