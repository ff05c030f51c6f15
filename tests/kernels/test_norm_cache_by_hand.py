"""The cache that the suite makes for a module that has the gradient of batch normalization alone."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.generation.arrays import draw
from conformance.operations import OPERATIONS
from conformance.operations.call import resolved


def norm_cache(case, arrays):
    (step,) = resolved(OPERATIONS, case, lambda name: name == case.op, arrays).steps
    fields = dict(step.arguments[1].fields)
    return SimpleNamespace(mean=fields["mean"], variance=fields["variance"])


@pytest.mark.parametrize(("dtype", "kept"), [("f16", "f32"), ("bf16", "f32"), ("f32", "f32"), ("f64", "f64")])
@pytest.mark.parametrize("statistics", ["training", "inference"])
def test_statistics_are_in_the_dtype_that_sums_are_computed_in(dtype, kept, statistics):
    case = Case.parse(f"batch_norm_backward:{dtype}:m3h2w5c15_{statistics}:magnitudes:628214341")
    arrays = draw(case)
    cache = norm_cache(case, arrays)
    assert cache.mean.dtype == cache.variance.dtype == {"f32": np.float32, "f64": np.float64}[kept]
    if statistics == "training":
        wide = arrays["A_prev"].astype(np.float64)
        eps = float(ml_dtypes.finfo(cache.mean.dtype).eps)
        np.testing.assert_allclose(cache.mean, wide.mean((0, 1, 2), keepdims=True), eps, 0)
        np.testing.assert_allclose(cache.variance, wide.var((0, 1, 2), keepdims=True), eps, 0)
    else:
        np.testing.assert_array_equal(cache.mean, arrays["running_mean"].astype(cache.mean.dtype))
