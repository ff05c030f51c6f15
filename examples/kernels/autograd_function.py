"""Average pooling and relu as `torch.autograd.Function`s; the gradient of the pooling forgets to divide."""

import torch
from torch.nn.functional import unfold


class AvgPool2dFunction(torch.autograd.Function):
    """Mean of each window."""

    @staticmethod
    def forward(ctx, x, kernel_size, stride):
        """Means of the columns of `unfold`."""
        n, c, h, w = x.shape
        rows, columns = (h - kernel_size) // stride + 1, (w - kernel_size) // stride + 1
        ctx.shape, ctx.window = x.shape, (kernel_size, stride)
        windows = unfold(x.reshape(n * c, 1, h, w), kernel_size, stride=stride)
        return windows.mean(1).reshape(n, c, rows, columns)

    @staticmethod
    def backward(ctx, gradient):
        """Each pixel of a window gets the whole gradient: the mistake."""
        f, s = ctx.window
        out = gradient.new_zeros(ctx.shape)
        for i in range(gradient.shape[2]):
            for j in range(gradient.shape[3]):
                out[:, :, i * s : i * s + f, j * s : j * s + f] += gradient[:, :, i : i + 1, j : j + 1]
        return out, None, None


class ReLUFunction(torch.autograd.Function):
    """Relu."""

    @staticmethod
    def forward(ctx, x):
        """The larger of x and 0."""
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        """The gradient where x is above 0, or NaN."""
        (x,) = ctx.saved_tensors
        return torch.where(x <= 0, 0, gradient)
