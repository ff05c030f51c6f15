"""The tensors of a model by the names of their outputs: forward, and gradients for random upstream ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten


def outputs_of(model: Any, inputs: Sequence[Any]) -> list[Tensor]:
    """The floating tensors that a model answers."""
    return [x for x in tree_flatten(model(*inputs))[0] if isinstance(x, Tensor) and x.is_floating_point()]


def named(values: Sequence[Tensor]) -> dict[str, Tensor]:
    """The outputs by name."""
    return {"y" if len(values) == 1 else f"y{i}": value for i, value in enumerate(values)}


def leaves_of(inputs: Sequence[Any], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What gradients are taken of, by the names of the gradients."""
    found = {
        f"d(input {i})": x.requires_grad_()
        for i, x in enumerate(inputs)
        if isinstance(x, Tensor) and x.is_floating_point()
    }
    return found | {f"d({name})": value.requires_grad_() for name, value in parameters.items()}


def gradients(
    outputs: Sequence[Tensor], leaves: Mapping[str, Tensor], upstream: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The gradients that there are, by name; none of outputs that have no graph."""
    pairs = [(y, g) for y, g in zip(outputs, upstream, strict=True) if y.requires_grad]
    if not pairs or not leaves:
        return {}
    found = torch.autograd.grad(
        [y for y, _ in pairs], list(leaves.values()), [g.to(y.dtype).to(y.device) for y, g in pairs],
        allow_unused=True,
    )  # fmt: skip
    return {name: value for name, value in zip(leaves, found, strict=True) if value is not None}
