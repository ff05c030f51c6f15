"""float16 and bfloat16: every function against the float32 one rounded once, bit by bit."""

import ml_dtypes
import numpy as np
import pytest
import torch
from calls import NAMES, arguments, outputs
from half_support import HALF, NOT_HALF, bits, either, widened
from torch.nn import functional

import cnnref
from cnnref.checks import half
from conformance.operations import OPERATIONS

TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16}
#: What rounds nothing on these data.
CHOOSES = (*(name for name in NAMES if OPERATIONS[name].bound is None), "pool_forward", "pool_backward")


@either
@pytest.mark.parametrize("module", [cnnref, cnnref.blog], ids=lambda m: m.__name__)
@pytest.mark.parametrize("function", NAMES)
def test_every_function_is_float32_rounded_once(module, function, name):
    call = getattr(module, function)
    for seed in (0, 1):
        keywords = arguments(HALF[name], seed)[function]
        if function in ("cross_entropy_backward", "softmax_cross_entropy_backward", "batch_norm_backward"):
            assert any(np.asarray(field).dtype == HALF[name] for field in keywords["cache"])
        got = outputs(call(**keywords))
        expected = outputs(call(**widened(keywords)))
        assert len(got) == len(expected) > 0
        for mine, right in zip(got, expected, strict=True):
            if function in NOT_HALF:
                assert mine.dtype == np.float64
                np.testing.assert_array_equal(mine, right)
            elif function == "conv_single_step":
                assert mine == np.float32(right).astype(HALF[name]).astype(float)
            else:
                assert mine.dtype == HALF[name]
                assert mine.flags.c_contiguous
                np.testing.assert_array_equal(bits(mine), bits(right.astype(HALF[name])))
        if function not in (*NOT_HALF, *CHOOSES):
            assert any((np.float64(m) != r).any() for m, r in zip(got, expected, strict=True)), (
                "nothing rounded"
            )


@either
@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"label_smoothing": 0.3, "ignore_index": -100}]
)
def test_options_of_losses_too(options, name):
    generator = np.random.default_rng(0)
    half = (generator.random((203, 31)) + 0.01).astype(HALF[name])
    labels = generator.integers(0, 31, 203)
    labels[::9] = options.get("ignore_index", 0)
    (mean, cache), (right, wide) = (
        cnnref.cross_entropy_cost(rows, labels, **options) for rows in (half, widened(half))
    )
    assert mean == right
    for gradient in (cnnref.cross_entropy_backward, cnnref.softmax_cross_entropy_backward):
        got, expected = gradient(cache, **options), gradient(wide, **options)
        assert got.dtype == HALF[name]
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(bits(got), bits(expected.astype(HALF[name])))


def nearest(x, significant, lowest, largest):
    """`x` rounded to nearest even, in integers: `significant` bits, multiples of ``2**lowest`` at least."""
    exponent = max(np.frexp(x)[1] - significant, lowest)
    scaled = int(np.ldexp(abs(x), 60 - exponent)) if abs(x) < np.inf else 0
    whole, rest = divmod(scaled, 1 << 60)
    whole += rest > 1 << 59 or (rest == 1 << 59 and whole % 2 == 1)
    size = whole * 2.0**exponent
    return np.copysign(np.inf if size > largest or np.isinf(x) else size, x)


@either
def test_rounding_is_to_nearest_even_down_to_the_subnormal_numbers_and_up_to_infinity(name):
    dtype = HALF[name]
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    wide = every.astype(np.float32)
    numbers = np.unique(wide[np.isfinite(wide)]).astype(np.float64)
    between = ((numbers[1:] + numbers[:-1]) / 2).astype(np.float32)  # exact: a bit more
    last = 2 * numbers[-1] - (numbers[-1] + numbers[-2]) / 2  # from there on infinity
    points = np.concatenate([between, np.float32([last, -last, np.inf, -np.inf, 0.0, -0.0])])
    rng = np.random.default_rng(0)
    points = rng.choice(points, 4000, replace=False) if name == "bfloat16" else points[::13]
    points = np.concatenate([points, np.float32([last, -last, np.inf, -np.inf])])
    form = (11, -24, 65504.0) if name == "float16" else (8, -133, float(ml_dtypes.finfo(dtype).max))
    near = np.concatenate(
        [np.nextafter(points, np.float32(-np.inf)), points, np.nextafter(points, np.float32(np.inf))]
    )
    got = half.narrowed(near, every).astype(np.float64)
    expected = np.array([nearest(float(x), *form) for x in near])
    np.testing.assert_array_equal(got, expected)
    assert np.isinf(got).sum() >= 6
    assert (np.signbit(got) == np.signbit(near)).all()
    # There and back is the number itself, and NaN is NaN.
    np.testing.assert_array_equal(half.narrowed(wide, every).astype(np.float32), wide)


@either
def test_sums_are_single_and_overflow_only_at_the_end(name):
    dtype = HALF[name]
    form = ml_dtypes.finfo(dtype)
    ones = np.ones((1, 3), dtype)
    zero = np.zeros((1, 1), dtype)
    top = np.full((3, 1), form.max, dtype)
    top[2] = -form.max
    if name == "float16":  # 65504 + 65504 - 65504: no partial sum is rounded to half
        assert float(cnnref.affine_forward(ones, top, zero)[0].item()) == form.max
        assert np.isposinf(float(cnnref.affine_forward(ones[:, :2], top[:2], zero)[0].item()))
    # 1 and 2^12 times a quarter of its spacing: lost one by one, kept together.
    tiny = np.full((4097, 1), float(form.eps) / 4, dtype)
    tiny[0] = 1
    total = cnnref.affine_forward(np.ones((1, 4097), dtype), tiny, zero)[0].item()
    assert float(total) == float(np.asarray(1 + 1024 * float(form.eps)).astype(dtype)) > 1
    least = np.full((1, 1), form.smallest_subnormal, dtype)
    assert (
        float(cnnref.affine_forward(least, np.ones((1, 1), dtype), zero)[0].item()) == form.smallest_subnormal
    )
    assert float(cnnref.affine_forward(least, np.full((1, 1), 0.5, dtype), zero)[0].item()) == 0


@either
def test_what_only_moves_values_keeps_every_bit(name):
    every = np.arange(1 << 16, dtype=np.uint16).reshape(2, 64, 64, 8).view(HALF[name])
    padded = cnnref.pad3d(every, 3)
    np.testing.assert_array_equal(padded[:, 3:-3, 3:-3].view(np.uint16), every.view(np.uint16))
    assert not padded[:, :3].view(np.uint16).any()
    np.testing.assert_array_equal(cnnref.pad3d_backward(padded, 3).view(np.uint16), every.view(np.uint16))
    rows, cache = cnnref.arr2col(every)
    assert cache is every
    np.testing.assert_array_equal(rows.view(np.uint16).ravel(), every.view(np.uint16).ravel())
    np.testing.assert_array_equal(cnnref.col2arr(rows, cache).view(np.uint16), every.view(np.uint16))


@either
def test_caches_hold_what_was_given(name):
    made = arguments(HALF[name])
    A_prev, W, b = (made["conv_forward"][key] for key in ("A_prev", "W", "b"))
    cache = cnnref.conv_forward(A_prev, W, b, {"stride": 2, "pad": 1})[1]
    assert all(kept is given for kept, given in zip(cache, (A_prev, W, b), strict=False))
    assert cnnref.pool_forward(A_prev, {"f": 2, "stride": 2})[1].A_prev is A_prev
    assert cnnref.gelu(A_prev)[1] is A_prev
    rows = made["affine_forward"]
    affine, Z = cnnref.affine_activation_forward(**rows, activation="sigmoid")[1]
    assert affine.A_prev is rows["A_prev"]
    wide = cnnref.affine_forward(**widened(rows))[0]
    assert Z.dtype == np.float32
    np.testing.assert_array_equal(Z, wide)
    norm = made["batch_norm_forward"]
    cache = cnnref.batch_norm_forward(**norm)[1]
    wide = cnnref.batch_norm_forward(**widened(norm))[1]
    assert cache.A_prev is norm["A_prev"]
    assert cache.gamma is norm["gamma"]
    for field in ("mean", "variance", "running_mean", "running_var"):
        assert getattr(cache, field).dtype == (np.float32 if field.startswith("running") else np.float64)
        np.testing.assert_array_equal(getattr(cache, field), getattr(wide, field))
    # The next call takes the float32 statistics beside half images.
    again = cnnref.batch_norm_forward(
        **{**norm, "running_mean": cache.running_mean, "running_var": cache.running_var}
    )
    assert again[0].dtype == HALF[name]
    assert cnnref.cross_entropy_cost(**made["cross_entropy_cost"])[1].AL.dtype == HALF[name]


@either
def test_the_positions_of_maxima_outlive_their_input(name):
    A_prev = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1).astype(HALF[name])
    A, cache = cnnref.pool_forward(A_prev, {"f": 2, "stride": 2})
    A_prev[...] = 0
    np.testing.assert_array_equal(cnnref.pool_backward(A, cache)[0, 1::2, 1::2], A[0])


def apart(got, other, dtype):
    """The largest distance of two half arrays, in units in the last place."""
    form = ml_dtypes.finfo(dtype)
    got, other = (np.asarray(x, np.float64) for x in (got, other))
    size = np.maximum(np.abs(got), float(form.smallest_normal))
    return (np.abs(got - other) / (np.ldexp(1.0, np.frexp(size)[1] - 1) * float(form.eps))).max()


@either
def test_pytorch_rounds_the_same_sums_to_a_neighbour_at_most(name):
    """PyTorch on the CPU adds in float32 too; where it rounds once, it is off by one unit at most."""
    dtype, kind = HALF[name], TORCH[name]
    rng = np.random.default_rng(0)

    def array(*shape):
        return np.abs(rng.normal(size=shape)).astype(dtype)  # positive: sums do not cancel

    def tensor(x):
        return torch.tensor(x.astype(np.float32)).to(kind)

    def back(x):
        return x.float().numpy()

    A_prev, W, b = array(2, 9, 8, 16), array(3, 3, 16, 24), array(1, 1, 1, 24)
    image = tensor(A_prev).permute(0, 3, 1, 2)
    rows, weights, offsets = array(5, 40), array(40, 7), array(1, 7)
    wide, tall = tensor(rows), tensor(A_prev)
    theirs = {
        "conv": functional.conv2d(image, tensor(W).permute(3, 2, 0, 1), tensor(b).ravel(), 1, 1),
        "average": functional.avg_pool2d(image, 3, 2),
        "max": functional.max_pool2d(image, 3, 2),
        "mean": functional.adaptive_avg_pool2d(image, 1),
    }
    theirs = {key: value.permute(0, 2, 3, 1) for key, value in theirs.items()} | {
        "affine": functional.linear(wide, tensor(weights).T, tensor(offsets).ravel()),
        "sigmoid": torch.sigmoid(tall), "tanh": torch.tanh(tall),
        "gelu": functional.gelu(tall), "silu": functional.silu(tall),
        "softmax": torch.softmax(wide, 1), "log_softmax": torch.log_softmax(wide, 1),
    }  # fmt: skip
    ours = {
        "conv": cnnref.conv_forward(A_prev, W, b, {"stride": 1, "pad": 1}),
        "average": cnnref.pool_forward(A_prev, {"f": 3, "stride": 2}, "average"),
        "max": cnnref.pool_forward(A_prev, {"f": 3, "stride": 2}),
        "mean": cnnref.global_average_pool_forward(A_prev),
        "affine": cnnref.affine_forward(rows, weights, offsets),
        **{key: getattr(cnnref, key)(A_prev) for key in ("sigmoid", "tanh", "gelu", "silu")},
        **{key: getattr(cnnref, key)(rows) for key in ("softmax", "log_softmax")},
    }
    found = {key: apart(ours[key][0], back(value), dtype) for key, value in theirs.items()}
    assert found.keys() == ours.keys()
    assert max(found.values()) <= 1, found
    assert found["max"] == 0
