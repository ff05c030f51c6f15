"""float16 and bfloat16: half precision in storage, single in every sum.

The rule, for all functions: inputs are converted to float32, which is exact; everything is computed as for
float32, bit by bit (which NaN it is aside); each returned array is rounded once, at the end, to the nearest,
ties to even. So a result is ``f(float32 inputs).astype(half)``. What only moves values (padding, reordering, maxima) is exact.

A cache holds the half arrays that were given. What a forward function worked out itself for its backward function
(the scores of `affine_activation_forward`, in float32; the mean and variance of `batch_norm_forward`, in float64) is not
rounded to half.

A result is half if all arrays of a call have the same half dtype; with float32, or both kinds of half together, it
is float32, with anything else float64, as NumPy promotes (and PyTorch for the two kinds of half). bfloat16 is
`ml_dtypes.bfloat16`. Kernels convert (``kernels/base/half.h``); what is composed in Python, and
numbers, by `ml_dtypes` and NumPy.
"""

from collections.abc import Mapping

import numpy as np

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport HALF, kind_of

cnp.import_array()

cdef tuple PLAIN = (str, bytes, int, float, type(None))


cpdef object widened(object x):
    """`x` with every half array in it as float32; also within a cache, a tuple or a mapping."""
    if isinstance(x, ndarray):
        return np.asarray(x, np.float32) if kind_of(x) & HALF else x
    if isinstance(x, tuple):
        fields = [widened(value) for value in x]
        # With what a cache carries beside its fields: the positions of maxima.
        made = type(x)._make(fields) if hasattr(x, "_make") else tuple(fields)
        if getattr(x, "__dict__", None):
            made.__dict__.update(x.__dict__)
        return made
    if isinstance(x, Mapping):
        return {key: widened(value) for key, value in x.items()}
    if isinstance(x, PLAIN):
        return x
    array = np.asarray(x)  # a list, a tensor
    return widened(array) if kind_of(array) & HALF else x


cpdef object narrowed(object x, ndarray like):
    """`x`, an array, a number or a tuple of them, rounded to the dtype of `like`."""
    if isinstance(x, tuple):
        return tuple([narrowed(value, like) for value in x])
    with np.errstate(all="ignore"):  # beyond the largest number is infinity, below the smallest 0
        if isinstance(x, float):
            return float(np.float32(x).astype((<object>like).dtype))
        return x.astype((<object>like).dtype)


cpdef object in_single(object function, tuple arguments, ndarray like):
    """``function(*arguments)``, which are half and have been checked, computed in float32 and rounded once."""
    return narrowed(function(*widened(arguments)), like)
