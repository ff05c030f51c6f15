"""Wrong padding and flattening."""

from __future__ import annotations

import numpy as np

from tests.planted.fault import fault


@fault("pad3d", "output", "padding-replicated")
def edge_repeated(input, stride=1):
    _, h, w, _ = input.shape
    rows = np.clip(np.arange(-stride, h + stride), 0, h - 1)
    cols = np.clip(np.arange(-stride, w + stride), 0, w - 1)
    return input[:, rows][:, :, cols].copy()


@fault("pad3d", "output", "padding-one-sided")
def image_in_the_corner(input, stride=1):
    m, h, w, c = input.shape
    out = np.zeros((m, h + 2 * stride, w + 2 * stride, c), input.dtype)
    out[:, :h, :w] = input
    return out


@fault("pad3d", "output", "subnormals-flushed")
def flushed_to_zero(input, stride=1):
    tiny = np.finfo(input.dtype).tiny
    flushed = np.where(abs(input) < tiny, 0 * input, input)
    return np.pad(flushed, ((0, 0), (stride, stride), (stride, stride), (0, 0)))


@fault("pad3d_backward", "dinput", "padding-kept")
def border_left_on(doutput, stride=1):
    return doutput.copy()


@fault("pad3d_backward", "dinput", "crop-empty-at-padding-zero")
def slice_to_minus_zero(doutput, stride=1):
    return doutput[:, stride:-stride, stride:-stride].copy()


@fault("pad3d_backward", "dinput", "output-height-width-exchanged")
def transposed_image(doutput, stride=1):
    _, h, w, _ = doutput.shape
    return np.einsum("mhwc->mwhc", doutput[:, stride : h - stride, stride : w - stride]).copy()


@fault("arr2col", "output", "flattened-column-major")
def as_r_does(X):
    m, h, w, c = X.shape
    out = np.empty((m, h * w * c), X.dtype)
    for i in range(m):
        out[i] = X[i].ravel(order="F")
    return out, X


@fault("arr2col", "output", "flattened-channel-first")
def channel_by_channel(X):
    m, h, w, c = X.shape
    out = np.empty((m, h * w * c), X.dtype)
    for k in range(c):
        out[:, k * h * w : (k + 1) * h * w] = X[..., k].reshape(m, h * w)
    return out, X


@fault("col2arr", "output", "flattened-column-major")
def back_as_r_does(X, cache):
    out = np.empty(cache.shape, X.dtype)
    for i, row in enumerate(X):
        out[i] = row.reshape(cache.shape[1:], order="F")
    return out


@fault("col2arr", "output", "flattened-width-first")
def width_before_height(X, cache):
    m, h, w, c = cache.shape
    out = np.empty((m, h, w, c), X.dtype)
    for x in range(w):
        for y in range(h):
            out[:, y, x] = X[:, (x * h + y) * c : (x * h + y + 1) * c]
    return out
