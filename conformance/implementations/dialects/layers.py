"""The dialect ``layers``: classes with ``forward`` and ``backward`` that hold their parameters and gradients.

NumPy, ``layout = "NCHW"`` or ``"NHWC"``, or the one in which a small call answers in the right shape.
Parameters (``W``, ``weight``, ``b``, ``bias`` ...) and gradients (``dW``, ``grad_w`` ...) are attributes, or
entries of ``params`` and ``grads``. Each call of forward has an instance of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from conformance.implementations.dialects import trials
from conformance.implementations.dialects.arrays import Array, Given, inward, outward
from conformance.implementations.dialects.construction import constructed, named_parameter
from conformance.implementations.dialects.contract_form import functions
from conformance.implementations.dialects.facade import Adapted
from conformance.implementations.dialects.holder import Holder
from conformance.implementations.dialects.own import chosen, own, spelled
from conformance.implementations.dialects.table import ROWS, Row
from conformance.implementations.signature import LackingError

NAME = "layers"

#: Of each row what its class may be called, case, underscores and "layer" left out.
NAMES: Mapping[str, tuple[str, ...]] = {
    "conv2d": ("conv", "convolution", "convolution2d", "convolutional", "convolutional2d"),
    "conv_transpose2d": ("conv_transpose", "deconv", "deconv2d", "deconvolution", "transposed_conv2d"),
    "max_pool2d": ("max_pool", "max_pooling", "max_pooling2d", "pool", "pooling", "pool2d"),
    "avg_pool2d": ("avg_pool", "average_pool", "average_pooling", "average_pooling2d", "average_pool2d",
                   "avg_pooling", "mean_pool", "mean_pooling"),
    "adaptive_avg_pool2d": ("global_avg_pool", "global_average_pool", "global_average_pooling",
                            "global_average_pooling2d", "global_avg_pool2d"),
    "linear": ("affine", "dense", "fc", "fully_connected", "inner_product"),
    "relu": (), "sigmoid": (), "tanh": (), "leaky_relu": (), "gelu": (), "silu": ("swish",),
    "relu6": (), "hardtanh": ("hard_tanh",), "hardsigmoid": ("hard_sigmoid",), "hardswish": ("hard_swish",),
    "softsign": (),
    "elu": (), "selu": (), "celu": (), "softplus": (), "mish": (),
    "prelu": ("parametric_relu",),
    "softmax": (), "log_softmax": (),
    "batch_norm": ("batch_norm2d", "batch_normalization", "batch_normalization2d", "spatial_batch_norm"),
    "layer_norm": ("layer_normalization",), "rms_norm": ("rms_normalization", "root_mean_square_norm"),
    "cross_entropy": ("softmax_cross_entropy", "softmax_with_loss", "softmax_cross_entropy_loss",
                      "softmax_loss", "cross_entropy_with_softmax"),
    "mse_loss": ("mse", "mean_squared_error", "mean_squared_error_loss"),
}  # fmt: skip
#: Its hyperparameters are what its constructor takes.
_OPTIONS = frozenset(
    (
        "f",
        "stride",
        "pad",
        "dilation",
        "groups",
        "output_padding",
        "negative_slope",
        "min_val",
        "max_val",
        "alpha",
        "beta",
        "threshold",
    )
)


class Kept(NamedTuple):
    """What the gradient is computed from; `running_mean` and `running_var` are outputs of a normalization."""

    row: Row
    instance: Any
    holder: Holder
    running_mean: Any = None
    running_var: Any = None


def is_layer(value: Any) -> bool:
    """Whether it is a class of layers, and none of PyTorch's."""
    if not inspect.isclass(value) or any(c.__module__.split(".")[0] == "torch" for c in value.__mro__):
        return False
    return callable(getattr(value, "forward", None)) and callable(getattr(value, "backward", None))


def claimed(target: Any, names: Iterable[str]) -> dict[str, str]:
    """Of what a module defines itself the classes of the dialect."""
    alike = {spelled(n): row for row, others in NAMES.items() for n in (row, *others)}
    there = {name: value for name, value in own(target).items() if is_layer(value)}
    return {name: alike[spelled(name)] for name in there if spelled(name) in alike}


def adapted(target: Any) -> Adapted:
    """The contract's functions over a module of the dialect."""
    classes = chosen(target, NAMES, is_layer)
    rows = [row for row in ROWS if row.name in classes]
    said = getattr(target, "layout", None)
    engines = [_Layers(classes, layout) for layout in ((said,) if said else ("NCHW", "NHWC"))]
    made = [_made(target, engine, rows) for engine in engines]
    # Of two layouts the one in which more functions answer in the right shape.
    return max(made, key=lambda each: len(trials.answered(each, rows)))


def _made(target: Any, engine: _Layers, rows: list[Row]) -> Adapted:
    tried = trials.Trials(lambda *case: engine.forward(*case)[0])
    covers = {row.forward: engine.classes[row.name].__name__ for row in rows}
    return Adapted(target, NAME, functions(engine, rows), covers, tried.options(rows, _OPTIONS))


class _Layers:
    """An engine of `contract_form`."""

    def __init__(self, classes: Mapping[str, Any], layout: str) -> None:
        self.classes, self._layout = classes, layout
        self._arranged: dict[str, tuple[int, ...]] = {}

    def answers(self, row: Row) -> bool:
        """Whether there is the class."""
        return row.name in self.classes

    def differentiates(self, row: Row) -> bool:
        """Every class has a backward."""
        return True

    def forward(self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> tuple[Any, Kept]:
        """The output of a new instance, and that instance."""
        kinds = {name: "rows" if kind == "matrix" else kind for name, kind in row.arrays.items()}
        given = Given(arrays, {**kinds, "weight": "as it is"} if "weight" in kinds else kinds, self._layout)
        instance, holder = self._instance(row, arrays, options)
        more: dict[str, Any] = {}
        if row.name == "batch_norm":
            holder.put_statistics(arrays, options)
            flag = named_parameter(instance.forward, "training")
            more = {} if flag is None else {flag: options["training"]}
            _switch(instance, bool(options["training"]))
        inputs = [given.values["input"], *([given.values["target"]] if "target" in given.values else [])]
        output = instance.forward(*inputs, **more)
        given.show_changes("running_mean", "running_var", "weight", "bias")
        kept = Kept(row, instance, holder)
        if row.name == "batch_norm":
            kept = kept._replace(**holder.statistics(arrays["input"].shape))
        if row.output == "number":
            return (float(output) if np.ndim(output) == 0 else output), kept
        return outward(row.output, output, self._layout), kept

    def backward(self, kept: Kept, upstream: Array | None) -> tuple[Any, ...]:
        """The gradient of the input that backward returns, and those that it leaves in the instance."""
        row = kept.row
        kept.holder.zero()
        if upstream is None:
            takes = [p for p in inspect.signature(kept.instance.backward).parameters.values()]
            needed = any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in takes)
            result = kept.instance.backward(*([1.0] if needed else []))
        else:
            given = Given({"upstream": upstream}, {"upstream": row.output}, self._layout)
            result = kept.instance.backward(given.values["upstream"])
            given.show_changes()
        returned = result if isinstance(result, tuple) else (result,)
        found = [outward(row.arrays["input"], returned[0], self._layout)]
        for place, name in enumerate(row.leaves[1:], 1):
            value = kept.holder.gradient(name)
            found.append(
                kept.holder.back(name, returned[place] if value is None and place < len(returned) else value)
            )
        return tuple(found)

    def _instance(
        self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]
    ) -> tuple[Any, Holder]:
        """An instance that holds the parameters of a case."""
        if any(isinstance(value, str) for key, value in options.items() if key == "pad"):
            raise LackingError("its constructor takes numbers of pixels")
        flat = {name: inward("channels", arrays[name]) for name in ("bias",) if name in arrays}
        parameters = {name: arrays[name] for name in ("weight",) if name in arrays} | flat
        if row.arrays.get("weight") == "channels":
            parameters["weight"] = inward("channels", arrays["weight"])
        instance, taken = constructed(self.classes[row.name], row, arrays, options, parameters, self._layout)
        holder = Holder(instance, row, self._layout, self._arranged)
        holder.put({name: value for name, value in parameters.items() if name not in taken})
        return instance, holder


def _switch(instance: Any, training: bool) -> None:
    """Say to an instance whether it is in training, by whatever it has for that."""
    for name in ("training", "train", "is_training", "train_mode"):
        value = getattr(instance, name, None)
        if isinstance(value, bool):
            setattr(instance, name, training)
    switch = getattr(instance, "train" if training else "eval", None)
    if callable(switch):
        switch()
