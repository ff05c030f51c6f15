"""The ONNX reference evaluator (plain NumPy, the standard's own), forward only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from conformance.adapters._onnx_nodes import OPTIONS, Array, Functions, number_for_nan
from conformance.cases.window import window_of

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen

#: Its choice: a NaN is seen only where it is the window's first element.
conventions = {"pool-nan": "greater"}


def _lower(seen: Seen) -> bool:
    """Padding by the rule that puts the odd pixel first."""
    return seen.case.value("p") == "same_lower"


def _nan_of_padding(seen: Seen) -> Any:
    """NaN in windows of a padded image that hold none."""
    if seen.got is None or seen.expected is None or not window_of(seen.case).padded:
        return False
    return np.isnan(seen.got) & ~np.isnan(seen.expected)


def _grouped(seen: Seen) -> bool:
    """Groups of which it cuts the filters by the outputs' channels, and takes the first one's bias."""
    return int(seen.case["g"]) > 1


def _padded_output(seen: Seen) -> bool:
    """No output where one is padded: it takes the rows added for windows."""
    return seen.got is None and seen.case.value("e") != 0


#: Where it is known to differ, one sentence each.
differs = {
    "pool_forward": {
        _lower: "Its SAME_LOWER has too few windows, or the odd pixel on the other side.",
        _nan_of_padding: "Its max pooling of a padded image with NaN has it in windows without.",
        number_for_nan: "Its average pooling leaves NaN out of the mean; in some windows its max pooling "
        "does too.",
    },
    "conv_transpose_forward": {
        _grouped: "Its ConvTranspose in groups takes filters and biases of other groups.",
        _padded_output: "Its ConvTranspose counts the rows of output_padding as windows, and stops.",
    },
}


def _run(model: Any, arrays: dict[str, Array]) -> Array:
    if model.graph.node[0].op_type == "Flatten" and not arrays["X"].size:
        raise NotImplementedError("the reference evaluator cannot flatten nothing")
    try:
        outputs: Any = ReferenceEvaluator(model).run(None, arrays)
    except ValueError as error:
        if "zero-size array to reduction" in str(error):
            raise NotImplementedError("the reference evaluator has no maximum of a window of NaN") from error
        raise
    output: Array = outputs[0]
    return output


dialect, layout, options = "contract", Functions.layout, OPTIONS
__version__ = onnx.__version__
globals().update(Functions(_run).named())
