"""The functions that the suite judges, as it sees them: arguments, outputs, parameters.

Everything that depends on *which* function is under test starts from this table: how a case is
written, which arrays are drawn, what is compared and which forward function makes the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from conformance.cases.option_table import (
    BORDER,
    CEIL,
    DILATION,
    GROUPS,
    IGNORED,
    LABEL_SMOOTHING,
    MEANINGS,
    NEGATIVE_SLOPE,
    OUTPUT_PADDING,
    PADDING,
    POOL_PADDING,
    STRIDE,
    TRANSPOSE_PADDING,
    WINDOW,
)
from conformance.cases.options import Option

#: Parameters written as words instead of a letter and a number, with the words allowed.
WORDS: dict[str, tuple[str, ...]] = {
    "mode": ("max", "average"),
    "activation": ("relu", "sigmoid", "NULL"),
    "approximate": ("none", "tanh"),
    "statistics": ("training", "inference"),
}

#: What each parameter letter means, for ``conformance list`` and error messages.
PARAMETERS: dict[str, str] = {
    "m": "samples (batch)",
    "h": "height",
    "w": "width",
    "c": "input channels (n_C_prev)",
    "f": "filter or window size",
    "k": "filters, output channels (n_C)",
    "s": "stride",
    "p": "zero padding on each side",
    "i": "affine inputs (n_prev)",
    "o": "affine outputs (n)",
    "n": "classes",
    "mode": "pooling mode: max or average",
    "activation": "relu, sigmoid or NULL",
    "approximate": "form of gelu: none or tanh",
    "statistics": "of the batch (training) or running (inference)",
    **MEANINGS,
}

Group = tuple[str, ...]
#: One kind of one factor.
Level = tuple[str, str]

_IMAGE: Group = ("m", "h", "w", "c")
_CONV: tuple[Group, ...] = (_IMAGE, ("f", "k"), ("s", "p"))
_POOL: tuple[Group, ...] = (_IMAGE, ("f", "s"), ("mode",))
_AFFINE: Group = ("m", "i", "o")
_ROWS: Group = ("m", "n")


@dataclass(frozen=True)
class Operation:
    """One function of the contract.

    Attributes
    ----------
    name : str
        The function's name in the contract.
    grammar : tuple of tuple of str
        The parameters of a case, in the groups in which its name writes them.
    arrays : tuple of str
        The arrays (and scalars) drawn for a case, by the contract's argument names. For a
        backward function these are the forward inputs followed by the upstream gradient.
    outputs : tuple of str
        What is compared.
    upstream : str or None
        The upstream gradient among `arrays`, for a backward function.
    forward : str or None
        The function whose cache a backward function is given.
    options : tuple of Option
        What a case may say beyond the contract's plain call, in the order in which it is written.
    apart : tuple of two (str, str)
        Kinds of two options (or words) that do not go together: ``(("mode", "average"), ("d", "dilated"))``.
    """

    name: str
    grammar: tuple[Group, ...]
    arrays: tuple[str, ...]
    outputs: tuple[str, ...]
    upstream: str | None = None
    forward: str | None = None
    options: tuple[Option, ...] = ()
    apart: tuple[tuple[Level, Level], ...] = ()

    @cached_property
    def option(self) -> Mapping[str, Option]:
        """The options by name."""
        return {option.name: option for option in self.options}

    @cached_property
    def template(self) -> str:
        """How a case writes the groups: ``m%sh%sw%sc%s_f%ss%s_%s``."""
        return "_".join("".join("%s" if n in WORDS else f"{n}%s" for n in group) for group in self.grammar)

    @cached_property
    def trailing(self) -> Mapping[str, Option]:
        """The options that follow the groups of a case, by name."""
        return {name: option for name, option in self.option.items() if name not in self.parameters}

    @cached_property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """What a run has to cover in pairs: the words of a case and its options, each with its kinds."""
        words = {name: WORDS[name] for name in self.parameters if name in WORDS}
        return {**words, **{option.name: tuple(option.kinds) for option in self.options}}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """All parameters of a case in order."""
        return tuple(name for group in self.grammar for name in group)


_CONV_OPTIONS = (WINDOW, STRIDE, PADDING, DILATION, GROUPS)
_TRANSPOSE_OPTIONS = (WINDOW, STRIDE, TRANSPOSE_PADDING, DILATION, GROUPS, OUTPUT_PADDING)
#: With stride 1 one size alone is possible, unless the taps lie apart.
_TRANSPOSE_APART: tuple[tuple[Level, Level], ...] = (
    (("s", "one"), ("e", "some")),
    (("s", "one"), ("e", "pair")),
)
_LOSS_OPTIONS = (LABEL_SMOOTHING, IGNORED)
_POOL_OPTIONS = (WINDOW, STRIDE, POOL_PADDING, DILATION, CEIL, BORDER)
#: PyTorch has no dilated average, and a maximum divides by nothing.
_POOL_APART: tuple[tuple[Level, Level], ...] = (
    (("mode", "average"), ("d", "dilated")),
    (("mode", "average"), ("d", "pair")),
    (("mode", "max"), ("border", "exclude")),
)
_AFFINE_ACTIVATION: tuple[Group, ...] = (_AFFINE, ("activation",))
_AWB = ("A_prev", "W", "b")
_GRADIENTS = ("dA_prev", "dW", "db")
_GELU: tuple[Group, ...] = (_IMAGE, ("approximate",))
_BATCH_NORM: tuple[Group, ...] = (_IMAGE, ("statistics",))
_NORMALIZED = ("A_prev", "gamma", "beta", "running_mean", "running_var")

_UNITS = tuple(
    operation
    for name, grammar, options in (
        ("tanh", (_IMAGE,), ()),
        ("silu", (_IMAGE,), ()),
        ("gelu", _GELU, ()),
        ("leaky_relu", (_IMAGE,), (NEGATIVE_SLOPE,)),
    )
    for operation in (
        Operation(name, grammar, ("Z",), ("A",), options=options),
        Operation(f"{name}_backward", grammar, ("Z", "dA"), ("dZ",), "dA", name, options),
    )
)

_TABLE = (
    Operation("pad3d", (_IMAGE, ("p",)), ("input",), ("output",)),
    Operation("pad3d_backward", (_IMAGE, ("p",)), ("doutput",), ("dinput",), "doutput", "pad3d"),
    Operation("conv_single_step", (("f", "c"),), ("a_slice_prev", "W", "b"), ("Z",)),
    Operation("conv_forward", _CONV, _AWB, ("Z",), options=_CONV_OPTIONS),
    Operation("conv_backward", _CONV, (*_AWB, "dZ"), _GRADIENTS, "dZ", "conv_forward", options=_CONV_OPTIONS),
    Operation(
        "conv_transpose_forward",
        _CONV,
        _AWB,
        ("Z",),
        options=_TRANSPOSE_OPTIONS,
        apart=_TRANSPOSE_APART,
    ),
    Operation(
        "conv_transpose_backward",
        _CONV,
        (*_AWB, "dZ"),
        _GRADIENTS,
        "dZ",
        "conv_transpose_forward",
        _TRANSPOSE_OPTIONS,
        _TRANSPOSE_APART,
    ),
    Operation(
        "pool_forward",
        _POOL,
        ("A_prev",),
        ("A",),
        options=_POOL_OPTIONS,
        apart=_POOL_APART,
    ),
    Operation(
        "pool_backward",
        _POOL,
        ("A_prev", "dA"),
        ("dA_prev",),
        "dA",
        "pool_forward",
        _POOL_OPTIONS,
        _POOL_APART,
    ),
    Operation("create_mask_from_window", (("h", "w"),), ("x",), ("mask",)),
    Operation("distribute_value", (("h", "w"),), ("dz",), ("a",)),
    Operation("arr2col", (_IMAGE,), ("X",), ("output",)),
    Operation("col2arr", (_IMAGE,), ("X",), ("output",), None, "arr2col"),
    Operation("affine_forward", (_AFFINE,), _AWB, ("Z",)),
    Operation("affine_backward", (_AFFINE,), (*_AWB, "dZ"), _GRADIENTS, "dZ", "affine_forward"),
    Operation("affine_activation_forward", _AFFINE_ACTIVATION, _AWB, ("A",)),
    Operation(
        "affine_activation_backward",
        _AFFINE_ACTIVATION,
        (*_AWB, "dA"),
        _GRADIENTS,
        "dA",
        "affine_activation_forward",
    ),
    Operation("sigmoid", (_IMAGE,), ("Z",), ("A",)),
    Operation("sigmoid_backward", (_IMAGE,), ("Z", "dA"), ("dZ",), "dA", "sigmoid"),
    Operation("relu", (_IMAGE,), ("Z",), ("A",)),
    Operation("relu_backward", (_IMAGE,), ("Z", "dA"), ("dZ",), "dA", "relu"),
    *_UNITS,
    Operation("global_average_pool_forward", (_IMAGE,), ("A_prev",), ("A",)),
    Operation(
        "global_average_pool_backward",
        (_IMAGE,),
        ("A_prev", "dA"),
        ("dA_prev",),
        "dA",
        "global_average_pool_forward",
    ),
    Operation("batch_norm_forward", _BATCH_NORM, _NORMALIZED, ("A", "running_mean", "running_var")),
    Operation(
        "batch_norm_backward",
        _BATCH_NORM,
        (*_NORMALIZED, "dA"),
        ("dA_prev", "dgamma", "dbeta"),
        "dA",
        "batch_norm_forward",
    ),
    Operation("softmax", (_ROWS,), ("X",), ("probs",)),
    Operation("softmax_backward", (_ROWS,), ("X", "dprobs"), ("dX",), "dprobs", "softmax"),
    Operation("log_softmax", (_ROWS,), ("X",), ("logp",)),
    Operation("log_softmax_backward", (_ROWS,), ("X", "dlogp"), ("dX",), "dlogp", "log_softmax"),
    Operation("cross_entropy_cost", (_ROWS,), ("AL", "Y"), ("loss",), options=_LOSS_OPTIONS),
    Operation(
        "cross_entropy_backward",
        (_ROWS,),
        ("AL", "Y"),
        ("dAL",),
        None,
        "cross_entropy_cost",
        _LOSS_OPTIONS,
    ),
    Operation(
        "softmax_cross_entropy_backward",
        (_ROWS,),
        ("X", "Y"),
        ("dX",),
        None,
        "cross_entropy_cost",
        _LOSS_OPTIONS,
    ),
)

#: The operations by name, in the contract's order.
OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _TABLE}


def select(patterns: list[str] | None) -> list[Operation]:
    """Return the operations that match any of the shell patterns, in the contract's order.

    Raises
    ------
    ValueError
        If a pattern matches nothing.
    """
    if not patterns:
        return list(OPERATIONS.values())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in OPERATIONS):
            raise ValueError(
                f"no operation matches {pattern!r}; `conformance list` shows the {len(OPERATIONS)} names"
            )
    return [o for o in _TABLE if any(fnmatchcase(o.name, pattern) for pattern in patterns)]
