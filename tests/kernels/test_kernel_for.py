"""Which kernel serves which shape: every kernel has a row that reaches it, says so, and is right."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from kernel_rows import BEGIN, DOCUMENT, ROWS, SETS, updated

import cnnref
from cnnref._dispatch import ISA, available

KERNELS = Path(cnnref.__file__).parent / "kernels"
#: What has a choice of kernels; the rest of the folder is what these are made of.
CHOSEN = ("gemm/patch_scatter.pxd", "pool/forward.pxd", "pool/backward.pxd", "pool/general.pxd")
#: And files that have several.
VARIANTS = {
    "gemm/micro_kernel": ("strided", "tail", "half_vector", "prefetching"),
    "depthwise/micro_kernel": ("grouped",),
    "depthwise/wgrad_micro_kernel": ("grouped",),
}
#: Integers so small that every sum is exact: results are right if they are equal to those of any other order.
DIGITS = 4

rows = pytest.mark.parametrize("row", ROWS, ids=[f"{r.name}: {r.function} {r.output}" for r in ROWS])


def asked(row, kernel_for=cnnref.kernel_for):
    return kernel_for(row.function, row.A_shape, row.W_shape, row.hparameters, row.dtype)[row.output]


@rows
@pytest.mark.parametrize("isa", SETS)
def test_the_kernel_of_a_row(row, isa):
    if isa not in available():
        pytest.skip(f"{isa} does not run here")
    assert asked(row, import_module(f"cnnref._{isa}.plan").kernel_for) == row.kernel(isa)


def test_every_kernel_has_a_row():
    files = [*KERNELS.glob("*/*micro_kernel*.pxd"), *(KERNELS / name for name in CHOSEN)]
    there = {str(path.relative_to(KERNELS).with_suffix("")) for path in files}
    there |= {f"{name}:{variant}" for name, variants in VARIANTS.items() for variant in variants}
    assert {row.kernel(isa) for row in ROWS for isa in SETS} == there


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def taps(A_shape, W_shape, hparameters):
    """(row, column, slices of the padded image) of each tap, and how many outputs there are."""
    (s_h, s_w), (p_h, p_w) = pair(hparameters["stride"]), pair(hparameters["pad"])
    d_h, d_w = pair(hparameters.get("dilation", 1))
    n_H = (A_shape[1] + 2 * p_h - d_h * (W_shape[0] - 1) - 1) // s_h + 1
    n_W = (A_shape[2] + 2 * p_w - d_w * (W_shape[1] - 1) - 1) // s_w + 1
    slices = [
        (r, q, (slice(None), slice(r * d_h, r * d_h + (n_H - 1) * s_h + 1, s_h),
                slice(q * d_w, q * d_w + (n_W - 1) * s_w + 1, s_w)))
        for r in range(W_shape[0]) for q in range(W_shape[1])
    ]  # fmt: skip
    return slices, (A_shape[0], n_H, n_W)


def by_groups(x, groups):
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


def convolved(A, W, hparameters, dZ=None):
    """Z, or dA_prev and dW, of a convolution without biases: tap by tap, in double."""
    groups = hparameters.get("groups", 1)
    slices, outputs = taps(A.shape, W.shape, hparameters)
    (p_h, p_w) = pair(hparameters["pad"])
    padded = np.pad(A, ((0, 0), (p_h, p_h), (p_w, p_w), (0, 0)))
    Z, dA, dW = np.zeros((*outputs, W.shape[3])), np.zeros(padded.shape), np.zeros(W.shape)
    grouped = W.reshape(*W.shape[:3], groups, W.shape[3] // groups)
    for r, q, place in slices:
        x = by_groups(padded[place], groups)
        if dZ is None:
            Z += np.einsum("mhwgc,cgf->mhwgf", x, grouped[r, q]).reshape(Z.shape)
        else:
            g = by_groups(dZ, groups)
            dA[place] += np.einsum("mhwgf,cgf->mhwgc", g, grouped[r, q]).reshape(padded[place].shape)
            dW[r, q] = np.einsum("mhwgc,mhwgf->cgf", x, g).reshape(W.shape[2:])
    inside = (slice(None), slice(p_h, p_h + A.shape[1]), slice(p_w, p_w + A.shape[2]))
    return Z if dZ is None else (dA[inside], dW)


def integers(rng, shape, dtype):
    return rng.integers(-DIGITS, DIGITS + 1, shape).astype(dtype)


def outputs(row):
    """What the function makes of integers, and what is right."""
    rng = np.random.default_rng(len(row.name))
    layer, _, way = row.function.rpartition("_")
    A = integers(rng, row.A_shape, row.dtype)
    forward, backward = (getattr(cnnref, f"{layer}_{w}") for w in ("forward", "backward"))
    if layer == "pool":
        got, cache = forward(A, row.hparameters)
        grown = {k: v for k, v in row.hparameters.items() if k != "f"} | {
            "pad": row.hparameters.get("pad", 0)
        }
        f, p = row.hparameters["f"], grown["pad"]
        slices, _ = taps(A.shape, (f, f), grown)
        padded = np.pad(A, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=-np.inf)
        stack = np.stack([padded[place] for _, _, place in slices])
        if way == "forward":
            return {"A": got}, {"A": stack.max(axis=0)}
        dA = integers(rng, got.shape, row.dtype)
        right, first = np.zeros(padded.shape), stack.argmax(axis=0)
        for number, (_, _, place) in enumerate(slices):
            right[place] += np.where(first == number, dA, 0)
        return {"dA_prev": backward(dA, cache)}, {"dA_prev": right[:, p : p + A.shape[1], p : p + A.shape[2]]}
    W = integers(rng, row.W_shape, row.dtype)
    groups = (row.hparameters or {}).get("groups", 1)
    n = W.shape[2] * groups if layer == "conv_transpose" else W.shape[-1]
    b = integers(rng, (1,) * (W.ndim - 1) + (n,), row.dtype)
    Z, cache = forward(A, W, b, *(() if layer == "affine" else (row.hparameters,)))
    dZ = integers(rng, Z.shape, row.dtype)
    got = {"Z": Z} | dict(zip(("dA_prev", "dW", "db"), backward(dZ, cache), strict=True))
    double = [x.astype(np.float64) for x in (A, W, dZ)]
    if layer == "affine":
        A, W, dZ = double
        return got, {"Z": A @ W + b, "dA_prev": dZ @ W.T, "dW": A.T @ dZ}
    if layer == "conv_transpose":
        # Its forward function is the gradient of a convolution, and the other way round.
        A, W, dZ = double
        images, dW = convolved(dZ, W, row.hparameters, A)
        return got, {"Z": images + b, "dA_prev": convolved(dZ, W, row.hparameters), "dW": dW}
    A, W, dZ = double
    dA_prev, dW = convolved(A, W, row.hparameters, dZ)
    return got, {"Z": convolved(A, W, row.hparameters) + b, "dA_prev": dA_prev, "dW": dW}


@pytest.fixture
def one_thread():
    """What `kernel_for` speaks of: several share taps and columns; their parts may go to other kernels."""
    before = cnnref.get_num_threads()
    cnnref.set_num_threads(1)
    yield
    cnnref.set_num_threads(before)


@rows
@pytest.mark.usefixtures("one_thread")
def test_the_values_of_a_row(row):
    got, right = outputs(row)
    assert np.abs(right[row.output]).max() > DIGITS or row.function.startswith("pool")
    np.testing.assert_array_equal(got[row.output], right[row.output])
    assert got[row.output].dtype == row.dtype


def test_this_process_answers_for_its_own_instruction_set():
    for row in ROWS:
        assert asked(row) == row.kernel(ISA)


def test_the_table_of_the_documents_is_that_of_the_rows():
    if not DOCUMENT.exists():
        pytest.skip("the documents are those of the source tree")
    text = DOCUMENT.read_text()
    assert text.count(BEGIN) == 1
    assert updated(text) == text, "write it with: python tests/kernels/kernel_rows.py --update"


CONV = ("conv_forward", (2, 8, 8, 3), (3, 3, 3, 8), {"stride": 1, "pad": 0})


@pytest.mark.parametrize(
    ("dtype", "same"),
    [("float16", "float32"), (np.float32, "float32"), (np.dtype("int8"), "float64"), ("bool", "float64")],
)
def test_dtypes_as_they_are_computed(dtype, same):
    # 16 columns of a 3x3 window run along the image in float32 alone.
    call = ("conv_forward", (2, 28, 28, 4), (3, 3, 4, 5), {"stride": 1, "pad": 0})
    assert cnnref.kernel_for(*call, dtype) == cnnref.kernel_for(*call, same)
    assert cnnref.kernel_for(*call, "float32") != cnnref.kernel_for(*call, "float64")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("relu", (2, 3)), ValueError, r"kernel_for: function must be one of conv_forward, .*, got 'relu'"),
        ((3, (2, 3)), TypeError, "kernel_for: function must be a string, got int"),
        ((CONV[0], 5, *CONV[2:]), TypeError, "kernel_for: A_shape must be a tuple of integers, got int"),
        ((CONV[0], (2, 8, 8), *CONV[2:]), ValueError, r"A_shape must have 4 axes \(m, .*\), got \(2, 8, 8\)"),
        (
            (CONV[0], (2, -8, 8, 3), *CONV[2:]),
            ValueError,
            r"kernel_for: A_shape\[1\] must be at least 0, got -8",
        ),
        (
            (CONV[0], (2, 8.5, 8, 3), *CONV[2:]),
            TypeError,
            r"kernel_for: A_shape\[1\] must be an integer, got float",
        ),
        ((*CONV[:2], None, CONV[3]), TypeError, "W_shape must be a tuple of integers, got NoneType"),
        (
            (*CONV[:2], (3, 3, 4, 8), CONV[3]),
            ValueError,
            "conv_forward: W has 4 input channels, A_prev has 3",
        ),
        (CONV[:3], TypeError, "conv_forward: hparameters must be a mapping, got NoneType"),
        ((*CONV, "complex64"), TypeError, "kernel_for: dtype must be one of real numbers, got 'complex64'"),
        ((*CONV, "no dtype"), TypeError, "kernel_for: dtype must be one of real numbers, got 'no dtype'"),
        (("affine_forward", (2, 8), (8, 3), {}), ValueError, "hparameters must be None for affine_forward"),
        (("affine_forward", (2, 8), (7, 3)), ValueError, "affine_forward: W has 7 input features"),
        (("pool_forward", (2, 8, 8, 3), (3, 3), {}), ValueError, "W_shape must be None for pool_forward"),
    ],
)
def test_errors(arguments, error, words):
    with pytest.raises(error, match=words):
        cnnref.kernel_for(*arguments)


def test_the_mode_is_that_of_pooling():
    options = {"f": 3, "stride": 2, "pad": 1, "count_include_pad": False}
    answer = cnnref.kernel_for("pool_forward", (2, 8, 8, 3), hparameters=options, mode="average")
    assert answer == {"A": "pool/general"}
    with pytest.raises(ValueError, match=r"pool_forward: .*count_include_pad"):
        cnnref.kernel_for("pool_forward", (2, 8, 8, 3), hparameters=options)


def test_shapes_larger_than_memory_are_only_looked_at():
    call = ("conv_forward", (4096, 512, 512, 64), (3, 3, 64, 64), {"stride": 1, "pad": 1})
    assert cnnref.kernel_for(*call) == {"Z": "gemm/micro_kernel"}
