"""The forward functions as ONNX models of one or two nodes, for whatever runs such models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen


Array = NDArray[Any]
#: Runs a model on arrays by name; `NotImplementedError` where it has no kernel for it.
Run = Callable[[ModelProto, dict[str, Array]], Array]

OPSET, IR = 17, 8


#: What it takes beyond the plain calls.
OPTIONS = ("conv_*.*", *(f"pool_*.{key}" for key in ("f", "stride", "pad", "dilation", "count_include_pad")))


def _both(value: Any) -> tuple[Any, Any]:
    """A value for rows and columns, or one for each."""
    return value if isinstance(value, tuple) else (value, value)


def _window(hparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a window: ``pads`` are top, left, bottom, right."""
    pad = hparameters.get("pad", 0)
    found = {
        "strides": list(_both(hparameters["stride"])),
        "dilations": list(_both(hparameters.get("dilation", 1))),
    }
    if isinstance(pad, str):
        rule = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER", "valid": "VALID"}[pad]
        return {**found, "auto_pad": rule}
    (top, bottom), (left, right) = (_both(side) for side in _both(pad))
    return {**found, "pads": [top, left, bottom, right]}


def rule_with_dilation(seen: Seen) -> bool:
    """Padding by a rule, and taps apart from each other."""
    case = seen.case
    return "d" in case.operation.option and case.value("d") != 1 and str(case.value("p")).startswith("same")


def number_for_nan(seen: Seen) -> Any:
    """A number where there has to be NaN."""
    if seen.got is None or seen.expected is None:
        return False
    return np.isnan(seen.expected) & ~np.isnan(seen.got)


class Functions:
    """The contract's forward functions in NCHW, run by `run`."""

    layout = "NCHW"

    def __init__(self, run: Run) -> None:
        self._run = run

    def named(self) -> dict[str, Callable[..., Any]]:
        """The functions by their names, as a module has them."""
        return {
            n: getattr(self, n) for n in dir(self) if not n.startswith("_") and n not in ("layout", "named")
        }

    def _model(self, nodes: list[tuple[str, list[str], dict[str, Any]]], **arrays: Array) -> Array:
        """Chain `nodes` (operator, inputs, attributes); an input "" is the output of the one before."""
        (dtype,) = {a.dtype for a in arrays.values()}
        kind = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
        made = [
            helper.make_node(op, [name or f"n{i - 1}" for name in inputs], [f"n{i}"], **attributes)
            for i, (op, inputs, attributes) in enumerate(nodes)
        ]
        given = [helper.make_tensor_value_info(name, kind, a.shape) for name, a in arrays.items()]
        last = helper.make_tensor_value_info(f"n{len(nodes) - 1}", kind, None)
        graph = helper.make_graph(made, "graph", given, [last])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        return self._run(model, arrays)

    def conv_forward(self, A_prev: Array, W: Array, b: Array, hparameters: Mapping[str, Any]) -> Any:
        """``Conv``."""
        attributes = {**_window(hparameters), "group": hparameters.get("groups", 1)}
        return self._model([("Conv", ["A", "W", "b"], attributes)], A=A_prev, W=W, b=b.reshape(-1)), None

    def conv_transpose_forward(
        self, A_prev: Array, W: Array, b: Array, hparameters: Mapping[str, Any]
    ) -> Any:
        """``ConvTranspose``."""
        attributes = {
            **_window(hparameters),
            "group": hparameters.get("groups", 1),
            "output_padding": list(_both(hparameters.get("output_padding", 0))),
        }
        return self._model(
            [("ConvTranspose", ["A", "W", "b"], attributes)], A=A_prev, W=W, b=b.reshape(-1)
        ), None

    def pool_forward(self, A_prev: Array, hparameters: Mapping[str, Any], mode: str = "max") -> Any:
        """``MaxPool`` or ``AveragePool``."""
        attributes = {**_window(hparameters), "kernel_shape": list(_both(hparameters["f"]))}
        if mode != "max":
            del attributes["dilations"]
            attributes["count_include_pad"] = int(hparameters.get("count_include_pad", True))
        op = "MaxPool" if mode == "max" else "AveragePool"
        return self._model([(op, ["A"], attributes)], A=A_prev), None

    def affine_forward(self, A_prev: Array, W: Array, b: Array) -> Any:
        """``Gemm``."""
        return self._model([("Gemm", ["A", "W", "b"], {})], A=A_prev, W=W, b=b), None

    def affine_activation_forward(self, A_prev: Array, W: Array, b: Array, activation: str = "relu") -> Any:
        """``Gemm`` and ``Relu`` or ``Sigmoid``."""
        act = {"relu": "Relu", "sigmoid": "Sigmoid"}.get(activation, "Identity")
        return self._model([("Gemm", ["A", "W", "b"], {}), (act, [""], {})], A=A_prev, W=W, b=b), None

    def sigmoid(self, Z: Array) -> Any:
        """``Sigmoid``."""
        return self._model([("Sigmoid", ["Z"], {})], Z=Z), None

    def relu(self, Z: Array) -> Any:
        """``Relu``."""
        return self._model([("Relu", ["Z"], {})], Z=Z), None

    def softmax(self, X: Array) -> Any:
        """``Softmax`` over each row."""
        return self._model([("Softmax", ["X"], {"axis": 1})], X=X), None

    def arr2col(self, X: Array) -> Any:
        """``Flatten``."""
        return self._model([("Flatten", ["X"], {"axis": 1})], X=X), None
