"""The dialect ``torch-modules``: classes with the names and constructor arguments of ``torch.nn``.

Each case has a module of its own, built for its sizes, whose parameters are given the case's values: by name,
else by order and shape. `ModelNew` beside the `Model` that it is to replace is read by `model_pair`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from conformance.implementations.dialects import trials
from conformance.implementations.dialects.arguments import Takes
from conformance.implementations.dialects.arrays import inward
from conformance.implementations.dialects.facade import Adapted
from conformance.implementations.dialects.graphs import Called, as_it_is
from conformance.implementations.dialects.model_pair import row_of
from conformance.implementations.dialects.own import DialectError, chosen, own, spelled
from conformance.implementations.dialects.table import Row, named
from conformance.implementations.dialects.tensors import device_of
from conformance.implementations.dialects.torch import built, rows_of

NAME = "torch-modules"
#: It has a device.
DEVICES = True

#: Of each row what its class is called, and what its constructor takes first.
CLASSES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "conv2d": ("Conv2d", ("in_channels", "out_channels", "kernel_size")),
    "conv_transpose2d": ("ConvTranspose2d", ("in_channels", "out_channels", "kernel_size")),
    "max_pool2d": ("MaxPool2d", ()),
    "avg_pool2d": ("AvgPool2d", ()),
    "adaptive_avg_pool2d": ("AdaptiveAvgPool2d", ()),
    "linear": ("Linear", ("in_features", "out_features")),
    "batch_norm": ("BatchNorm2d", ("num_features",)),
    "layer_norm": ("LayerNorm", ("normalized_shape",)),
    "rms_norm": ("RMSNorm", ("normalized_shape",)),
    "relu": ("ReLU", ()),
    "sigmoid": ("Sigmoid", ()),
    "tanh": ("Tanh", ()),
    "silu": ("SiLU", ()),
    "gelu": ("GELU", ()),
    "leaky_relu": ("LeakyReLU", ()),
    "relu6": ("ReLU6", ()),
    "hardtanh": ("Hardtanh", ()),
    "hardsigmoid": ("Hardsigmoid", ()),
    "hardswish": ("Hardswish", ()),
    "softsign": ("Softsign", ()),
    "elu": ("ELU", ()),
    "selu": ("SELU", ()),
    "celu": ("CELU", ()),
    "softplus": ("Softplus", ()),
    "mish": ("Mish", ()),
    "prelu": ("PReLU", ("num_parameters",)),
    "softmax": ("Softmax", ()),
    "log_softmax": ("LogSoftmax", ()),
    "cross_entropy": ("CrossEntropyLoss", ()),
    "mse_loss": ("MSELoss", ()),
    "pad": ("ZeroPad2d", ()),
}


def is_module(value: Any) -> bool:
    """Whether it is a class of modules."""
    return inspect.isclass(value) and issubclass(value, torch.nn.Module)


def claimed(target: Any, names: Iterable[str]) -> dict[str, str]:
    """Of what a module defines itself the classes of the dialect."""
    alike = {spelled(name): row for row, (name, _) in CLASSES.items()}
    there = [name for name, value in own(target).items() if is_module(value)]
    found = {name: alike[spelled(name)] for name in there if spelled(name) in alike}
    return found | ({"ModelNew": "model"} if "ModelNew" in there else {})


def adapted(target: Any, device: str | None = None, model: str | None = None) -> Adapted:
    """The contract's functions over a module of the dialect.

    Parameters
    ----------
    target : object
        The module.
    device : str, optional
        Where its tensors are.
    model : str, optional
        The row of the `Model` beside a `ModelNew`, where it is known.

    Raises
    ------
    DialectError
        If it cannot be told which parameter of a class is which.
    """
    classes = chosen(target, {name: (row,) for row, (name, _) in CLASSES.items()}, is_module)
    values = {row: classes[name] for row, (name, _) in CLASSES.items() if name in classes}
    if not values and hasattr(target, "ModelNew"):
        values = {model or row_of(target): target.ModelNew}
    where, remarks = device_of(device or getattr(target, "device", None)), dict[str, int]()
    runs = Modules(values)
    for row in rows_of(values):
        if row.arrays.keys() & {"weight"}:
            runs.match(row, where)
    return built(target, NAME, runs, rows_of(values), where, remarks)


class Modules:
    """Builds the modules of a file and calls them (`graphs.Runs`)."""

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self._classes, self.wordless = classes, False
        self.through: Callable[[Any], Any] = as_it_is
        self._orders: dict[str, dict[str, str]] = {}

    def match(self, row: Row, device: torch.device) -> None:
        """Find out which parameter of a class is which; of all extents no two are the same.

        Raises
        ------
        DialectError
            If neither names nor order and shapes tell.
        """
        arrays, options = trials.sample(row), trials.plain(row)
        tensors = {name: torch.from_numpy(inward(row.arrays[name], x)) for name, x in arrays.items()}
        try:
            module = self._module(row, tensors, named(row, options))
        except Exception:  # what is wrong is each case's
            return
        wanted = [name for name in row.leaves if name != "input"]
        there = dict(module.named_parameters())
        if set(wanted) <= there.keys():
            return
        fitting = [
            dict(zip(wanted, names, strict=True))
            for names in permutations(there, len(wanted))
            if list(names) == [n for n in there if n in names]
            and all(there[n].numel() == tensors[w].numel() for n, w in zip(names, wanted, strict=True))
        ]
        if len(fitting) != 1 or len(there) != len(wanted):
            has = ", ".join(f"{name} {tuple(value.shape)}" for name, value in there.items())
            raise DialectError(
                f"{CLASSES[row.name][0]} has the parameters {has or 'none'}; which of them are "
                f"{' and '.join(wanted)}? Call them so"
            )
        self._orders[row.name] = fitting[0]

    def __call__(
        self,
        row: Row,
        tensors: Mapping[str, Tensor],
        options: Mapping[str, Any],
        wanted: frozenset[str],
        inplace: bool,
    ) -> Called:
        """Build the module of a case and call it."""
        module = self._module(row, tensors, named(row, options, self.wordless), inplace)
        inputs = {name: tensors[name] for name in ("input", "target") if name in tensors}
        inputs["input"].requires_grad_("input" in wanted)
        leaves = dict(inputs)
        if row.arrays.keys() & {"weight"}:
            leaves |= self._filled(row, module, tensors, wanted)
        if inplace and _takes_inplace(self._classes[row.name]):
            inputs["input"] = inputs["input"].clone()
        return Called(self.through(module)(*inputs.values()), leaves)

    def _module(
        self, row: Row, tensors: Mapping[str, Tensor], options: Mapping[str, Any], inplace: bool = False
    ) -> Any:
        kind, (_, first) = self._classes[row.name], CLASSES[row.name]
        training = options.get("training", False)
        arguments = dict(zip(first, _sizes(row, tensors, options), strict=True))
        arguments |= {name: value for name, value in options.items() if name != "training"}
        arguments |= dict(row.fixed)
        if row.name == "pad":
            arguments = {"padding": options["pad"]}
        takes_inplace = inplace and _takes_inplace(kind)
        if takes_inplace:
            arguments["inplace"] = True
        takes = Takes(_constructor(kind), (), tuple(arguments), skip=1)
        neutral = row.defaults
        module = takes.call(kind, arguments, neutral)
        like = tensors["input"]
        module = module.to(like.device)
        if like.is_floating_point():
            module = module.to(tensors.get("weight", like).dtype)
        return module.train(training) if row.name == "batch_norm" else module

    def _filled(
        self, row: Row, module: Any, tensors: Mapping[str, Tensor], wanted: frozenset[str]
    ) -> dict[str, Tensor]:
        """Give a module its parameters and buffers; they are its leaves."""
        there = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        names = self._orders.get(row.name, {})
        leaves = {}
        for name in row.order[1:]:
            place = names.get(name, name)
            inner = [held for held in there if held.endswith(f".{name}")]
            if place not in there and len(inner) == 1:
                place = inner[0]  # a buffer of the module that it holds
            if place not in there:
                raise DialectError(f"{CLASSES[row.name][0]} has no {place}")
            held = there[place]
            with torch.no_grad():
                # The memory format of the case, as a module in channels_last has it.
                held.data = (
                    tensors[name].detach().clone(memory_format=torch.preserve_format).reshape(held.shape)
                )
            held.requires_grad_(name in wanted)
            leaves[name] = held
        return leaves


def _constructor(kind: Any) -> Any:
    """The constructor of a class; that of all modules takes anything and refuses it."""
    return _without_arguments if kind.__init__ is torch.nn.Module.__init__ else kind.__init__


def _without_arguments(self: Any) -> None:
    """As a constructor that is not there."""


def _takes_inplace(kind: Any) -> bool:
    return "inplace" in inspect.signature(_constructor(kind)).parameters


def _sizes(row: Row, tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a constructor takes first: channels and windows."""
    weight = tensors.get("weight")
    if weight is None:
        return ()
    if row.arrays["weight"] == "channels":
        return (weight.shape[0],)
    if row.name == "linear":
        return (weight.shape[1], weight.shape[0])
    groups = options.get("groups", 1)
    rows, columns = weight.shape[2:]
    window = rows if rows == columns else (rows, columns)
    if row.name == "conv_transpose2d":
        return (weight.shape[0], weight.shape[1] * groups, window)
    return (weight.shape[1] * groups, weight.shape[0], window)
