"""A `Model` of several operations, a `ModelNew` that computes the same in another way, and wrong ones."""

import torch
from torch import nn
from torch.nn import functional


class Model(nn.Module):
    """Convolution, bias, ReLU, pooling."""

    def __init__(self, channels, filters):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1)

    def forward(self, x):
        return functional.max_pool2d(torch.relu(self.conv(x)), 2)


class ModelNew(nn.Module):
    """The same, by a product of matrices."""

    def __init__(self, channels, filters):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1)

    def columns(self, x):
        return functional.unfold(x, 3, padding=1)

    def product(self, x):
        return self.conv.weight.flatten(1) @ self.columns(x) + self.conv.bias[:, None]

    def act(self, y):
        return torch.relu(y)

    def forward(self, x):
        y = self.act(self.product(x))
        return functional.max_pool2d(y.view(len(x), -1, *x.shape[2:]), 2)


def get_inputs():
    return [torch.rand(2, 3, 6, 8)]


def get_init_inputs():
    return [3, 4]
