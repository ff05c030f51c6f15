"""ONNX Runtime on the CPU, forward only; float64 is absent where it has no kernel for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from conformance.adapters._onnx_nodes import OPTIONS, Array, Functions, number_for_nan, rule_with_dilation
from conformance.cases.dtypes import finfo

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen

_OPTIONS = onnxruntime.SessionOptions()
_OPTIONS.intra_op_num_threads = 1
_OPTIONS.log_severity_level = 4

_LOGISTIC = (
    "Its sigmoid is a rational approximation that is clamped far from zero: accurate to an absolute and not "
    "to a relative error, so that small values lose their digits or become 0."
)


def _absolute(seen: Seen) -> Any:
    """Within two units in the last place of 1, beyond what rounding may do."""
    if seen.got is None or seen.expected is None or seen.limit is None:
        return False
    if seen.case.get("activation", "sigmoid") != "sigmoid":
        return False
    return np.abs(seen.got - seen.expected) <= 2 * float(finfo(seen.case.numpy_dtype).eps) + seen.limit


def _skips(seen: Seen) -> Any:
    """A number where a window of max pooling has NaN in it."""
    return seen.case.word("mode") == "max" and number_for_nan(seen)


_RULE = "Its rules for padding (auto_pad) leave the dilation out of account."
#: Where it is known to differ, one sentence each.
differs = {
    "conv_forward": {rule_with_dilation: _RULE},
    "conv_transpose_forward": {"raised-InvalidArgument": "It wants output_padding below the stride alone."},
    "pool_forward": {
        rule_with_dilation: _RULE,
        "pool-nan=ignored-lowest": "Its max pooling skips NaN and starts from the lowest number.",
        _skips: "Its max pooling skips NaN in some windows.",
    },
    "sigmoid": {_absolute: _LOGISTIC},
    "affine_activation_forward": {_absolute: _LOGISTIC},
}


def _run(model: Any, arrays: dict[str, Array]) -> Array:
    if "Pool" in model.graph.node[0].op_type and 0 in arrays["A"].shape[1:]:
        raise NotImplementedError("ONNX Runtime refuses to pool an image without channels")
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), _OPTIONS, providers=["CPUExecutionProvider"]
        )
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        raise NotImplementedError(str(error)) from error
    # It reads the bytes of what is in another order as if it were in its own.
    native = {name: np.asarray(x, x.dtype.newbyteorder("=")) for name, x in arrays.items()}
    output: Array = session.run(None, native)[0]
    return output


dialect, layout, options = "contract", Functions.layout, OPTIONS
__version__ = onnxruntime.__version__
globals().update(Functions(_run).named())
