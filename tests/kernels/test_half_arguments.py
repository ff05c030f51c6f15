"""Half arrays as arguments: mixed with other dtypes, in every form, and what is refused."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import torch
from calls import ARRAYS, NAMES, arguments, outputs
from half_support import HALF, NOT_HALF, bits, either, widened

import cnnref

MIXED = [
    ("float32", np.float32), ("float64", np.float64), ("int32", np.float64), ("bool", np.float64),
    ("other", np.float32),
]  # fmt: skip


@either
@pytest.mark.parametrize(("with_", "result"), MIXED)
def test_mixed_dtypes_promote(name, with_, result):
    other = next(value for key, value in HALF.items() if key != name) if with_ == "other" else np.dtype(with_)
    made = arguments(HALF[name])
    for function in NAMES:
        keywords = made[function]
        if function == "conv_single_step" or len(ARRAYS[function]) < 2 or function in (*NOT_HALF, "col2arr"):
            continue
        for key in ARRAYS[function]:
            if key.startswith("running") and result == np.float32:
                continue
            mixed = {**keywords, key: np.abs(keywords[key].astype(np.float32)).astype(other)}
            got = outputs(getattr(cnnref, function)(**mixed))
            wide = {k: v.astype(result) if k in ARRAYS[function] else v for k, v in widened(mixed).items()}
            for mine, right in zip(got, outputs(getattr(cnnref, function)(**wide)), strict=True):
                assert mine.dtype == result, (function, key)
                np.testing.assert_array_equal(mine, right)


@either
def test_other_forms_of_half_arrays(name):
    dtype = HALF[name]
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).astype(dtype)
    expected = bits(cnnref.silu(x)[0])
    strided = np.repeat(x, 2, axis=3)[..., ::2]
    frozen = x.copy()
    frozen.flags.writeable = False
    forms = [strided, frozen, np.asfortranarray(x), list(x)]
    if name == "float16":
        forms += [x.astype(">f2"), torch.tensor(x)]
    for form in forms:
        A, cache = cnnref.silu(form)
        assert A.dtype == cache.dtype == dtype
        np.testing.assert_array_equal(bits(A), expected)
        dZ = cnnref.silu_backward(form, form)
        np.testing.assert_array_equal(bits(dZ), bits(cnnref.silu_backward(x, x)))
    assert cnnref.relu(x[:0])[0].shape == (0, 6, 7, 3)
    assert cnnref.relu(np.asarray(dtype(-2.5)))[0].dtype == dtype
    W, b = np.ones((3, 3, 3, 2), dtype), np.ones((1, 1, 1, 2), dtype)
    empty, cache = cnnref.conv_forward(x[:0], W, b, {"stride": 1, "pad": 1})
    assert [g.dtype for g in cnnref.conv_backward(empty, cache)] == [dtype] * 3
    # Caches by hand: a tuple, a mapping.
    Z = cnnref.conv_forward(x, W, b, {"stride": 1, "pad": 1})[0]
    fields = {
        "A_prev": strided,
        "W": W,
        "b": list(b),
        "hparameters": {"stride": np.int64(1), "pad": [[1, 1], [1, 1]]},
    }
    for by_hand in (fields, tuple(fields.values())):
        for one, other in zip(
            cnnref.conv_backward(Z, by_hand), cnnref.conv_backward(Z, cache._replace(A_prev=x)), strict=True
        ):
            np.testing.assert_array_equal(bits(one), bits(other))


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.int4, np.longdouble, np.complex64])
def test_other_narrow_types_are_refused(dtype):
    with pytest.raises(
        TypeError, match="relu: Z must hold float16, bfloat16, float32, float64, integers or booleans"
    ):
        cnnref.relu(np.ones(3, dtype))


@either
def test_labels_are_no_half_numbers(name):
    with pytest.raises(TypeError, match=f"Y must hold class labels: integers .*, got dtype {name}"):
        cnnref.cross_entropy_cost(np.ones((2, 2), HALF[name]), np.ones(2, HALF[name]))


def test_float16_needs_no_ml_dtypes():
    code = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "import numpy as np, cnnref\n"
        "A, cache = cnnref.gelu(np.float16([1, -1]))\n"
        "assert A.dtype == cnnref.gelu_backward(A, cache).dtype == np.float16\n"
        "assert cnnref.relu(np.zeros(1))[0].dtype == np.float64\n"
        "assert 'float8' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
