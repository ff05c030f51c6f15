"""A `ModelNew` that is to replace a `Model`: it rounds its operands to bfloat16."""

import torch
from torch import nn


class Model(nn.Module):
    """The reference."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x):
        """A linear layer."""
        return self.layer(x)


class ModelNew(nn.Module):
    """The replacement."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        """The same, of bfloat16."""
        x, weight, bias = (value.bfloat16().to(value.dtype) for value in (x, self.weight, self.bias))
        return x @ weight.t() + bias


def get_init_inputs():
    """What both are built with."""
    return [64, 32]


def get_inputs():
    """What both are called with."""
    return [torch.rand(16, 64)]
