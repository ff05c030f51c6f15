"""Half arrays for the tests: the two dtypes, the same arguments in float32, bits."""

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import pytest

from conformance.operations import OPERATIONS

HALF = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
#: float64 or a Python float, whatever the input.
NOT_HALF = ("distribute_value", *(name for name, entry in OPERATIONS.items() if "loss" in entry.outputs))

either = pytest.mark.parametrize("name", HALF)


def widened(value):
    """The same arguments in float32."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float32) if value.itemsize == 2 else value
    if isinstance(value, tuple):
        fields = [widened(field) for field in value]
        return type(value)(*fields) if hasattr(value, "_fields") else tuple(fields)
    return {key: widened(field) for key, field in value.items()} if isinstance(value, Mapping) else value


def bits(x):
    return x.view(np.uint16) if x.itemsize == 2 else x
