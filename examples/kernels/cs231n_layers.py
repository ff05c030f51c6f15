"""Layers as in CS231n's assignments, written anew with one mistake each."""

import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    """A convolution: the mistake is the bias, added for every product."""
    stride, pad = conv_param["stride"], conv_param["pad"]
    n, _, h, width = x.shape
    filters, _, hh, ww = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = (h + 2 * pad - hh) // stride + 1, (width + 2 * pad - ww) // stride + 1
    out = np.zeros((n, filters, rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            window = padded[:, None, :, i * stride : i * stride + hh, j * stride : j * stride + ww]
            out[:, :, i, j] = (window * w + b[:, None, None, None]).sum(axis=(2, 3, 4))
    return out, (x, w, b, conv_param)


def affine_forward(x, w, b):
    """An affine layer."""
    return x.reshape(len(x), int(np.prod(x.shape[1:]))) @ w + b, (x, w, b)


def affine_backward(dout, cache):
    """Its gradients: the mistake is that those of w and b are divided by the number of samples."""
    x, w, _ = cache
    rows = x.reshape(len(x), int(np.prod(x.shape[1:])))
    m = max(len(x), 1)
    return (dout @ w.T).reshape(x.shape), rows.T @ dout / m, dout.sum(axis=0) / m


def relu_forward(x):
    """Relu."""
    return np.where(x <= 0, 0, x).astype(x.dtype), x


def relu_backward(dout, cache):
    """Its gradient: the mistake is that it passes at 0."""
    return np.where(cache < 0, 0, dout).astype(dout.dtype)


def softmax_loss(x, y):
    """Loss and gradient of logits: the mistake is that the gradient is not divided by the samples."""
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = -np.log(p[rows, y]).mean()
    dx = p.copy()
    dx[rows, y] -= 1
    return loss, dx
