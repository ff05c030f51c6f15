"""ONNX Runtime: a model of one node, forward only, images NCHW as ONNX has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.inputs import Arrays
from benchmarks.row import Row

_threads = 1
_OPSET, _IR = 17, 8


def start(threads: int) -> None:
    """Keep the number of threads for the sessions."""
    global _threads
    _threads = threads


def version() -> str:
    """The version."""
    return str(onnxruntime.__version__)


def prepare(row: Row, a: Arrays) -> Callable[[], Any] | None:
    """The session's run; None for what ONNX has no node for."""
    constants: dict[str, np.ndarray] = {}
    attributes: dict[str, Any] = {}
    if row.function == "conv_forward":
        s, p, f = row.letter("s"), row.letter("p"), row.letter("f")
        node, x = "Conv", a["A_prev"].transpose(0, 3, 1, 2)
        constants = {"w": a["W"].transpose(3, 2, 0, 1), "b": a["b"].ravel()}
        attributes = {"strides": [s, s], "pads": [p] * 4, "kernel_shape": [f, f]}
    elif row.function == "affine_forward":
        node, x, constants = "Gemm", a["A_prev"], {"w": a["W"], "b": a["b"].ravel()}
    elif row.function == "pool_forward" and row.sizes["mode"] == "max":
        s, f = row.letter("s"), row.letter("f")
        node, x = "MaxPool", a["A_prev"].transpose(0, 3, 1, 2)
        attributes = {"strides": [s, s], "kernel_shape": [f, f]}
    elif row.function == "relu":
        node, x = "Relu", a["X"]
    elif row.function == "softmax":
        node, x, attributes = "Softmax", a["X"], {"axis": 1}
    else:
        return None
    x = np.ascontiguousarray(x)
    kind = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[row.dtype]
    graph = helper.make_graph(
        [helper.make_node(node, ["x", *constants], ["y"], **attributes)],
        "row",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    # The threads may spin during a run, not after it: another peer is timed then.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": x}
    return lambda: session.run(["y"], feed)


def arrays(row: Row, result: Any) -> list[np.ndarray]:
    """The output, images back in NHWC."""
    return [
        x.transpose(0, 2, 3, 1) if row.function in ("conv_forward", "pool_forward") else x for x in result
    ]
