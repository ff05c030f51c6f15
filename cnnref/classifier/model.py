"""The post's classifier on the functions of this package, every step visible.

    CONV - activation - POOL for each block, stretch, affine - activation for each hidden layer, affine,
    softmax

Forward keeps the cache of each step; backward walks the caches in reverse and hands each to its function.

Source: "R for Deep Learning (IV)", the figure of the whole network and its layer functions.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import cnnref

Arrays = dict[str, np.ndarray]
Caches = list[tuple[str, Any]]

_ACTIVATIONS = {
    "relu": (cnnref.relu, cnnref.relu_backward),
    "sigmoid": (cnnref.sigmoid, cnnref.sigmoid_backward),
}


class ConvBlock(NamedTuple):
    """One CONV - activation - POOL block: sizes in pixels, zero padding on each side."""

    filters: int
    f: int = 3
    stride: int = 1
    pad: int = 1
    pool_f: int = 2
    pool_stride: int = 2
    mode: str = "max"


#: The picture in the post: two conv-relu-pool blocks; with one hidden layer, two affine layers.
BLOCKS = (ConvBlock(16), ConvBlock(32))
HIDDEN = (64,)


class Model:
    """A convolutional classifier as a plain object.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels of an image.
    classes : int
        Number of classes; labels count from 0.
    blocks : sequence of ConvBlock, optional
        The conv-activation-pool blocks, in order; none is allowed.
    hidden : sequence of int, optional
        Widths of the affine layers before the last one; none is allowed.
    activation : {"relu", "sigmoid"}, optional
        What follows each convolution and each affine layer but the last.
    dtype : {"float32", "float64"}, optional
        Precision of the parameters and of everything computed.
    seed : int, optional
        Seeds the initial weights.
    parameters : mapping of str to ndarray, optional
        Used, not copied, in place of initial weights; names, shapes and dtype must be those of this model.

    Attributes
    ----------
    parameters : dict of str to ndarray
        ``conv1.W``, ``conv1.b``, ..., ``affine1.W``, ``affine1.b``, ...; the optimiser changes them in place.

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size, the activation or the dtype is not possible, or a block leaves no pixel.

    Notes
    -----
    He initialisation: weights are normal with variance ``2 / fan_in``, biases 0. The same seed draws the same
    numbers in both dtypes; float32 rounds them.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        blocks: Sequence[ConvBlock] = BLOCKS,
        hidden: Sequence[int] = HIDDEN,
        activation: str = "relu",
        dtype: Any = "float32",
        seed: int = 0,
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if len(image_shape) != 3:
            raise ValueError(f"Model: image_shape must be (height, width, channels), got {image_shape}")
        self.image_shape = tuple(_size("image_shape", n) for n in image_shape)
        self.classes = _size("classes", classes)
        self.blocks = tuple(_block(n, block) for n, block in enumerate(blocks, 1))
        self.hidden = tuple(_size("hidden", n) for n in hidden)
        if activation not in _ACTIVATIONS:
            raise ValueError(f"Model: activation must be 'relu' or 'sigmoid', got {activation!r}")
        self.activation = activation
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"Model: dtype must be float32 or float64, got {self.dtype}")
        layers = dict(self._layers())
        # A large block freed once makes glibc keep what a batch frees; each batch would fault it in anew.
        np.empty(31 << 20, np.uint8)
        self.parameters = (
            self._initial(layers, seed) if parameters is None else self._given(layers, parameters)
        )

    def _initial(self, layers: dict[str, tuple[int, ...]], seed: int) -> Arrays:
        rng = np.random.default_rng(seed)
        parameters: Arrays = {}
        for name, shape in layers.items():
            W = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:-1]))
            parameters[f"{name}.W"] = W.astype(self.dtype)
            parameters[f"{name}.b"] = np.zeros(_bias(shape), self.dtype)
        return parameters

    def _given(self, layers: dict[str, tuple[int, ...]], given: Mapping[str, np.ndarray]) -> Arrays:
        needed = {f"{name}.W": shape for name, shape in layers.items()}
        needed |= {f"{name}.b": _bias(shape) for name, shape in layers.items()}
        if given.keys() != needed.keys():
            names, came = (", ".join(sorted(some)) for some in (needed, given))
            raise ValueError(f"Model: parameters must be {names}, got {came}")
        for name, shape in needed.items():
            W = given[name]
            if W.shape != shape or W.dtype != self.dtype:
                raise ValueError(f"Model: {name} must be {shape} of {self.dtype}, got {W.shape} of {W.dtype}")
        return dict(given)

    def _layers(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The name and the shape of W of each layer that has weights, in order."""
        height, width, channels = self.image_shape
        for n, block in enumerate(self.blocks, 1):
            yield f"conv{n}", (block.f, block.f, channels, block.filters)
            for f, stride, pad in ((block.f, block.stride, block.pad), (block.pool_f, block.pool_stride, 0)):
                if min(height, width) + 2 * pad < f:
                    raise ValueError(
                        f"Model: block {n} needs at least {f - 2 * pad} pixels a side for a window of {f}, "
                        f"got {height}x{width} (images are {self.image_shape[0]}x{self.image_shape[1]})"
                    )
                height, width = ((n_prev + 2 * pad - f) // stride + 1 for n_prev in (height, width))
            channels = block.filters
        widths = (height * width * channels, *self.hidden, self.classes)
        for n, shape in enumerate(itertools.pairwise(widths), 1):
            yield f"affine{n}", shape

    def steps(self, X: Any) -> Iterator[tuple[str, np.ndarray, Any]]:
        """Walk the forward pass: yield the name, the output and the cache of each step, in order.

        Parameters
        ----------
        X : array_like, shape (m, height, width, channels)
            Images.

        Yields
        ------
        name : str
            ``conv1``, ``relu1``, ``pool1``, ..., ``stretch``, ``affine1``, ..., ``softmax``.
        output : ndarray
            What the step returns.
        cache : object
            What its backward function needs.

        Raises
        ------
        ValueError
            If the images do not have the model's shape.
        """
        A = np.asarray(X, self.dtype)
        if A.ndim != 4 or A.shape[1:] != self.image_shape:
            raise ValueError(f"Model: X must have the shape (m, {str(self.image_shape)[1:]}, got {A.shape}")
        W, activate = self.parameters, _ACTIVATIONS[self.activation][0]
        for n, block in enumerate(self.blocks, 1):
            window = {"stride": block.stride, "pad": block.pad}
            A, cache = cnnref.conv_forward(A, W[f"conv{n}.W"], W[f"conv{n}.b"], window)
            yield f"conv{n}", A, cache
            A, cache = activate(A)
            yield f"{self.activation}{n}", A, cache
            A, cache = cnnref.pool_forward(A, {"f": block.pool_f, "stride": block.pool_stride}, block.mode)
            yield f"pool{n}", A, cache
        A, cache = cnnref.arr2col(A)
        yield "stretch", A, cache
        for n in range(1, len(self.hidden) + 2):
            layer = f"affine{n}"
            A, cache = cnnref.affine_activation_forward(
                A, W[f"{layer}.W"], W[f"{layer}.b"], self._after_affine(n)
            )
            yield layer, A, cache
        A, cache = cnnref.softmax(A)
        yield "softmax", A, cache

    def _after_affine(self, n: int) -> str:
        return self.activation if n <= len(self.hidden) else "NULL"

    def forward(self, X: Any) -> tuple[np.ndarray, Caches]:
        """Return the probabilities, shape (m, classes), and the caches of all steps by name, in order.

        Parameters
        ----------
        X : array_like, shape (m, height, width, channels)
            Images.
        """
        walked = list(self.steps(X))
        return walked[-1][1], [(name, cache) for name, _, cache in walked]

    def backward(self, cost_cache: Any, caches: Caches) -> Arrays:
        """Return the gradient of the cost with respect to each parameter, by its name.

        Parameters
        ----------
        cost_cache : CrossEntropyCache
            The cache of `cross_entropy_cost` on the probabilities.
        caches : list
            As `forward` returned them; emptied, each is let go of when its step is done.
        """
        gradients: Arrays = {}
        dA = cnnref.softmax_cross_entropy_backward(cost_cache)  # through the cost and the last step, softmax
        caches.pop()
        while caches:
            # Whose memory the next steps may use: an epoch of MNIST's size runs without a page fault.
            name, cache = caches.pop()
            kind = name.rstrip("0123456789")
            if kind == "affine":
                activation = self._after_affine(int(name[len(kind) :]))
                dA, dW, db = cnnref.affine_activation_backward(dA, cache, activation)
            elif kind == "stretch":
                dA = cnnref.col2arr(dA, cache)
            elif kind == "pool":
                dA = cnnref.pool_backward(dA, cache, self.blocks[int(name[len(kind) :]) - 1].mode)
            elif kind == "conv":
                dA, dW, db = cnnref.conv_backward(dA, cache)
            else:
                dA = _ACTIVATIONS[kind][1](dA, cache)
            if kind in ("affine", "conv"):
                gradients[f"{name}.W"], gradients[f"{name}.b"] = dW, db
        return gradients

    def loss_and_gradients(self, X: Any, Y: Any) -> tuple[float, Arrays]:
        """Return the mean cross-entropy of a batch and its gradient for each parameter.

        Parameters
        ----------
        X : array_like, shape (m, height, width, channels)
            Images.
        Y : array_like of int, shape (m,)
            Their classes, from 0.
        """
        probabilities, caches = self.forward(X)
        loss, cost_cache = cnnref.cross_entropy_cost(probabilities, Y)
        return loss, self.backward(cost_cache, caches)

    def predict(self, X: Any, batch_size: int = 256) -> np.ndarray:
        """Return the probabilities of any number of images, a batch at a time.

        Parameters
        ----------
        X : array_like, shape (m, height, width, channels)
            Images.
        batch_size : int, optional
            Bounds the memory; the result does not depend on it.
        """
        batches = [self.forward(X[start : start + batch_size])[0] for start in range(0, len(X), batch_size)]
        return np.concatenate(batches) if batches else np.zeros((0, self.classes), self.dtype)


def _bias(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (len(shape) - 1) + shape[-1:]


def _size(name: str, value: Any, least: int = 1) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"Model: {name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"Model: {name} must be at least {least}, got {number}")
    return number


def _block(n: int, block: Any) -> ConvBlock:
    sizes = ConvBlock(*block)
    if sizes.mode not in ("max", "average"):
        raise ValueError(f"Model: the mode of block {n} must be 'max' or 'average', got {sizes.mode!r}")
    checked = {
        field: _size(f"{field} of block {n}", getattr(sizes, field), 0 if field == "pad" else 1)
        for field in sizes._fields[:-1]
    }
    return ConvBlock(**checked, mode=sizes.mode)
