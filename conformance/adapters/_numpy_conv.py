"""Convolution and its transpose in plain NumPy, with their options; a part of `numpy_loops`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.adapters._numpy_windows import both, gathered, reads_of, windows_of

Array = NDArray[Any]


class ConvCache(NamedTuple):
    """What conv_backward and conv_transpose_backward need."""

    A_prev: Array
    W: Array
    b: Array
    hparameters: Mapping[str, Any]


def _groups(W: Array, hparameters: Mapping[str, Any]) -> Iterator[tuple[slice, slice]]:
    """The channels and the filters of each group."""
    groups = hparameters.get("groups", 1)
    c, k = W.shape[2], W.shape[3] // groups
    for group in range(groups):
        yield slice(group * c, (group + 1) * c), slice(group * k, (group + 1) * k)


def _reads(image: Array, W: Array, hparameters: Mapping[str, Any]) -> tuple[Array, Array]:
    """What the taps read, of rows and of columns."""
    whole = {**hparameters, "f": W.shape[:2]}
    return reads_of(whole, 0, image.shape[1])[0], reads_of(whole, 1, image.shape[2])[0]


def _filtered(image: Array, W: Array, rows: Array, columns: Array, hparameters: Mapping[str, Any]) -> Array:
    """The sum over each window times each filter of its group."""
    windows, _ = windows_of(image, rows, columns, 0)
    Z = np.empty((*windows.shape[:2], windows.shape[3], W.shape[3]), image.dtype)
    for c, k in _groups(W, hparameters):
        Z[..., k] = np.einsum("mrisjc,ijco->mrso", windows[..., c], W[..., k])
    return Z


def _spread(
    outputs: Array, image: Array, W: Array, rows: Array, columns: Array, hparameters: Mapping[str, Any]
) -> Array:
    """Each output times its filter, added up where its window lies in an array like `image`."""
    total = np.empty_like(image)
    for c, k in _groups(W, hparameters):

        def part(i: int, j: int, c: slice = c, k: slice = k) -> Array:
            product: Array = np.einsum("mrso,co->mrsc", outputs[..., k], W[i, j][:, k])
            return product

        total[..., c] = gathered(image[..., c], rows, columns, part)
    return total


def _filter_gradient(
    image: Array, outputs: Array, W: Array, rows: Array, columns: Array, hparameters: Mapping[str, Any]
) -> Array:
    """Windows times outputs, summed over samples and positions."""
    windows, _ = windows_of(image, rows, columns, 0)
    dW = np.empty_like(W)
    for c, k in _groups(W, hparameters):
        dW[..., k] = np.einsum("mrisjc,mrso->ijco", windows[..., c], outputs[..., k])
    return dW


def conv_single_step(a_slice_prev: Array, W: Array, b: Array) -> float:
    """One window: ``sum(a W) + b``."""
    return float((a_slice_prev * W).sum() + np.asarray(b, dtype=W.dtype).reshape(()))


def conv_forward(
    A_prev: Array, W: Array, b: Array, hparameters: Mapping[str, Any]
) -> tuple[Array, ConvCache]:
    """Z[m,r,q,o] is the sum of A[m, r s + i d - p, q s + j d - p, c] W[i,j,c,o] over i, j, c, plus b[o]."""
    Z = _filtered(A_prev, W, *_reads(A_prev, W, hparameters), hparameters) + b.reshape(-1)
    return Z, ConvCache(A_prev, W, b, dict(hparameters))


def conv_backward(dZ: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    """dA_prev: each window adds ``dZ W``; dW: windows times dZ; db: dZ summed over all but filters."""
    A_prev, W, _, hparameters = cache
    rows, columns = _reads(A_prev, W, hparameters)
    dA_prev = _spread(dZ, A_prev, W, rows, columns, hparameters)
    dW = _filter_gradient(A_prev, dZ, W, rows, columns, hparameters)
    return dA_prev, dW, dZ.sum(axis=(0, 1, 2)).reshape(1, 1, 1, -1)


def _transposed(A_prev: Array, W: Array, hparameters: Mapping[str, Any]) -> tuple[Array, tuple[Array, Array]]:
    """Zeros like the output, and what the taps read of it in the convolution that is transposed."""
    extents, reads = [], []
    for side in (0, 1):
        s, d, more = (
            both(hparameters.get(key, default))[side]
            for key, default in (("stride", 1), ("dilation", 1), ("output_padding", 0))
        )
        before, after = both(both(hparameters["pad"])[side])
        starts = np.arange(A_prev.shape[1 + side]) * s - before
        extents.append(starts[-1] + d * (W.shape[side] - 1) + 1 - after + more)
        reads.append(starts[:, None] + np.arange(W.shape[side]) * d)
    image = np.zeros((len(A_prev), *extents, W.shape[2] * hparameters.get("groups", 1)), A_prev.dtype)
    return image, (reads[0], reads[1])


def conv_transpose_forward(
    A_prev: Array, W: Array, b: Array, hparameters: Mapping[str, Any]
) -> tuple[Array, ConvCache]:
    """Each input pixel adds its value times the filters to the output, ``stride`` apart; plus b."""
    image, reads = _transposed(A_prev, W, hparameters)
    Z = _spread(A_prev, image, W, *reads, hparameters) + b.reshape(-1)
    return Z, ConvCache(A_prev, W, b, dict(hparameters))


def conv_transpose_backward(dZ: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    """dA_prev: the convolution of dZ; dW: windows of dZ times A_prev; db: dZ summed over all but channels."""
    A_prev, W, _, hparameters = cache
    _, reads = _transposed(A_prev, W, hparameters)
    dA_prev = _filtered(dZ, W, *reads, hparameters)
    dW = _filter_gradient(dZ, A_prev, W, *reads, hparameters)
    return dA_prev, dW, dZ.sum(axis=(0, 1, 2)).reshape(1, 1, 1, -1)
