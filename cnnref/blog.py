"""The same functions with the conventions of the post's R code, where they differ from the gradient.

Names, arguments and caches are those of `cnnref`, and so are the kernels. What differs:

- `conv_forward`, `conv_single_step`: the bias stands inside the window's sum, once for each of its terms:
  ``f_h * f_w * n_C_prev / groups`` times, those over padding among them. Dilation adds no terms.
- `pool_backward`, `create_mask_from_window`: every maximum of a window gets all of the gradient.
- `relu_backward` passes the gradient where ``Z == 0``; `sigmoid_backward` is ``dA * s * (1 - s)`` as written.
- `affine_backward` divides dW and db by the number of rows.
- `softmax` takes ``exp`` directly.
- `cross_entropy_cost` numbers the labels by their rank among the labels present.
- `arr2col`, `col2arr` order features as R does: h fastest, then w, then c.

Where the R code stops with an error (f = 1, a single channel, ...), the functions compute what the post's
prose says. What the post does not have (batch normalization, GELU, ...) is that of `cnnref`.

Source: "R for Deep Learning (IV): Build Convolutional Neural Network from Scratch".
"""

import numpy as np

from cnnref._dispatch import load
from cnnref.affine_activation import compose
from cnnref.checks import conv as _check_conv
from cnnref.checks import elements, pool_affine
from cnnref.checks import loss as _check_loss
from cnnref.checks.half import in_single

_activation = load("activation")
_affine = load("affine")
_batch_norm = load("batch_norm")
_conv = load("conv")
_conv_transpose = load("conv_transpose")
_global_average_pool = load("global_average_pool")
_linear_units = load("linear_units")
_log_softmax = load("log_softmax")
_loss = load("loss")
_mask = load("mask")
_pool = load("pool")
_reorder = load("reorder")
_softmax = load("softmax")
_tanh = load("tanh")

pad3d = _reorder.pad3d
pad3d_backward = _reorder.pad3d_backward
conv_forward = _conv.post_conv_forward
conv_backward = _conv.conv_backward
conv_transpose_forward = _conv_transpose.conv_transpose_forward
conv_transpose_backward = _conv_transpose.conv_transpose_backward
pool_forward = _pool.pool_forward
create_mask_from_window = _mask.post_create_mask_from_window
distribute_value = _mask.distribute_value
pool_backward = _pool.post_pool_backward
affine_forward = _affine.affine_forward
relu = _activation.relu
relu_backward = _activation.post_relu_backward
sigmoid = _activation.sigmoid
sigmoid_backward = _activation.post_sigmoid_backward
softmax = _softmax.post_softmax
softmax_backward = _softmax.post_softmax_backward
cross_entropy_backward = _loss.cross_entropy_backward
softmax_cross_entropy_backward = _loss.softmax_cross_entropy_backward
leaky_relu = _linear_units.leaky_relu
leaky_relu_backward = _linear_units.leaky_relu_backward
silu = _linear_units.silu
silu_backward = _linear_units.silu_backward
gelu = _linear_units.gelu
gelu_backward = _linear_units.gelu_backward
tanh = _tanh.tanh
tanh_backward = _tanh.tanh_backward
log_softmax = _log_softmax.log_softmax
log_softmax_backward = _log_softmax.log_softmax_backward
global_average_pool_forward = _global_average_pool.global_average_pool_forward
global_average_pool_backward = _global_average_pool.global_average_pool_backward
batch_norm_forward = _batch_norm.batch_norm_forward
batch_norm_backward = _batch_norm.batch_norm_backward


def conv_single_step(a_slice_prev, W, b):
    """`cnnref.conv_single_step` with the bias added at each of the ``f_h * f_w * n_C_prev`` products."""
    a_slice_prev, W, b = _check_conv.check_conv_single_step(a_slice_prev, W, b)
    return _conv.conv_single_step(a_slice_prev, W, b * W.size)


def affine_backward(dZ, cache):
    """`cnnref.affine_backward` with dW and db divided by the number of rows, and dA_prev not."""
    dZ, *fields = pool_affine.check_affine_backward(dZ, cache)
    if dZ.itemsize == 2:
        return in_single(affine_backward, (dZ, tuple(fields)), dZ)
    dA_prev, dW, db = _affine.affine_backward(dZ, tuple(fields))
    rows = dW.dtype.type(dA_prev.shape[0])
    with np.errstate(all="ignore"):  # no rows: 0 / 0 is NaN, as in R
        return dA_prev, dW / rows, db / rows


affine_activation_forward, affine_activation_backward = compose(
    affine_forward, affine_backward, {"relu": (relu, relu_backward), "sigmoid": (sigmoid, sigmoid_backward)}
)


def arr2col(X):
    """`cnnref.arr2col` in R's order: h fastest, then w, then c."""
    X, features = elements.check_arr2col(X)
    return X.transpose(0, 3, 2, 1).reshape(X.shape[0], features).copy(), X


def col2arr(X, cache):
    """`cnnref.col2arr` in R's order: h fastest, then w, then c."""
    X, (m, n_H, n_W, n_C) = elements.check_col2arr(X, cache)
    return X.reshape(m, n_C, n_W, n_H).transpose(0, 3, 2, 1).copy()


def cross_entropy_cost(AL, Y, batch_size=None, label_smoothing=0.0, ignore_index=None):
    """`cnnref.cross_entropy_cost` with the rank of each label among those present as its column.

    `Y` may therefore hold any integers; there may be no more distinct ones than columns. Ignored labels have
    no rank, and `ignore_index` must be none.
    """
    AL, ranks, ignore_index = _check_loss.check_ranks(AL, Y, ignore_index)
    return _loss.cross_entropy_cost(AL, ranks, batch_size, label_smoothing, ignore_index)


#: As `cnnref.options`.
options = ("conv_*.*", "pool_*.*", "*cross_entropy_*.label_smoothing")

#: As `cnnref.dtypes`.
dtypes = ("f32", "f64", "f16", "bf16")

__all__ = [
    "affine_activation_backward",
    "affine_activation_forward",
    "affine_backward",
    "affine_forward",
    "arr2col",
    "batch_norm_backward",
    "batch_norm_forward",
    "col2arr",
    "conv_backward",
    "conv_forward",
    "conv_single_step",
    "conv_transpose_backward",
    "conv_transpose_forward",
    "create_mask_from_window",
    "cross_entropy_backward",
    "cross_entropy_cost",
    "distribute_value",
    "gelu",
    "gelu_backward",
    "global_average_pool_backward",
    "global_average_pool_forward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "pad3d",
    "pad3d_backward",
    "pool_backward",
    "pool_forward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "tanh",
    "tanh_backward",
]

# What stands here and not in `cnnref` says so, under its public name.
_OWN = {_name: _function for _name, _function in globals().items() if _name in __all__}
for _name, _function in _OWN.items():
    if _function.__name__.startswith("post_") or _function.__module__ in (
        __name__,
        "cnnref.affine_activation",
    ):
        _function.__module__ = __name__
        _function.__name__ = _function.__qualname__ = _name
