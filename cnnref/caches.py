"""What the forward functions hand to the backward functions: named tuples with the post's field names.

A cache holds the very objects that the caller passed where they needed no conversion, and the converted
arrays otherwise; `hparameters` is a copy, so that changing the caller's mapping afterwards changes nothing.
What a forward function works out itself from half arrays for its backward function is float32, the mean and
variance of a batch float64 (`cnnref.checks.half`). Arrays are not copied: whoever overwrites an input in
between overwrites the cache.
"""

from typing import Any, NamedTuple


class ConvCache(NamedTuple):
    """Cache of `conv_forward`: its four arguments.

    Examples
    --------
    >>> A_prev, W, b = np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 3)), np.zeros((1, 1, 1, 3))
    >>> Z, cache = cnnref.conv_forward(A_prev, W, b, {"stride": 1, "pad": 0})
    >>> cache.W.shape, cache.hparameters
    ((1, 1, 1, 3), {'stride': 1, 'pad': 0})
    """

    A_prev: Any
    W: Any
    b: Any
    hparameters: Any


class ConvTransposeCache(NamedTuple):
    """Cache of `conv_transpose_forward`: its four arguments.

    Examples
    --------
    >>> A_prev, W, b = np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), np.zeros((1, 1, 1, 1))
    >>> Z, cache = cnnref.conv_transpose_forward(A_prev, W, b, {"stride": 2, "pad": 0})
    >>> cache.A_prev.shape, cache.hparameters
    ((1, 2, 2, 1), {'stride': 2, 'pad': 0})
    """

    A_prev: Any
    W: Any
    b: Any
    hparameters: Any


class _PoolFields(NamedTuple):
    A_prev: Any
    hparameters: Any


class PoolCache(_PoolFields):
    """Cache of `pool_forward`: `A_prev` and `hparameters`.

    Max pooling also leaves the position of each window's maximum in an attribute that is no field:
    `pool_backward` uses it as long as the fields are those of the forward call, and works from `A_prev`
    otherwise (a cache built by hand, or the other mode). The maximum is the one that the forward call
    saw, even where `A_prev` was overwritten since.

    Examples
    --------
    >>> A, cache = cnnref.pool_forward(np.ones((1, 2, 2, 1)), {"f": 2, "stride": 2})
    >>> cache.hparameters
    {'f': 2, 'stride': 2}
    """

    _argmax: Any  # absent unless `pool_forward` set it

    __module__ = "cnnref"


class AffineCache(NamedTuple):
    """Cache of `affine_forward`: its three arguments.

    Examples
    --------
    >>> Z, cache = cnnref.affine_forward(np.ones((2, 3)), np.ones((3, 4)), np.zeros((1, 4)))
    >>> cache.W.shape
    (3, 4)
    """

    A_prev: Any
    W: Any
    b: Any


class AffineActivationCache(NamedTuple):
    """Cache of `affine_activation_forward`; without an activation `activation_cache` is the affine cache.

    Examples
    --------
    >>> A_prev, W, b = np.ones((2, 3)), np.ones((3, 4)), np.zeros((1, 4))
    >>> A, cache = cnnref.affine_activation_forward(A_prev, W, b, "relu")
    >>> cache.affine_cache.W.shape, cache.activation_cache.shape
    ((3, 4), (2, 4))
    """

    affine_cache: Any
    activation_cache: Any


class BatchNormCache(NamedTuple):
    """Cache of `batch_norm_forward`: what it normalized with, and the running statistics for the next call.

    `mean` and `variance` (biased), in float64, are those of the batch in training, and the running ones in
    inference. The running statistics are new arrays where they were given, in inference copies of those, else
    None.

    Examples
    --------
    >>> one = np.ones((1, 1, 1, 1))
    >>> A, cache = cnnref.batch_norm_forward(np.ones((2, 1, 1, 1)), one, one, one, one, {"training": True})
    >>> cache.mean, cache.variance
    (array([[[[1.]]]]), array([[[[0.]]]]))
    """

    A_prev: Any
    gamma: Any
    mean: Any
    variance: Any
    running_mean: Any
    running_var: Any
    hparameters: Any


class PReLUCache(NamedTuple):
    """Cache of `prelu`: its two arguments.

    Examples
    --------
    >>> A, cache = cnnref.prelu(np.ones((2, 4, 4, 3)), np.full((1, 1, 1, 3), 0.25))
    >>> cache.slopes
    array([[[[0.25, 0.25, 0.25]]]])
    """

    Z: Any
    slopes: Any


class _RowNormFields(NamedTuple):
    A_prev: Any
    gamma: Any
    hparameters: Any


class LayerNormCache(_RowNormFields):
    """Cache of `layer_norm_forward`: `A_prev`, `gamma` and `hparameters`.

    The forward call also leaves the mean of each pixel and ``1 / sqrt(variance + epsilon)``, in float64, in
    an attribute that is no field: `layer_norm_backward` uses them as long as `epsilon` is that of the
    forward call, and takes them from `A_prev` again otherwise (a cache built by hand).

    Examples
    --------
    >>> one = np.ones((1, 1, 1, 3))
    >>> A, cache = cnnref.layer_norm_forward(np.ones((2, 4, 4, 3)), one, one, epsilon=1e-6)
    >>> cache.A_prev.shape, cache.hparameters
    ((2, 4, 4, 3), {'epsilon': 1e-06})
    """

    _statistics: Any  # (float64 of each pixel, epsilon); absent unless `layer_norm_forward` set it

    __module__ = "cnnref"


class RMSNormCache(_RowNormFields):
    """Cache of `rms_norm_forward`: `A_prev`, `gamma` and `hparameters`; beside them as in `LayerNormCache`.

    Examples
    --------
    >>> A, cache = cnnref.rms_norm_forward(np.ones((2, 4, 4, 3)), np.ones((1, 1, 1, 3)), epsilon=1e-6)
    >>> cache.A_prev.shape, cache.hparameters
    ((2, 4, 4, 3), {'epsilon': 1e-06})
    """

    _statistics: Any

    __module__ = "cnnref"


class CrossEntropyCache(NamedTuple):
    """Cache of `cross_entropy_cost`: the probabilities and the (row, column) of each label, from 0.

    Examples
    --------
    >>> loss, cache = cnnref.cross_entropy_cost([[0.5, 0.5]], [1])
    >>> cache.Y_index
    array([[0, 1]])
    """

    AL: Any
    Y_index: Any


class LossCache(NamedTuple):
    """Cache of the losses of each element and its target, `mse_loss` and those after it: their two arrays.

    Examples
    --------
    >>> loss, cache = cnnref.mse_loss([[1.0, 2.0]], [[1.0, 4.0]])
    >>> cache.T
    array([[1., 4.]])
    """

    X: Any
    T: Any


for _cache in (
    ConvCache,
    ConvTransposeCache,
    PoolCache,
    AffineCache,
    AffineActivationCache,
    BatchNormCache,
    PReLUCache,
    LayerNormCache,
    RMSNormCache,
    CrossEntropyCache,
    LossCache,
):
    _cache.__module__ = "cnnref"
