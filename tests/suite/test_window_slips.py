"""Faults in what a pool or a convolution may be asked beyond its plain call are failed and called by name."""

from types import SimpleNamespace

import numpy as np
import pytest

import cnnref
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.implementations.implementation import Implementation
from conformance.verdict.judge import Judge


def changed(**other):
    """`cnnref.pool_forward` with some hyperparameters taken for others."""

    def pool_forward(A_prev, hparameters, mode="max"):
        return cnnref.pool_forward(A_prev, dict(hparameters) | other, mode)

    return pool_forward


def strides_exchanged(A_prev, hparameters, mode="max"):
    """Windows in the right number, each in the wrong place."""
    right, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    (f_h, f_w), (s_h, s_w) = hparameters["f"], hparameters["stride"]
    room = np.pad(A_prev, ((0, 0), (0, 99), (0, 99), (0, 0)), constant_values=-np.inf)
    A = np.empty_like(right)
    for i, j in np.ndindex(*A.shape[1:3]):
        A[:, i, j] = room[:, i * s_w : i * s_w + f_h, j * s_h : j * s_h + f_w].max((1, 2))
    return A, cache


def taps_side_by_side(A_prev, hparameters, mode="max"):
    right, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    dense, _ = cnnref.pool_forward(A_prev, dict(hparameters) | {"dilation": 1}, mode)
    return dense[:, : right.shape[1], : right.shape[2]].copy(), cache


def padded_with_zero(A_prev, hparameters, mode="max"):
    p = hparameters["pad"]
    padded = np.pad(A_prev, ((0, 0), (p, p), (p, p), (0, 0)))
    return cnnref.pool_forward(padded, dict(hparameters) | {"pad": 0}, mode)


def divided_by_the_window(A_prev, hparameters, mode="max"):
    """The overhang of a last window is taken for zeros that count."""
    f, s = hparameters["f"], hparameters["stride"]
    padded = np.pad(A_prev, ((0, 0), (0, s), (0, s), (0, 0)))
    right, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    A, _ = cnnref.pool_forward(padded, {"f": f, "stride": s}, mode)
    return A[:, : right.shape[1], : right.shape[2]].copy(), cache


POOL_FAULTS = [
    ("pool-border-counted-otherwise", changed(count_include_pad=True), "f3s2_average_p1_exclude:normal:1"),
    ("pool-border-counted-otherwise", changed(count_include_pad=False), "f3s2_average_p1:normal:1"),
    ("ceil-ignored", changed(ceil_mode=False), "f4s3_average_ceil:normal:1"),
    ("dilation-ignored", taps_side_by_side, "f3s1_max_d2:normal:1"),
    ("stride-exchanged", strides_exchanged, "f2x3s2x1_max:normal:1"),
    ("pool-padding-is-zero", padded_with_zero, "f3s2_max_p1:negative:1"),
    ("pool-overhang-counted", divided_by_the_window, "f4s3_average_ceil:normal:1"),
]


def blocks(k, c, K, C, g):
    """The channel that is a filter's c-th: groups are neighbours."""
    return k // (K // g) * (C // g) + c


def products(A_prev, W, rows, columns, hparameters, reads, of_group):
    """Each product of a convolution in loops: where it is in Z, in A_prev and in W."""

    def both(value):
        return value if isinstance(value, tuple) else (value, value)

    s, d, pad = both(hparameters["stride"]), both(hparameters.get("dilation", 1)), hparameters["pad"]
    pad = pad if isinstance(pad, tuple) and isinstance(pad[0], tuple) else [(p, p) for p in both(pad)]
    g, (_, H, V, C) = hparameters.get("groups", 1), A_prev.shape
    for r, q, i, j, k, c in np.ndindex(rows, columns, *W.shape[:2], W.shape[3], W.shape[2]):
        h, v = reads((r, q), (i, j), s, d, pad)
        if 0 <= h < H and 0 <= v < V:
            yield (slice(None), r, q, k), (slice(None), h, v, of_group(k, c, W.shape[3], C, g)), (i, j, c, k)


def forward(reads, of_group=blocks):
    """A convolution: `reads` says where a tap reads, `of_group` which channel a filter's is."""

    def conv_forward(A_prev, W, b, hparameters):
        right, cache = cnnref.conv_forward(A_prev, W, b, hparameters)
        Z = np.broadcast_to(b.reshape(-1), right.shape).copy()
        for z, a, w in products(A_prev, W, *Z.shape[1:3], hparameters, reads, of_group):
            Z[z] += A_prev[a] * W[w]
        return Z, cache

    return {"conv_forward": conv_forward}


def backward(reads, of_group=blocks):
    """Its gradients."""

    def conv_backward(dZ, cache):
        A_prev, W, _, hparameters = cache
        dA_prev, dW = np.zeros_like(A_prev), np.zeros_like(W)
        for z, a, w in products(A_prev, W, *dZ.shape[1:3], hparameters, reads, of_group):
            dA_prev[a] += dZ[z] * W[w]
            dW[w] += A_prev[a] @ dZ[z]
        return dA_prev, dW, dZ.sum((0, 1, 2)).reshape(1, 1, 1, -1)

    return {"conv_forward": cnnref.conv_forward, "conv_backward": conv_backward}


def place(at, tap, s, d, pad):
    return [a * step + t * apart - p[0] for a, t, step, apart, p in zip(at, tap, s, d, pad, strict=True)]


#: (slip, where taps read, which channels, parameters)
CONV_FAULTS = [
    ("dilation-ignored", lambda at, tap, s, d, pad: place(at, tap, s, (1, 1), pad), blocks, "f3k4_s1p1_d2"),
    (
        "dilation-exchanged",
        lambda at, tap, s, d, pad: place(at, tap, s, d[::-1], pad),
        blocks,
        "f3k4_s1p1_d3x2",
    ),
    ("stride-exchanged", lambda at, tap, s, d, pad: place(at, tap, s[::-1], d, pad), blocks, "f3k4_s2x1p1"),
    ("stride-ignored", lambda at, tap, s, d, pad: place(at, tap, (1, 1), d, pad), blocks, "f3k4_s2p1_d2"),
    ("padding-exchanged", lambda at, tap, s, d, pad: place(at, tap, s, d, pad[::-1]), blocks, "f3k4_s1p1x2"),
    (
        "padding-sides-exchanged",
        lambda at, tap, s, d, pad: place(at, tap, s, d, [p[::-1] for p in pad]),
        blocks,
        "f3k4_s1p2.0.0.1",
    ),
    ("filter-transposed", lambda at, tap, s, d, pad: place(at, tap[::-1], s, d, pad), blocks, "f3k4_s1p1_g2"),
    ("groups-interleaved", place, lambda k, c, K, C, g: k // (K // g) + g * c, "f3k4_s1p1_g2"),
    ("groups-interleaved", place, lambda k, c, K, C, g: k % g * (C // g) + c, "f3k12_s1p1_g6"),
    ("groups-interleaved", place, lambda k, c, K, C, g: k % g + g * c, "f3k4_s1p1_g2"),
    ("groups-all-of-the-first", place, lambda k, c, K, C, g: c, "f3k9_s1p1_g3"),
]


def judged(case, **functions):
    mine = SimpleNamespace(**functions)
    return Judge(Implementation("mine", mine, Arithmetic.declared(None, None), options=("*",)))(case)


@pytest.mark.parametrize(("slip", "wrong", "case"), POOL_FAULTS, ids=[fault[2] for fault in POOL_FAULTS])
def test_a_fault_of_a_pool_is_failed_and_named(slip, wrong, case):
    case = Case.parse("pool_forward:f32:m2h8w11c5_" + case)
    (record,) = judged(case, pool_forward=wrong)
    assert (record.status, record.diagnosis) == ("failed", slip)
    (record,) = judged(case, pool_forward=cnnref.pool_forward)
    assert record.status == "passed"


@pytest.mark.parametrize(("slip", "reads", "of_group", "case"), CONV_FAULTS)
def test_a_fault_of_a_convolution_is_failed_and_named(slip, reads, of_group, case):
    case = Case.parse(f"conv_forward:f32:m2h8w9c6_{case}:small:1")
    (record,) = judged(case, **forward(reads, of_group))
    assert (record.status, record.diagnosis) == ("failed", slip)
    (record,) = judged(case, **forward(place))
    assert record.status == "passed"


@pytest.mark.parametrize(("slip", "reads", "of_group", "case"), CONV_FAULTS)
def test_a_wrong_gradient_of_a_convolution_is_failed_and_named(slip, reads, of_group, case):
    case = Case.parse(f"conv_backward:f32:m2h8w9c6_{case}:small:1")
    found = {r.output: (r.status, r.diagnosis) for r in judged(case, **backward(reads, of_group))}
    assert found["db"][0] == "passed"
    assert found["dW"] == found["dA_prev"] == ("failed", slip)
    assert {r.status for r in judged(case, **backward(place))} == {"passed"}


def transposed(hparameters_of, finish=lambda Z, b, more: Z):
    """`cnnref.conv_transpose_forward` with other hyperparameters, and its output changed."""

    def conv_transpose_forward(A_prev, W, b, hparameters):
        Z, cache = cnnref.conv_transpose_forward(A_prev, W, b, hparameters_of(dict(hparameters)))
        return finish(Z, b, hparameters.get("output_padding", 0)), cache

    return {"conv_transpose_forward": conv_transpose_forward}


def shifted(Z, b, more):
    """The rows and columns that output_padding adds, at the top and left."""
    return np.ascontiguousarray(Z[:, 2 - more : -2 - more, 2 - more : -2 - more])


def with_room(hparameters):
    """Two pixels less are cut off on each side."""
    return hparameters | {"pad": hparameters["pad"] - 2}


def without(hparameters):
    return {name: value for name, value in hparameters.items() if name != "output_padding"}


def extended(Z, b, more):
    return np.pad(Z, ((0, 0), (0, more), (0, more), (0, 0)))


def extended_by_bias(Z, b, more):
    out = np.broadcast_to(b, (len(Z), Z.shape[1] + more, Z.shape[2] + more, Z.shape[3])).copy()
    out[:, : Z.shape[1], : Z.shape[2]] = Z
    return out


@pytest.mark.parametrize(
    ("slip", "wrong", "case"),
    [
        ("output-padding-ignored", transposed(without), "f3k4_s2p1_e1"),
        ("output-padding-before", transposed(with_room, shifted), "f5k4_s2p2_e1"),
        ("output-padding-appended", transposed(without, extended), "f3k4_s2p1_e1"),
        ("output-padding-appended", transposed(without, extended_by_bias), "f3k4_s2p1_e1"),
    ],
)
def test_a_fault_of_a_transposed_convolution_is_failed_and_named(slip, wrong, case):
    case = Case.parse(f"conv_transpose_forward:f32:m2h5w4c6_{case}:small:1")
    (record,) = judged(case, **wrong)
    assert (record.status, record.diagnosis) == ("failed", slip)
    (record,) = judged(case, **transposed(lambda h: h))
    assert record.status == "passed"


def of_the_first_group(A_prev, W, b, hparameters):
    Z, cache = cnnref.conv_forward(A_prev, W, b, hparameters)
    g = hparameters.get("groups", 1)
    return Z - b + np.tile(b[..., : b.shape[3] // g], g), cache


def test_a_bias_indexed_within_its_group_is_failed_and_named():
    case = Case.parse("conv_forward:f32:m2h5w4c6_f3k4_s1p1_g2:small:1")
    (record,) = judged(case, conv_forward=of_the_first_group)
    assert (record.status, record.diagnosis) == ("failed", "bias-of-the-first-group")
    (record,) = judged(case, conv_forward=cnnref.conv_forward)
    assert record.status == "passed"


def pool_gradient(apart):
    """The gradient of a maximum whose taps are read as asked and written `apart` from one another."""

    def pool_backward(dA, cache, mode="max"):
        A_prev, hp = cache
        f, s, d = hp["f"], hp["stride"], hp.get("dilation", 1)
        out = np.zeros_like(A_prev)
        for i, y, x, k in np.ndindex(*dA.shape):
            window = A_prev[i, y * s : y * s + f * d : d, x * s : x * s + f * d : d, k]
            row, column = np.unravel_index(window.argmax(), window.shape)
            out[i, y * s + row * (apart or d), x * s + column * (apart or d), k] += dA[i, y, x, k]
        return out

    return pool_backward


def test_a_gradient_put_without_dilation_is_failed_and_named():
    case = Case.parse("pool_backward:f32:m2h8w11c5_f3s1_max_d2:normal:1")
    functions = {"pool_forward": cnnref.pool_forward}
    (record,) = judged(case, pool_backward=pool_gradient(1), **functions)
    assert (record.status, record.diagnosis) == ("failed", "pool-gradient-without-dilation")
    (record,) = judged(case, pool_backward=pool_gradient(None), **functions)
    assert record.status == "passed"


def of_running_sums(A_prev, hparameters, mode="max"):
    """Averages of windows as differences of sums that run over the image."""
    if mode == "max" or not A_prev.size:
        return cnnref.pool_forward(A_prev, hparameters, mode)
    f, s = hparameters["f"], hparameters["stride"]
    sums = np.pad(A_prev, ((0, 0), (1, 0), (1, 0), (0, 0)))
    with np.errstate(all="ignore"):
        sums = sums.cumsum(1, dtype=A_prev.dtype).cumsum(2, dtype=A_prev.dtype)
        y, x = (np.arange(0, n - f + 1, s) for n in A_prev.shape[1:3])
        rows = sums[:, y + f] - sums[:, y]
        return (rows[:, :, x + f] - rows[:, :, x]) / A_prev.dtype.type(f * f), None


def test_an_average_that_cancels_is_failed_and_named():
    case = Case.parse("pool_forward:f32:m2h40w30c5_f2s1_average:normal:1")
    (record,) = judged(case, pool_forward=of_running_sums)
    assert (record.status, record.diagnosis) == ("failed", "average-by-running-sums")
    (record,) = judged(case, pool_forward=cnnref.pool_forward)
    assert record.status == "passed"
