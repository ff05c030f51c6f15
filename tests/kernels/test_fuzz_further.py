"""Random calls of what the suite has no cases for: transposed convolutions and the options of losses."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import cnnref

EXAMPLES = int(os.environ.get("CNNREF_FUZZ", "1500")) // 4
JUNK = (None, "two", b"1", [1], {}, object(), 1j, float("nan"), float("inf"))
COUNTS = {"accepted": 0, "refused": 0}

fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def tried(call, good):
    """What `call` gives; None where it was refused. `good`: whether the contract takes it, None if it may."""
    try:
        found = call()
    except (ValueError, TypeError, MemoryError) as error:
        COUNTS["refused"] += 1
        if good or not str(error):
            pytest.fail(f"refused: {error!r}")
        return None
    COUNTS["accepted"] += 1
    assert good is not False, "accepted"
    return found


def sides(pad):
    """((top, bottom), (left, right))."""
    pad = (pad, pad) if isinstance(pad, int) else pad
    return tuple(side if isinstance(side, tuple) else (side, side) for side in pad)


def both(value):
    return (value, value) if isinstance(value, int) else value


def scattered(A, W, b, hyper, dZ=None):
    """The definition: each input adds its filter to the output, which padding then cuts; or the gradients."""
    s, d, o = (both(hyper.get(key, default)) for key, default in
               (("stride", 1), ("dilation", 1), ("output_padding", 0)))  # fmt: skip
    groups, f = hyper.get("groups", 1), W.shape[:2]
    span = [(n - 1) * s[k] + d[k] * (f[k] - 1) + 1 + o[k] for k, n in enumerate(A.shape[1:3])]
    inputs, outputs = A.shape[3] // groups, W.shape[2]
    Z, dA, dW = np.zeros((len(A), *span, outputs * groups)), np.zeros_like(A), np.zeros_like(W)
    cut = tuple(slice(low, n - high) for n, (low, high) in zip(span, sides(hyper["pad"]), strict=True))
    whole = np.zeros_like(Z)
    if dZ is not None:
        whole[:, cut[0], cut[1]] = dZ
    for i in range(f[0]):
        for j in range(f[1]):
            rows = slice(i * d[0], i * d[0] + (A.shape[1] - 1) * s[0] + 1, s[0])
            columns = slice(j * d[1], j * d[1] + (A.shape[2] - 1) * s[1] + 1, s[1])
            for g in range(groups):
                a = slice(g * inputs, (g + 1) * inputs)
                z = slice(g * outputs, (g + 1) * outputs)
                Z[:, rows, columns, z] += A[..., a] @ W[i, j, :, a].T
                dA[..., a] += whole[:, rows, columns, z] @ W[i, j, :, a]
                dW[i, j, :, a] = np.einsum("mhwk,mhwc->kc", whole[:, rows, columns, z], A[..., a])
    if dZ is None:
        return Z[:, cut[0], cut[1]] + b
    return dA, dW, dZ.sum((0, 1, 2), keepdims=True)


small = st.integers(1, 4)
pairs = st.one_of(small, st.tuples(small, small))
naughts = st.integers(0, 3)
pads = st.one_of(
    naughts,
    st.tuples(naughts, naughts),
    st.tuples(st.tuples(naughts, naughts), st.tuples(naughts, naughts)),
)


@st.composite
def transposed(draw):
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    inputs, outputs = (draw(st.integers(1, 3)) for _ in range(2))
    shape = (draw(st.integers(0, 3)), draw(small), draw(small), inputs * groups)
    hyper = {"stride": draw(pairs), "pad": draw(pads)}
    if groups > 1:
        hyper["groups"] = groups
    if draw(st.booleans()):
        hyper["dilation"] = draw(pairs)
    if draw(st.booleans()):
        hyper["output_padding"] = draw(st.one_of(naughts, st.tuples(naughts, naughts)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    A, W, b = (
        rng.integers(-3, 4, extents).astype(draw(st.sampled_from(("f4", "f8", ">f4", "i2"))))
        for extents in (shape, (draw(small), draw(small), outputs, shape[3]), (1, 1, 1, outputs * groups))
    )
    good = taken(A, W, hyper)
    if draw(st.integers(0, 5)) == 0:
        good = False
        hyper[draw(st.sampled_from(sorted(hyper)))] = draw(st.sampled_from((*JUNK, -1, 2**63)))
    return A, W, b, hyper, good


def taken(A, W, hyper):
    """Whether there is such an output; None where a dilation between no taps decides."""
    s, d, o = (both(hyper.get(k, v)) for k, v in (("stride", 1), ("dilation", 1), ("output_padding", 0)))
    if any(W.shape[k] == 1 and s[k] <= o[k] < d[k] for k in range(2)):
        return None
    rows = [
        (A.shape[k + 1] - 1) * s[k] + d[k] * (W.shape[k] - 1) + 1 + o[k] - sum(sides(hyper["pad"])[k])
        for k in range(2)
    ]
    return min(rows) >= 1 and all(o[k] < max(s[k], d[k]) for k in range(2))


@seed(21)
@fuzzed
@given(transposed())
def test_transposed_convolutions(call):
    A, W, b, hyper, good = call
    found = tried(lambda: cnnref.conv_transpose_forward(A, W, b, hyper), good)
    if found is None:
        return
    Z, cache = found
    wide = [np.asarray(x, np.float64) for x in (A, W, b)]
    assert np.array_equal(Z, scattered(*wide, hyper)), hyper
    dZ = np.arange(Z.size).reshape(Z.shape) % 7.0 - 3
    gradients = cnnref.conv_transpose_backward(dZ, cache)
    for name, got, want in zip(("dA_prev", "dW", "db"), gradients, scattered(*wide, hyper, dZ), strict=True):
        assert np.array_equal(got, want), f"{name} {hyper}"


@st.composite
def losses(draw):
    m, n = draw(st.integers(0, 6)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    AL = (rng.random((m, n)) + 0.01).astype(draw(st.sampled_from(("f4", "f8", ">f8"))))
    Y = rng.integers(0, n, m).astype(draw(st.sampled_from(("i8", "i4", ">i2"))))
    options, good = {}, True
    if draw(st.booleans()):
        value = draw(st.one_of(st.floats(0, 1), st.sampled_from((0, 1, True, -0.1, 1.5, *JUNK))))
        options["label_smoothing"] = value
        good = type(value) in (int, float) and 0 <= value <= 1
    if draw(st.booleans()):
        value = draw(st.one_of(st.integers(-2, n), st.sampled_from((-100, 10**6, 2.5, *JUNK[1:7]))))
        options["ignore_index"] = value
        good = good and type(value) is int
        if type(value) is int and abs(value) < 2**15 and m:
            Y[rng.random(m) < 0.4] = value
    return AL, Y, options, good


@seed(22)
@fuzzed
@given(losses())
def test_losses(call):
    AL, Y, options, good = call
    found = tried(lambda: cnnref.cross_entropy_cost(AL, Y, **options), good)
    if found is None:
        return
    mean, cache = found
    p, e = np.asarray(AL, np.float64), float(options.get("label_smoothing", 0))
    rows, labels = np.arange(len(Y)), Y.astype(int)
    kept = labels != options["ignore_index"] if options.get("ignore_index") is not None else rows >= 0
    target = np.full(p.shape, e / p.shape[1])
    target[rows[kept], labels[kept]] += 1 - e
    target[~kept] = 0
    share = 1 / kept.sum() if kept.any() else np.nan
    eps = 2.0**-22 if AL.dtype == np.float32 else 2.0**-50
    close = {"rtol": 64 * eps, "atol": 64 * eps, "equal_nan": True}
    wanted = -(target[kept] * np.log(p[kept])).sum() * share
    assert np.isclose(mean, wanted, rtol=2.0**-40, atol=0, equal_nan=True)
    dAL = cnnref.cross_entropy_backward(cache, **options)
    dX = cnnref.softmax_cross_entropy_backward(cache, **options)
    assert dAL[~kept].any() == dX[~kept].any() == False  # noqa: E712  (NaN too would be wrong there)
    assert np.allclose(dAL[kept], -(target / p)[kept] * share, **close)
    assert np.allclose(dX[kept], (p - target)[kept] * share, **close)


def test_the_fuzz_did_both():
    if sum(COUNTS.values()) == 0:
        pytest.skip("the fuzz itself was not run")
    print(COUNTS)
    assert COUNTS["accepted"] > EXAMPLES / 2
    assert COUNTS["refused"] > EXAMPLES / 8
