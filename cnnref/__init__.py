"""A compiled CNN reference, forward and backward, whose every bit is defined; of a NaN, that it is one.

Images are NHWC arrays, filters (f_h, f_w, n_C_prev / groups, n_C); a forward function returns its result and
a cache for its backward function. The map:

- ``conv``, ``conv_transpose``, ``pool``, ``global_average_pool``, ``batch_norm``, ``affine``,
  ``activation``, ``linear_units``, ``tanh``, ``softmax``, ``log_softmax``, ``loss``, ``reorder``, ``mask``:
  the operations, each compiled for several instruction sets; ``_dispatch`` loads the best one
  (``CNNREF_ISA`` forces another)
- ``affine_activation``: what needs no kernel of its own
- ``blog``: the same functions with the conventions of the post's R code
- ``kernels``: what they compute with, by family
- ``caches``: the named tuples; ``checks``: arguments, hyperparameters, caches, error texts, half precision
  and memory for results
- ``threads``, ``config``: thread count, instruction set, versions
"""

from cnnref._dispatch import load as _load
from cnnref.affine_activation import compose as _compose
from cnnref.caches import (
    AffineActivationCache,
    AffineCache,
    BatchNormCache,
    ConvCache,
    ConvTransposeCache,
    CrossEntropyCache,
    PoolCache,
)
from cnnref.checks.probability import ProbabilityWarning
from cnnref.config import __version__, show_config
from cnnref.threads import get_num_threads, set_num_threads

_activation, _affine, _conv, _loss, _mask, _pool, _reorder, _softmax = map(
    _load, ("activation", "affine", "conv", "loss", "mask", "pool", "reorder", "softmax")
)
_batch_norm, _conv_transpose, _global_average_pool, _linear_units, _log_softmax, _tanh = map(
    _load, ("batch_norm", "conv_transpose", "global_average_pool", "linear_units", "log_softmax", "tanh")
)

pad3d = _reorder.pad3d
pad3d_backward = _reorder.pad3d_backward
conv_single_step = _conv.conv_single_step
conv_forward = _conv.conv_forward
conv_backward = _conv.conv_backward
conv_transpose_forward = _conv_transpose.conv_transpose_forward
conv_transpose_backward = _conv_transpose.conv_transpose_backward
pool_forward = _pool.pool_forward
pool_backward = _pool.pool_backward
global_average_pool_forward = _global_average_pool.global_average_pool_forward
global_average_pool_backward = _global_average_pool.global_average_pool_backward
batch_norm_forward = _batch_norm.batch_norm_forward
batch_norm_backward = _batch_norm.batch_norm_backward
arr2col = _reorder.arr2col
col2arr = _reorder.col2arr
affine_forward = _affine.affine_forward
affine_backward = _affine.affine_backward
sigmoid = _activation.sigmoid
relu = _activation.relu
sigmoid_backward = _activation.sigmoid_backward
relu_backward = _activation.relu_backward
tanh = _tanh.tanh
tanh_backward = _tanh.tanh_backward
leaky_relu = _linear_units.leaky_relu
leaky_relu_backward = _linear_units.leaky_relu_backward
silu = _linear_units.silu
silu_backward = _linear_units.silu_backward
gelu = _linear_units.gelu
gelu_backward = _linear_units.gelu_backward
affine_activation_forward, affine_activation_backward = _compose(
    affine_forward, affine_backward, {"relu": (relu, relu_backward), "sigmoid": (sigmoid, sigmoid_backward)}
)
softmax = _softmax.softmax
softmax_backward = _softmax.softmax_backward
log_softmax = _log_softmax.log_softmax
log_softmax_backward = _log_softmax.log_softmax_backward
create_mask_from_window = _mask.create_mask_from_window
distribute_value = _mask.distribute_value
cross_entropy_cost = _loss.cross_entropy_cost
cross_entropy_backward = _loss.cross_entropy_backward
softmax_cross_entropy_backward = _loss.softmax_cross_entropy_backward

#: What `conformance` may ask for beyond the contract's plain calls: ``OPERATION.KEY``, with wildcards.
options = ("conv_*.*", "pool_*.*", "*cross_entropy_*.*")

#: The dtypes that `conformance` may ask for.
dtypes = ("f32", "f64", "f16", "bf16")

__all__ = [
    "AffineActivationCache",
    "AffineCache",
    "BatchNormCache",
    "ConvCache",
    "ConvTransposeCache",
    "CrossEntropyCache",
    "PoolCache",
    "ProbabilityWarning",
    "__version__",
    "affine_activation_backward",
    "affine_activation_forward",
    "affine_backward",
    "affine_forward",
    "arr2col",
    "batch_norm_backward",
    "batch_norm_forward",
    "blog",
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
    "get_num_threads",
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
    "set_num_threads",
    "show_config",
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

for _name in __all__:
    if callable(globals().get(_name)):
        globals()[_name].__module__ = __name__
        globals()[_name].__qualname__ = _name

from cnnref import blog  # noqa: E402  (its functions are told from those above by their module)
