"""The ONNX reference evaluator (plain NumPy, the standard's own), forward only."""

from __future__ import annotations

import sys
from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator

from conformance.adapters._onnx_nodes import Array, Functions

#: Its choice: a NaN is seen only where it is the window's first element.
conventions = {"pool-nan": "greater"}

#: Where it is known to differ, one sentence each.
differs = {
    "pool_forward": "Its average pooling leaves NaN out of the mean; in some windows its max pooling too."
}


def _run(model: Any, arrays: dict[str, Array]) -> Array:
    outputs: Any = ReferenceEvaluator(model).run(None, arrays)
    output: Array = outputs[0]
    return output


_functions = Functions(_run)
layout = Functions.layout
__version__ = onnx.__version__
for _name in (name for name in dir(Functions) if not name.startswith("_") and name != "layout"):
    setattr(sys.modules[__name__], _name, getattr(_functions, _name))
