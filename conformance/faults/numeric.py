"""Faults of precision: arithmetic or inputs narrower than the case's dtype, subnormals flushed."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import ROUNDED, outputs_of, significand, slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs, reference
from conformance.faults.rounding import rounding
from conformance.operations import having

#: Where a subnormal input, or output, can occur at all: upstream gradients are not subnormal.
_SUBNORMAL = without(
    outputs_of(),
    *having("logits", "losses", "norm", "global"),
    "pad3d_backward",
    "sigmoid_backward",
    "tanh_backward",
    "silu_backward",
    "elu_backward",
    "selu_backward",
    "celu_backward",
    "softplus",
    "softplus_backward",
    "mish_backward",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish_backward",
    "softsign_backward",
    "gelu_backward",
) | dict.fromkeys(("conv_backward", "conv_transpose_backward", "affine_backward"), "dW")


def _narrow(case: Case, a: Arrays, base: Base, bits: int, truncate: bool) -> Outputs:
    return base(case, {name: v if name == "Y" else significand(v, bits, truncate) for name, v in a.items()})


@slip(
    "inputs-bfloat16",
    "The inputs are rounded to bfloat16 (8 significant bits).",
    ROUNDED,
    variants=({"truncate": False}, {"truncate": True}),
)
def _inputs_bfloat16(case: Case, a: Arrays, base: Base, truncate: bool) -> Outputs:
    return _narrow(case, a, base, 8, truncate)


@slip(
    "inputs-tf32",
    "The inputs are rounded to 11 significant bits (TF32, float16).",
    ROUNDED,
    variants=({"truncate": False}, {"truncate": True}),
)
def _inputs_tf32(case: Case, a: Arrays, base: Base, truncate: bool) -> Outputs:
    return _narrow(case, a, base, 11, truncate)


def _all_float32(case: Case, got: Array, expected: Array) -> bool:
    """Whether every number of a float64 result is one of float32, and not all of the right one's are."""

    def narrow(x: Array) -> bool:
        return bool(np.array_equal(x, x.astype(np.float32).astype(np.float64), equal_nan=True))

    return case.dtype == "f64" and narrow(got) and not narrow(expected)


@slip(
    "computed-in-float32",
    "float64 input is computed in float32: every number of the result is one of float32.",
    outputs_of(),
    signature=_all_float32,
    unit=2.0**-24,
)
def _computed_in_float32(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.dtype != "f64":
        return {}
    return base(case, {name: v if name == "Y" else significand(v, 24) for name, v in a.items()})


def _as_in_float32(case: Case, a: Arrays, output: str) -> Array:
    """How far rounding leads in float32."""
    found = rounding(case, a, output, 2.0**-24) if case.dtype == "f64" else None
    if found is None:
        return np.zeros(())
    right = reference(case, a)[output]
    narrow = finfo(np.dtype(np.float32))
    # What is smaller than its numbers is lost, what is larger may be anything.
    lost = 2.0**20 * float(narrow.tiny)
    return np.where(np.abs(right) > float(narrow.max) / 2, np.inf, found.limit(right) + lost)


def _some_of_float32(case: Case, got: Array, expected: Array) -> bool:
    """Whether a quarter of the elements is as far off as float32 rounds, and the result is no float32."""
    share = np.abs(got - expected) / np.where(expected == 0, 1.0, np.abs(expected))
    off = (share > 2.0**-36) & (share < 2.0**-16)
    return bool(off.mean() >= 0.25) and not _all_float32(case, got, expected)


@slip(
    "float32-inside-float64",
    "A step of a float64 computation has the precision of float32: a buffer, a constant or a function.",
    without(ROUNDED, "relu_backward", "relu6_backward", "hardtanh_backward"),
    signature=_some_of_float32,
    own=_as_in_float32,
)
def _float32_inside_float64(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.dtype != "f64":
        return {}
    return {name: (1 + 2.0**-25) * value for name, value in base(case, a).items()}


@slip(
    "subnormals-flushed",
    "Subnormal numbers are flushed to zero, in the inputs, in the outputs or in both.",
    _SUBNORMAL,
    variants=({"when": "inputs"}, {"when": "outputs"}, {"when": "inputs outputs"}),
)
def _subnormals_flushed(case: Case, a: Arrays, base: Base, when: str) -> Outputs:
    tiny = float(finfo(case.numpy_dtype).tiny)

    def flush(values: Arrays) -> Outputs:
        return {name: v if name == "Y" else np.where(np.abs(v) < tiny, 0.0, v) for name, v in values.items()}

    out = base(case, flush(a) if "inputs" in when else a)
    return flush(out) if "outputs" in when else out
