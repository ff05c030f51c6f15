"""What may be passed: any layout, byte order, dtype of the promised ones; and that inputs are only read."""

import numpy as np
import pytest
from calls import ARRAYS, NAMES, arguments, outputs

import cnnref
from cnnref import blog
from conformance.operations import OPERATIONS

MODULES = pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
ARRAY_FUNCTIONS = [name for name in NAMES if ARRAYS[name]]


def misaligned(x):
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    view = buffer[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def spaced(x):
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


class Wrapped:
    """Something that is no array and can be made one."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x if dtype is None else self.x.astype(dtype)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
    "spaced": spaced,
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": read_only,
    "misaligned": misaligned,
    "subclass": lambda x: x.view(np.recarray),
    "__array__": Wrapped,
    "list": lambda x: x.tolist(),
    "masked": np.ma.masked_array,
}


@MODULES
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_layouts_give_the_same_bits(name, layout, module):
    keywords = arguments()[name]
    expected = outputs(getattr(module, name)(**keywords))
    for key in ARRAYS[name]:
        got = outputs(getattr(module, name)(**keywords | {key: LAYOUTS[layout](keywords[key])}))
        for a, b in zip(got, expected, strict=True):
            assert type(a) is np.ndarray
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes(), key


@MODULES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_torch_tensors(name, dtype, module):
    torch = pytest.importorskip("torch")
    keywords = arguments(dtype)[name]
    expected = outputs(getattr(module, name)(**keywords))
    tensors = {key: torch.from_numpy(keywords[key].copy()) for key in ARRAYS[name]}
    got = outputs(getattr(module, name)(**keywords | tensors))
    for a, b in zip(got, expected, strict=True):
        assert isinstance(a, np.ndarray)
        assert a.tobytes() == b.tobytes()
        assert a.flags.c_contiguous
        assert a.dtype.isnative


@MODULES
@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(name, module):
    for a in outputs(getattr(module, name)(**arguments(np.float32)[name])):
        expected = (
            np.float64
            if name in ("conv_single_step", "distribute_value") or "loss" in OPERATIONS[name].outputs
            else np.float32
        )
        assert a.dtype == expected


@MODULES
@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_one_float64_makes_float64(name, module):
    keywords = arguments(np.float32)[name]
    wide = {k: v.astype(np.float64) if k in ARRAYS[name] else v for k, v in keywords.items()}
    for key in ARRAYS[name]:
        got = outputs(getattr(module, name)(**keywords | {key: keywords[key].astype(np.float64)}))
        expected = outputs(getattr(module, name)(**wide))
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == np.float64
            if "cache" not in keywords or name.startswith(("sigmoid", "relu", "softmax")):
                assert a.tobytes() == b.tobytes(), key


@MODULES
@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "longlong",
        "ulonglong",
    ],
)
@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_integers_and_booleans_become_float64(name, dtype, module):
    keywords = arguments(np.float32)[name]
    for key in ARRAYS[name]:
        whole = (np.abs(keywords[key]) * 3).astype(dtype)
        got = outputs(getattr(module, name)(**keywords | {key: whole}))
        expected = outputs(getattr(module, name)(**keywords | {key: whole.astype(np.float64)}))
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == np.float64
            assert a.tobytes() == b.tobytes(), key


def test_python_numbers_for_the_bias_have_no_dtype_of_their_own():
    keywords = arguments(np.float32)["conv_single_step"]
    a, W = keywords["a_slice_prev"], keywords["W"]
    in_float32 = cnnref.conv_single_step(a, W, np.float32(0.1))
    assert cnnref.conv_single_step(a, W, 0.1) == in_float32
    assert cnnref.conv_single_step(a, W, np.float64(0.1)) != in_float32
    assert type(in_float32) is float
    for b in (np.ones(1), np.ones((1, 1, 1)), np.ones((1, 1, 1, 1)), 1, True, np.array(1)):
        assert cnnref.conv_single_step(a, W, b) == cnnref.conv_single_step(
            a.astype(float), W.astype(float), 1.0
        ) or (
            type(b) is int
            and cnnref.conv_single_step(a, W, b) == cnnref.conv_single_step(a, W, np.float32(1))
        )


def everything(value):
    """All arrays in arguments, caches included."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [x for item in value for x in everything(item)]
    return []


@MODULES
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::cnnref.ProbabilityWarning")  # integers are none
def test_no_input_is_modified(name, dtype, module):
    keywords = arguments(np.float64 if dtype == "int64" else dtype)[name]
    if dtype == "int64":
        keywords = {k: (v * 5).astype(dtype) if k in ARRAYS[name] else v for k, v in keywords.items()}
    arrays = everything(keywords)
    before = [x.tobytes() for x in arrays]
    for x in arrays:
        x.flags.writeable = False
    results = outputs(getattr(module, name)(**keywords))
    assert [x.tobytes() for x in arrays] == before
    for result in results:
        assert result.flags.writeable or result.ndim == 0
        assert not any(np.shares_memory(result, x) for x in arrays)


@MODULES
def test_empty_batches(module):
    image, rows = np.empty((0, 5, 6, 3)), np.empty((0, 4))
    W, b = np.ones((3, 3, 3, 2)), np.ones((1, 1, 1, 2))
    Z, cache = module.conv_forward(image, W, b, {"stride": 1, "pad": 1})
    assert Z.shape == (0, 5, 6, 2)
    dA_prev, dW, db = module.conv_backward(Z, cache)
    assert dA_prev.shape == image.shape
    assert not dW.any()
    assert not db.any()
    for mode in ("max", "average"):
        A, cache = module.pool_forward(image, {"f": 2, "stride": 2}, mode)
        assert A.shape == (0, 2, 3, 3)
        assert module.pool_backward(A, cache, mode).shape == image.shape
    Z, cache = module.affine_forward(rows, np.ones((4, 3)), np.ones((1, 3)))
    assert Z.shape == (0, 3)
    dA_prev, dW, db = module.affine_backward(Z, cache)
    assert dA_prev.shape == rows.shape
    if module is cnnref:
        assert not dW.any()
        assert not db.any()
    else:
        assert np.isnan(dW).all()  # 0 / 0: no rows to divide by
    for activation in ("relu", "sigmoid", "NULL", None):
        A, cache = module.affine_activation_forward(rows, np.ones((4, 3)), np.ones((1, 3)), activation)
        assert A.shape == (0, 3)
        assert module.affine_activation_backward(A, cache, activation)[0].shape == rows.shape
    assert module.pad3d(image).shape == (0, 7, 8, 3)
    output, cache = module.arr2col(image)
    assert output.shape == (0, 90)
    assert module.col2arr(output, cache).shape == image.shape


def test_no_channels():
    image = np.empty((2, 5, 6, 0))
    bias = np.array([1.5, -2.0]).reshape(1, 1, 1, 2)
    Z, cache = cnnref.conv_forward(image, np.empty((3, 3, 0, 2)), bias, {"stride": 1, "pad": 0})
    np.testing.assert_array_equal(Z, np.broadcast_to(bias, (2, 3, 4, 2)))
    dA_prev, dW, db = cnnref.conv_backward(np.ones(Z.shape), cache)
    assert dA_prev.shape == image.shape
    assert dW.shape == (3, 3, 0, 2)
    np.testing.assert_array_equal(db, np.full((1, 1, 1, 2), 24.0))
    A, cache = cnnref.pool_forward(image, {"f": 2, "stride": 1})
    assert cnnref.pool_backward(A, cache).shape == image.shape
    A, cache = cnnref.pool_forward(image, {"f": 2, "stride": 1}, "average")
    assert cnnref.pool_backward(A, cache, "average").shape == image.shape


def test_caches_hold_what_was_passed():
    keywords = arguments()["conv_forward"]
    _, cache = cnnref.conv_forward(**keywords)
    assert type(cache) is cnnref.ConvCache
    assert cache._fields == ("A_prev", "W", "b", "hparameters")
    assert cache.A_prev is keywords["A_prev"]
    assert cache.W is keywords["W"]
    assert cache.b is keywords["b"]
    assert cache.hparameters == keywords["hparameters"]
    assert cache.hparameters is not keywords["hparameters"]
    keywords = arguments()["affine_activation_forward"]
    for activation in ("relu", "sigmoid"):
        _, cache = cnnref.affine_activation_forward(**keywords | {"activation": activation})
        assert type(cache) is cnnref.AffineActivationCache
        assert cache._fields == ("affine_cache", "activation_cache")
        assert type(cache.affine_cache) is cnnref.AffineCache
        assert cache.affine_cache._fields == ("A_prev", "W", "b")
        assert cache.affine_cache.A_prev is keywords["A_prev"]
        Z, _ = cnnref.affine_forward(keywords["A_prev"], keywords["W"], keywords["b"])
        np.testing.assert_array_equal(cache.activation_cache, Z)
    for activation in ("NULL", None):
        _, cache = cnnref.affine_activation_forward(**keywords | {"activation": activation})
        assert cache.activation_cache is cache.affine_cache


def test_affine_activation_is_the_composition():
    keywords = arguments(np.float32)["affine_activation_forward"]
    A_prev, W, b = keywords["A_prev"], keywords["W"], keywords["b"]
    dA = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    for activation in ("relu", "sigmoid", "NULL"):
        A, cache = cnnref.affine_activation_forward(A_prev, W, b, activation)
        Z, affine_cache = cnnref.affine_forward(A_prev, W, b)
        dZ = dA
        if activation != "NULL":
            Z, activation_cache = getattr(cnnref, activation)(Z)
            dZ = getattr(cnnref, f"{activation}_backward")(dA, activation_cache)
        assert A.tobytes() == Z.tobytes()
        for hand_made in (cache, tuple(cache), cache._asdict()):
            got = cnnref.affine_activation_backward(dA, hand_made, activation)
            for a, e in zip(got, cnnref.affine_backward(dZ, affine_cache), strict=True):
                assert a.tobytes() == e.tobytes()
