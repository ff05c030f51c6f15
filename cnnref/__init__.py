"""A compiled CNN reference, forward and backward, whose every bit is defined; of a NaN, that it is one.

Images are NHWC arrays, filters (f_h, f_w, n_C_prev / groups, n_C); a forward function returns its result and
a cache for its backward function. The map:

- ``conv``, ``pool``, ``global_average_pool``, ``batch_norm``, ``row_norm``, ``affine``,
  ``activation``, ``linear_units``, ``rational_units``, ``exponential_units``, ``prelu``, ``tanh``,
  ``softmax``, ``log_softmax``, ``loss``, ``element_loss``, ``reorder``, ``mask``:
  the operations, each compiled for several instruction sets; ``_dispatch`` loads the best one
  (``CNNREF_ISA`` forces another)
- ``affine_activation``: what needs no kernel of its own
- ``blog``: the same functions with the conventions of the post's R code
- ``kernels``: what they compute with, by family; ``plan``: which of them serves which shape (`kernel_for`)
- ``caches``: the named tuples; ``checks``: arguments, hyperparameters, caches, error texts, half precision
  and memory for results
- ``threads``, ``config``: thread count, instruction set, versions
"""

from cnnref._dispatch import load as _load
from cnnref._processor import openmp as _openmp
from cnnref.affine_activation import compose as _compose
from cnnref.caches import (
    AffineActivationCache,
    AffineCache,
    BatchNormCache,
    ConvCache,
    ConvTransposeCache,
    CrossEntropyCache,
    LayerNormCache,
    LossCache,
    PoolCache,
    PReLUCache,
    RMSNormCache,
)
from cnnref.checks.probability import ProbabilityWarning
from cnnref.config import __version__, show_config
from cnnref.softmax_cross_entropy import compose as _compose_loss
from cnnref.threads import get_num_threads, set_num_threads

#: The operations: the module that computes some, and the names of its functions. One more is a row more.
_OPERATIONS = {
    "activation": ("sigmoid", "sigmoid_backward", "relu", "relu_backward"),
    "affine": ("affine_forward", "affine_backward"),
    "batch_norm": ("batch_norm_forward", "batch_norm_backward"),
    "conv": (
        "conv_single_step",
        "conv_forward",
        "conv_backward",
        "conv_transpose_forward",
        "conv_transpose_backward",
    ),
    "element_loss": ("mse_loss", "mse_loss_backward"),
    "exponential_units": (
        "elu",
        "elu_backward",
        "selu",
        "selu_backward",
        "celu",
        "celu_backward",
        "softplus",
        "softplus_backward",
        "mish",
        "mish_backward",
    ),
    "global_average_pool": ("global_average_pool_forward", "global_average_pool_backward"),
    "linear_units": ("leaky_relu", "leaky_relu_backward", "silu", "silu_backward", "gelu", "gelu_backward"),
    "prelu": ("prelu", "prelu_backward"),
    "log_softmax": ("log_softmax", "log_softmax_backward"),
    "loss": ("cross_entropy_cost", "cross_entropy_backward", "softmax_cross_entropy_backward"),
    "mask": ("create_mask_from_window", "distribute_value"),
    "pool": ("pool_forward", "pool_backward"),
    "rational_units": (
        "relu6",
        "relu6_backward",
        "hardtanh",
        "hardtanh_backward",
        "hardsigmoid",
        "hardsigmoid_backward",
        "hardswish",
        "hardswish_backward",
        "softsign",
        "softsign_backward",
    ),
    "reorder": ("pad3d", "pad3d_backward", "arr2col", "col2arr"),
    "row_norm": ("layer_norm_forward", "layer_norm_backward", "rms_norm_forward", "rms_norm_backward"),
    "softmax": ("softmax", "softmax_backward"),
    "tanh": ("tanh", "tanh_backward"),
}
_functions = {name: getattr(_load(module), name) for module, names in _OPERATIONS.items() for name in names}
_functions |= _compose(_functions) | _compose_loss(_functions, _load("loss").loss_of_logarithms)
globals().update(_functions)
kernel_for = _load("plan").kernel_for

#: What `conformance` may ask for beyond the contract's plain calls: ``OPERATION.KEY``, with wildcards.
options = ("conv_*.*", "pool_*.*", "*cross_entropy*.*")

#: The dtypes that `conformance` may ask for.
dtypes = ("f32", "f64", "f16", "bf16")

#: What its report says of the build beside the version, where it is not the usual one.
build = "" if _openmp() else "built without OpenMP: one thread"

#: Whose tails keep their digits, for `conformance`.
accuracy = dict.fromkeys(
    (
        "sigmoid_backward",
        "affine_activation_backward",
        "tanh_backward",
        "gelu",
        "gelu_backward",
        "softsign_backward",
        *_OPERATIONS["exponential_units"],
    ),
    "relative",
)

__all__ = [
    "AffineActivationCache",
    "AffineCache",
    "BatchNormCache",
    "ConvCache",
    "ConvTransposeCache",
    "CrossEntropyCache",
    "LayerNormCache",
    "LossCache",
    "PReLUCache",
    "PoolCache",
    "RMSNormCache",
    "ProbabilityWarning",
    "__version__",
    "blog",
    "get_num_threads",
    "kernel_for",
    "set_num_threads",
    "show_config",
    *sorted(_functions),
]

for _name in __all__:
    if callable(globals().get(_name)):
        globals()[_name].__module__ = __name__
        globals()[_name].__qualname__ = _name

from cnnref import blog  # noqa: E402  (its functions are told from those above by their module)
