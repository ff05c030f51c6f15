"""What the operations are called where functions are named as in ``torch.nn.functional``, a row each.

A function of this table is differentiated by whatever its dialect has for that: the rows of torch, of its
modules and of JAX are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.implementations.signature import LackingError


@dataclass(frozen=True, eq=False)
class Row:
    """One function.

    Attributes
    ----------
    name : str
        What it is called there.
    forward, backward : str
        What the contract calls it and its gradient.
    arrays : mapping of str to str
        Its array arguments, in its own order, each with its kind (`arrays.inward`).
    order : tuple of str
        The same in the contract's order, those with a gradient first.
    options : mapping of str to str
        The contract's hyperparameters by its argument.
    fixed : mapping of str to object
        Arguments that are always the same.
    wanted : int
        How many of `order` have a gradient.
    output : str
        The kind of what it returns.
    form : str
        How the contract hands hyperparameters over: ``hyper``, ``mode`` (and hyper), ``words`` by position.
    mode : str
        The mode of the contract's function that it is.
    neutral : mapping of str to object
        Values of the contract's hyperparameters at which the argument may be missing.
    also : tuple of str
        Other names.
    filled : bool
        Whether PyTorch's own refuses images without channels or pixels.
    """

    name: str
    forward: str
    backward: str
    arrays: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    wanted: int = 0
    output: str = "image"
    form: str = "words"
    mode: str = ""
    neutral: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    filled: bool = False

    def __post_init__(self) -> None:
        """Fill in what is usual."""
        object.__setattr__(self, "order", self.order or tuple(self.arrays))
        object.__setattr__(self, "wanted", self.wanted or len(self.order))

    @property
    def defaults(self) -> dict[str, Any]:
        """Values of its arguments at which they may be missing."""
        return {self.options.get(key, key): value for key, value in self.neutral.items()} | dict(self.fixed)

    @property
    def leaves(self) -> tuple[str, ...]:
        """The arguments that have a gradient."""
        return self.order[: self.wanted]


_LAYER = {"input": "image", "weight": "filters", "bias": "channels"}
_CONV = {"stride": "stride", "pad": "padding", "groups": "groups", "dilation": "dilation"}
_ONE = {"stride": 1, "pad": 0, "dilation": 1, "groups": 1, "output_padding": 0}
_POOL = {"pad": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True}
_ALPHA = {"alpha": "alpha"}
_ENDS = {"min_val": "min_val", "max_val": "max_val"}
_CHANNELS = dict.fromkeys(("running_mean", "running_var", "weight", "bias"), "channels")


def _unit(name: str, options: Mapping[str, str] = {}, also: tuple[str, ...] = (), **more: Any) -> Row:
    return Row(name, name, f"{name}_backward", {"input": "image"}, options, also=also, **more)


def _loss(name: str, options: Mapping[str, str] = {}, **more: Any) -> Row:
    arrays = {"input": "rows", "target": "rows"}
    return Row(name, name, f"{name}_backward", arrays, options, wanted=1, output="number", **more)


def _rows(name: str) -> Row:
    return Row(name, name, f"{name}_backward", {"input": "rows"}, fixed={"dim": 1}, output="rows")


_UNITS = (
    _unit("relu"), _unit("sigmoid"), _unit("tanh"), _unit("silu", also=("swish",)),
    _unit("gelu", {"approximate": "approximate"}, neutral={"approximate": "none"}),
    _unit("leaky_relu", {"negative_slope": "negative_slope"}, neutral={"negative_slope": 0.01}),
    _unit("relu6"), _unit("hardsigmoid", also=("hard_sigmoid",)),
    _unit("hardtanh", _ENDS, also=("hard_tanh",), neutral={"min_val": -1, "max_val": 1}),
    _unit("hardswish", also=("hard_swish", "hard_silu")), _unit("softsign", also=("soft_sign",)),
    _unit("elu", _ALPHA, neutral={"alpha": 1}), _unit("celu", _ALPHA, neutral={"alpha": 1}),
    _unit("selu"), _unit("mish"),
    _unit("softplus", {"beta": "beta", "threshold": "threshold"}, neutral={"beta": 1, "threshold": 20}),
)  # fmt: skip

_LOSSES = (_loss("mse_loss", also=("mean_squared_error",)),)

ROWS: tuple[Row, ...] = (
    Row("conv2d", "conv_forward", "conv_backward", _LAYER, _CONV, form="hyper", neutral=_ONE, filled=True),
    Row(
        "conv_transpose2d", "conv_transpose_forward", "conv_transpose_backward", _LAYER,
        {**_CONV, "output_padding": "output_padding"}, form="hyper", neutral=_ONE, filled=True,
    ),
    Row(
        "max_pool2d", "pool_forward", "pool_backward", {"input": "image"},
        {"f": "kernel_size", "stride": "stride", "pad": "padding", "dilation": "dilation",
         "ceil_mode": "ceil_mode"},
        form="mode", mode="max", neutral=_POOL, filled=True,
    ),
    Row(
        "avg_pool2d", "pool_forward", "pool_backward", {"input": "image"},
        {"f": "kernel_size", "stride": "stride", "pad": "padding", "ceil_mode": "ceil_mode",
         "count_include_pad": "count_include_pad"},
        form="mode", mode="average", neutral=_POOL, filled=True, also=("average_pool2d", "mean_pool2d"),
    ),
    Row(
        "adaptive_avg_pool2d", "global_average_pool_forward", "global_average_pool_backward",
        {"input": "image"}, fixed={"output_size": 1}, filled=True,
        also=("global_avg_pool2d", "global_average_pool2d", "global_avg_pool", "global_average_pool"),
    ),
    Row(
        "linear", "affine_forward", "affine_backward",
        {"input": "rows", "weight": "matrix", "bias": "bias"}, output="rows",
    ),
    *_UNITS,
    Row(
        "prelu", "prelu", "prelu_backward", {"input": "image", "weight": "channels"},
        neutral={"num_parameters": 1}, also=("parametric_relu",),
    ),
    _rows("softmax"), _rows("log_softmax"),
    Row(
        "batch_norm", "batch_norm_forward", "batch_norm_backward", {"input": "image", **_CHANNELS},
        {"training": "training", "momentum": "momentum", "epsilon": "eps"},
        order=("input", "weight", "bias", "running_mean", "running_var"), wanted=3, form="hyper", filled=True,
        also=("batch_norm2d",),
    ),
    Row(
        "layer_norm", "layer_norm_forward", "layer_norm_backward",
        {"input": "pixels last", "weight": "channels", "bias": "channels"}, {"epsilon": "eps"},
        output="pixels last", form="hyper", filled=True, also=("layer_normalization",),
    ),
    Row(
        "rms_norm", "rms_norm_forward", "rms_norm_backward", {"input": "pixels last", "weight": "channels"},
        {"epsilon": "eps"}, output="pixels last", form="hyper", filled=True, also=("rms_normalization",),
    ),
    Row(
        "cross_entropy", "softmax_cross_entropy", "softmax_cross_entropy_backward",
        {"input": "rows", "target": "labels"},
        {"label_smoothing": "label_smoothing", "ignore_index": "ignore_index"}, wanted=1, output="number",
        neutral={"label_smoothing": 0, "ignore_index": None},
    ),
    *_LOSSES,
    Row("pad", "pad3d", "pad3d_backward", {"input": "image"}, {"stride": "pad"}, filled=True),
)  # fmt: skip

#: The functions that normalize the last axis, whose extents PyTorch is told.
LAST = ("layer_norm", "rms_norm")
#: The functions that take an image element by element.
UNITS = tuple(row.name for row in _UNITS)
#: The losses of each element and its target.
LOSSES = tuple(row.name for row in _LOSSES)
#: Hyperparameters that are a slope: where one is negative the output does not tell the sign of the input.
SLOPES = ("negative_slope", "alpha")


def named(row: Row, options: Mapping[str, Any], wordless: bool = False) -> dict[str, Any]:
    """The contract's hyperparameters by PyTorch's names, as PyTorch has them.

    Raises
    ------
    LackingError
        If PyTorch has no such padding, or the function takes no words for it (`wordless`).
    """
    pad = options.get("pad", 0)
    if isinstance(pad, tuple) and isinstance(pad[0], tuple):
        raise LackingError("PyTorch has no padding of each side")
    if isinstance(pad, str):
        one = options.get("stride", 1) == 1
        if wordless or row.name != "conv2d" or pad == "same_lower" or (pad == "same" and not one):
            raise LackingError(f"PyTorch has no padding {pad!r} here")
    return {row.options[key]: value for key, value in options.items() if value is not None}
