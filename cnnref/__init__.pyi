from collections.abc import Mapping, Sequence
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cnnref import blog as blog
from cnnref.caches import AffineActivationCache as AffineActivationCache
from cnnref.caches import AffineCache as AffineCache
from cnnref.caches import BatchNormCache as BatchNormCache
from cnnref.caches import ConvCache as ConvCache
from cnnref.caches import ConvTransposeCache as ConvTransposeCache
from cnnref.caches import CrossEntropyCache as CrossEntropyCache
from cnnref.caches import PoolCache as PoolCache
from cnnref.checks.probability import ProbabilityWarning as ProbabilityWarning

#: float16 of NumPy, or bfloat16 of ml_dtypes, which says nothing to a type checker.
Half = np.float16 | Any
Array = NDArray[np.floating[Any] | Half]
Mode = Literal["max", "average"]
Approximate = Literal["none", "tanh"]
Activation = Literal["relu", "sigmoid", "NULL"] | None

__version__: str

Cache = tuple[Any, ...] | Mapping[str, Any]

#: An integer for both axes, or one for each.
Extents = SupportsIndex | Sequence[SupportsIndex]
#: Sides alike, those of each axis, or each; or a word.
Pad = Extents | Sequence[Sequence[SupportsIndex]] | Literal["same", "same_lower", "valid"]

def pad3d(input: ArrayLike, stride: SupportsIndex = 1) -> Array: ...
def pad3d_backward(doutput: ArrayLike, stride: SupportsIndex = 1) -> Array: ...
def conv_single_step(a_slice_prev: ArrayLike, W: ArrayLike, b: ArrayLike) -> float: ...
def conv_forward(
    A_prev: ArrayLike,
    W: ArrayLike,
    b: ArrayLike,
    hparameters: Mapping[str, Any] | None = None,
    *,
    stride: Extents = ...,
    pad: Pad = ...,
    dilation: Extents = ...,
    groups: SupportsIndex = ...,
) -> tuple[Array, ConvCache]: ...
def conv_backward(dZ: ArrayLike, cache: Cache) -> tuple[Array, Array, Array]: ...
def conv_transpose_forward(
    A_prev: ArrayLike,
    W: ArrayLike,
    b: ArrayLike,
    hparameters: Mapping[str, Any] | None = None,
    *,
    stride: Extents = ...,
    pad: Extents | Sequence[Sequence[SupportsIndex]] = ...,
    output_padding: Extents = ...,
    dilation: Extents = ...,
    groups: SupportsIndex = ...,
) -> tuple[Array, ConvTransposeCache]: ...
def conv_transpose_backward(dZ: ArrayLike, cache: Cache) -> tuple[Array, Array, Array]: ...
def pool_forward(
    A_prev: ArrayLike,
    hparameters: Mapping[str, Any] | None = None,
    mode: Mode = "max",
    *,
    f: Extents = ...,
    stride: Extents = ...,
    pad: Pad = ...,
    dilation: Extents = ...,
    ceil_mode: bool = ...,
    count_include_pad: bool = ...,
) -> tuple[Array, PoolCache]: ...
def pool_backward(dA: ArrayLike, cache: Cache, mode: Mode = "max") -> Array: ...
def create_mask_from_window(x: ArrayLike) -> Array: ...
def distribute_value(
    dz: ArrayLike, shape: SupportsIndex | Sequence[SupportsIndex]
) -> NDArray[np.float64]: ...
def global_average_pool_forward(A_prev: ArrayLike) -> tuple[Array, Array]: ...
def global_average_pool_backward(dA: ArrayLike, cache: ArrayLike) -> Array: ...
def batch_norm_forward(
    A_prev: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    hparameters: Mapping[str, float] | None = None,
    *,
    training: bool = ...,
    epsilon: float = ...,
    momentum: float = ...,
) -> tuple[Array, BatchNormCache]: ...
def batch_norm_backward(dA: ArrayLike, cache: Cache) -> tuple[Array, Array, Array]: ...
def arr2col(X: ArrayLike) -> tuple[Array, Array]: ...
def col2arr(X: ArrayLike, cache: ArrayLike) -> Array: ...
def affine_forward(A_prev: ArrayLike, W: ArrayLike, b: ArrayLike) -> tuple[Array, AffineCache]: ...
def affine_backward(dZ: ArrayLike, cache: Cache) -> tuple[Array, Array, Array]: ...
def affine_activation_forward(
    A_prev: ArrayLike, W: ArrayLike, b: ArrayLike, activation: Activation = "relu"
) -> tuple[Array, AffineActivationCache]: ...
def affine_activation_backward(
    dA: ArrayLike, cache: Cache, activation: Activation
) -> tuple[Array, Array, Array]: ...
def leaky_relu(Z: ArrayLike, negative_slope: float = 0.01) -> tuple[Array, Array]: ...
def leaky_relu_backward(dA: ArrayLike, cache: ArrayLike, negative_slope: float = 0.01) -> Array: ...
def tanh(Z: ArrayLike) -> tuple[Array, Array]: ...
def tanh_backward(dA: ArrayLike, cache: ArrayLike) -> Array: ...
def silu(Z: ArrayLike) -> tuple[Array, Array]: ...
def silu_backward(dA: ArrayLike, cache: ArrayLike) -> Array: ...
def gelu(Z: ArrayLike, approximate: Approximate = "none") -> tuple[Array, Array]: ...
def gelu_backward(dA: ArrayLike, cache: ArrayLike, approximate: Approximate = "none") -> Array: ...
def sigmoid(Z: ArrayLike) -> tuple[Array, Array]: ...
def relu(Z: ArrayLike) -> tuple[Array, Array]: ...
def sigmoid_backward(dA: ArrayLike, cache: ArrayLike) -> Array: ...
def relu_backward(dA: ArrayLike, cache: ArrayLike) -> Array: ...
def softmax(X: ArrayLike) -> tuple[Array, Array]: ...
def softmax_backward(dprobs: ArrayLike, cache: ArrayLike) -> Array: ...
def log_softmax(X: ArrayLike) -> tuple[Array, Array]: ...
def log_softmax_backward(dlogp: ArrayLike, cache: ArrayLike) -> Array: ...
def cross_entropy_cost(
    AL: ArrayLike,
    Y: ArrayLike,
    batch_size: SupportsIndex | None = None,
    label_smoothing: float = 0.0,
    ignore_index: SupportsIndex | None = None,
) -> tuple[float, CrossEntropyCache]: ...
def cross_entropy_backward(
    cache: Cache, label_smoothing: float = 0.0, ignore_index: SupportsIndex | None = None
) -> Array: ...
def softmax_cross_entropy_backward(
    cache: Cache, label_smoothing: float = 0.0, ignore_index: SupportsIndex | None = None
) -> Array: ...
def kernel_for(
    function: str,
    A_shape: Sequence[SupportsIndex],
    W_shape: Sequence[SupportsIndex] | None = None,
    hparameters: Mapping[str, Any] | None = None,
    dtype: DTypeLike = "float32",
    *,
    mode: Mode = "max",
    f: Extents = ...,
    stride: Extents = ...,
    pad: Pad = ...,
    output_padding: Extents = ...,
    dilation: Extents = ...,
    groups: SupportsIndex = ...,
    ceil_mode: bool = ...,
    count_include_pad: bool = ...,
) -> dict[str, str]: ...
def get_num_threads() -> int: ...
def set_num_threads(n: SupportsIndex) -> None: ...
@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
