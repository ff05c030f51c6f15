"""The same functions with the conventions of the post's R code, where they differ from the gradient.

Names, arguments and caches are those of `cnnref`, and so are the kernels. What differs:

- `conv_forward`, `conv_single_step`: the bias stands inside the window's sum, once for each of its terms:
  ``f_h * f_w * n_C_prev / groups`` times, those over padding among them. Dilation adds no terms.
- `pool_backward`, `create_mask_from_window`: every maximum of a window gets all of the gradient.
- `relu_backward` passes the gradient where ``Z == 0``; `sigmoid_backward` is ``dA * s * (1 - s)`` as written.
- `affine_backward` divides dW and db by the number of rows.
- `softmax` takes ``exp`` directly.
- `cross_entropy_cost` and `softmax_cross_entropy` number the labels by their rank among the labels present.
- `arr2col`, `col2arr` order features as R does: h fastest, then w, then c.

Where the R code stops with an error (f = 1, a single channel, ...), the functions compute what the post's
prose says. What the post does not have (batch normalization, GELU, ...) is that of `cnnref`.

Source: "R for Deep Learning (IV): Build Convolutional Neural Network from Scratch".
"""

import numpy as np

from cnnref import _OPERATIONS
from cnnref import accuracy as _accuracy
from cnnref._dispatch import load
from cnnref.affine_activation import compose
from cnnref.checks import conv, elements, loss, pool_affine
from cnnref.checks.half import in_single
from cnnref.softmax_cross_entropy import compose as compose_loss


def _compiled(module, name):
    """A function of a compiled module: that of the post where there is one."""
    loaded = load(module)
    return getattr(loaded, f"post_{name}", None) or getattr(loaded, name)


_functions = {name: _compiled(module, name) for module, names in _OPERATIONS.items() for name in names}
_conv_single_step, _affine_backward = _functions["conv_single_step"], _functions["affine_backward"]
_cross_entropy_cost = _functions["cross_entropy_cost"]
_softmax_cross_entropy = compose_loss(_functions, load("loss").loss_of_logarithms)["softmax_cross_entropy"]


def conv_single_step(a_slice_prev, W, b):
    """`cnnref.conv_single_step` with the bias added at each of the ``f_h * f_w * n_C_prev`` products."""
    a_slice_prev, W, b = conv.check_conv_single_step(a_slice_prev, W, b)
    return _conv_single_step(a_slice_prev, W, b * W.size)


def affine_backward(dZ, cache):
    """`cnnref.affine_backward` with dW and db divided by the number of rows, and dA_prev not."""
    dZ, *fields = pool_affine.check_affine_backward(dZ, cache)
    if dZ.itemsize == 2:
        return in_single(affine_backward, (dZ, tuple(fields)), dZ)
    dA_prev, dW, db = _affine_backward(dZ, tuple(fields))
    rows = dW.dtype.type(dA_prev.shape[0])
    with np.errstate(all="ignore"):  # no rows: 0 / 0 is NaN, as in R
        return dA_prev, dW / rows, db / rows


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
    AL, ranks, ignore_index = loss.check_ranks("cross_entropy_cost", "AL", AL, Y, ignore_index)
    return _cross_entropy_cost(AL, ranks, batch_size, label_smoothing, ignore_index)


def softmax_cross_entropy(X, Y, label_smoothing=0.0, ignore_index=None):
    """`cnnref.softmax_cross_entropy` with the rank of each label as its column, and the post's softmax."""
    X, ranks, ignore_index = loss.check_ranks("softmax_cross_entropy", "X", X, Y, ignore_index)
    return _softmax_cross_entropy(X, ranks, label_smoothing, ignore_index)


#: As `cnnref.options`.
options = ("conv_*.*", "pool_*.*", "*cross_entropy*.label_smoothing")

#: As `cnnref.dtypes`.
dtypes = ("f32", "f64", "f16", "bf16")

#: As `cnnref.accuracy`, but for the sigmoid's gradient, which is as the post writes it.
_as_written = ("sigmoid_backward", "affine_activation_backward")
accuracy = {op: word for op, word in _accuracy.items() if op not in _as_written}

_own = (conv_single_step, affine_backward, arr2col, col2arr, cross_entropy_cost, softmax_cross_entropy)
_functions |= {function.__name__: function for function in _own}
_functions |= compose(_functions)
globals().update(_functions)

__all__ = sorted(_functions)

# What stands here and not in `cnnref` says so, under its public name.
for _name, _function in _functions.items():
    if _function.__name__.startswith("post_") or _function.__module__ in (
        __name__,
        "cnnref.affine_activation",
    ):
        _function.__module__ = __name__
        _function.__name__ = _function.__qualname__ = _name
