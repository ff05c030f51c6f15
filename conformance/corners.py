"""The corner cases: shapes and data that broke real kernels, each with its name and where it was seen.

All that one square window, one stride and one padding can express. They run first in every run, whatever
the seed. Sources are issues of the projects named, or inputs of oneDNN's benchdnn ("benchdnn ...").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from conformance.case import Case
from conformance.operations import OPERATIONS

#: Channels round the vector widths of 4, 8, 16 and 32 lanes, one more than two of them, and four and one.
WIDTHS = (1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65)

_TAILS = "benchdnn conv/shapes_tails, regression_oc-channel, grayscale_ic1_plain"
_STRIDE = "tensorflow #2066, #6362, #1991; ncnn #116"
_SMALL = "benchdnn conv/shapes_regression_small_spatial"
_PADDING = "benchdnn conv/shapes_regression_padding (DNNL-796, 982, 1074), xmos ai_tools #89"
_UNREAD = "torch7-distro #20, backpack #30, opacus #245"
_EMPTY = "NNlib.jl #763, tensorflow #14657, pytorch #12013"
_ONEDNN = "oneDNN #6035"
_POST = "the post's R code stops or answers otherwise"


@dataclass(frozen=True)
class Corner:
    """A corner case.

    Attributes
    ----------
    name, source : str
        What it is called and where it was seen.
    op, params, family : str
        The operation, its parameters as a case writes them, the data family.
    """

    name: str
    source: str
    op: str
    params: str
    family: str

    def case(self, dtype: str, seed: int = 0) -> Case:
        """The case of this corner in `dtype`, its data seeded by `seed`."""
        return Case.parse(f"{self.op}:{dtype}:{self.params}:{self.family}:{seed}")


#: (name, source, parameters) of a convolution.
_CONV = (
    *(
        (f"1x1-stride-2-c{c}", _ONEDNN + (", onnxruntime #14392" if c == 9 else ""), f"m3h7w6c{c}_f1k5_s2p0")
        for c in (*WIDTHS, 4, 12)
    ),
    ("1x1-stride-3-gaps", "composable_kernel #105, benchdnn fill_gap", "m2h8w5c4_f1k6_s3p0"),
    *((f"stride-2-narrow-c{c}", "fujitsu/oneDNN #43", f"m2h8w11c{c}_f3k4_s2p1") for c in (17, 33)),
    *((f"channels-in-{c}", _TAILS, f"m2h5w4c{c}_f3k6_s1p1") for c in WIDTHS),
    *((f"channels-out-{k}", _TAILS, f"m2h4w5c6_f3k{k}_s1p1") for k in WIDTHS),
    *(
        (f"width-{w}", "one row shorter, as long and longer than a vector", f"m2h4w{w}c3_f3k5_s1p0")
        for w in (7, 8, 9, 15, 16, 17)
    ),
    (
        "channels-mod-32",
        "mlx #4242: float16 accuracy when the channels are a multiple of 32",
        "m1h5w4c32_f3k64_s1p1",
    ),
    ("remainder-rows", _UNREAD, "m2h8w10c3_f3k5_s3p1"),
    ("remainder-both", _UNREAD, "m2h8w11c4_f3k5_s3p1"),
    ("remainder-unread", _UNREAD, "m2h9w10c3_f2k4_s5p0"),
    ("remainder-even", _UNREAD, "m3h6w8c4_f3k5_s2p0"),
    ("stride-above-window-1", _STRIDE, "m2h8w11c4_f1k5_s3p0"),
    ("stride-above-window-2", _STRIDE, "m2h9w7c4_f2k5_s3p0"),
    ("stride-above-window-padded", _STRIDE, "m2h9w7c4_f2k3_s5p1"),
    ("stride-above-input", _STRIDE, "m2h4w5c3_f2k6_s7p0"),
    ("window-is-input", _SMALL, "m4h3w3c5_f3k2_s1p0"),
    ("window-is-height", _SMALL, "m2h3w7c5_f3k4_s1p0"),
    ("window-is-width", _SMALL, "m2h7w3c5_f3k4_s2p0"),
    ("window-above-input", _SMALL, "m3h2w4c6_f5k7_s1p2"),
    (
        "window-over-both-paddings",
        "benchdnn conv harness_conv_regression_general (github 542)",
        "m3h1w2c4_f3k5_s1p1",
    ),
    ("one-pixel-padded", _SMALL, "m3h1w1c4_f3k5_s2p2"),
    ("one-pixel", "a dot product of channels; the R code stops for windows of one", "m3h1w1c7_f1k5_s1p0"),
    ("one-row", _POST, "m2h1w6c3_f1k4_s1p0"),
    ("one-row-padded", _POST, "m2h1w6c3_f3k4_s1p1"),
    ("one-column-padded", _POST, "m2h6w1c3_f3k4_s1p1"),
    ("1x1-padding-1", _PADDING, "m2h4w5c3_f1k6_s1p1"),
    ("1x1-padding-2-stride-3", _PADDING, "m2h4w5c6_f1k7_s3p2"),
    ("padding-is-window", _PADDING, "m2h4w5c6_f3k7_s1p3"),
    ("padding-above-window", _PADDING, "m3h4w6c5_f2k7_s1p4"),
    ("padding-above-window-strided", _PADDING, "m3h4w6c7_f3k8_s2p5"),
    ("padding-large", _PADDING + ", MFDNN-1995, MFDNN-2027", "m2h3w4c5_f2k6_s4p8"),
    ("padding-even-window", "no symmetric padding keeps the size", "m2h6w7c3_f4k5_s1p2"),
    ("kernel-5", "nntrainer #705, tf-encrypted #150, numpy-ml #27: filter not flipped", "m2h8w9c3_f5k4_s1p2"),
    ("kernel-7", "nntrainer #705, tf-encrypted #150, numpy-ml #27: filter not flipped", "m2h9w8c3_f7k4_s1p3"),
    ("non-square", "deeplearning4j #8280: db summed over the wrong axes", "m2h4w11c3_f3k5_s1p1"),
    ("one-sample", "the first sample must be the only one", "m1h7w6c3_f3k4_s2p1"),
    ("many-samples", "pytorch #1947, rocm-libraries #8025: lost updates in dW", "m19h4w5c3_f2k6_s1p0"),
    ("digits-28", "the first layer of the post's model", "m1h28w13c3_f5k6_s1p2"),
)

_CONV_EMPTY = (
    ("empty-batch", _EMPTY, "m0h5w7c3_f3k4_s2p1"),
    (
        "no-channels",
        "torch drops the filters and answers (m, 0, ...): the sum over no channel is b",
        "m2h5w6c0_f3k4_s1p1",
    ),
)

#: (name, source, image and window) of a pool.
_POOL = (
    *(
        (f"channels-{c}", "burn #5308: gradient never written at some channel counts", f"m2h5w4c{c}_f2s2")
        for c in WIDTHS
    ),
    *(
        (f"width-{w}", "one row shorter, as long and longer than a vector", f"m2h4w{w}c3_f2s1")
        for w in (7, 8, 9, 15, 16, 17)
    ),
    ("overlapping", "NNlib.jl #205: overlapping windows must accumulate", "m2h5w7c3_f4s1"),
    ("overlapping-strided", "NNlib.jl #205", "m2h9w7c5_f4s2"),
    ("overlapping-3", "NNlib.jl #205", "m2h7w5c4_f3s2"),
    ("non-square", "pytorch #36820: rows and columns exchanged in the backward pass", "m3h4w10c5_f2s2"),
    ("remainder", "windows do not tile the input: the rest has gradient zero", "m3h8w11c4_f2s3"),
    ("stride-above-window", _STRIDE, "m2h9w7c4_f2s4"),
    ("window-is-input", _SMALL, "m5h4w4c3_f4s1"),
    ("window-is-height", _SMALL, "m3h2w9c5_f2s1"),
    ("window-1", "the identity", "m3h5w4c2_f1s1"),
    ("window-1-stride-2", "composable_kernel #105: gaps must be zero", "m3h5w8c4_f1s2"),
    ("one-channel", "the R code stops for one channel", "m3h6w5c1_f2s2"),
    ("one-row", _POST, "m3h1w6c4_f1s1"),
    ("one-pixel", _POST, "m3h1w1c5_f1s1"),
    ("one-sample", "the first sample must be the only one", "m1h6w7c3_f2s2"),
)
_POOL_EMPTY = (
    ("empty-batch", _EMPTY, "m0h5w7c3_f2s2"),
    ("no-channels", "torch refuses an image without channels", "m2h5w7c0_f2s2"),
)


@cache
def corners(op: str) -> tuple[Corner, ...]:
    """The corner cases of an operation."""
    found = tuple(Corner(name, source, op, params, family) for name, source, params, family in _table(op))
    if len(set(found)) != len({(corner.params, corner.family) for corner in found}):
        raise AssertionError(f"two corners of {op} are the same case")
    return found


def corner_of(case: Case) -> str | None:
    """The name of the corner that `case` is, in any dtype and with any seed."""
    return _names().get(str(case.replace(dtype="f32", seed=0)))


@cache
def _names() -> dict[str, str]:
    return {str(corner.case("f32")): corner.name for corner in CORNERS}


Row = tuple[str, str, str, str]


def _table(op: str) -> Iterator[Row]:
    """(name, source, parameters, family) of each corner of `op`."""
    exact = "wide-g" if op.endswith("backward") else "wide-x"
    if op in ("conv_forward", "conv_backward"):
        for name, source, params in _CONV:
            yield name, source, params, exact
            if not name.startswith(("channels", "1x1-stride-2", "width")):
                yield name, source, params, "normal"
        for name, source, params in _CONV_EMPTY:
            yield name, source, params, "normal"
        yield "nan", "nothing meets a zero factor, so NaN has one place", "m2h5w4c3_f2k6_s1p0", "nan"
        yield (
            "infinity",
            "nothing meets a zero factor, so inf has one place",
            "m2h5w4c3_f2k6_s1p0",
            "infinity",
        )
    elif op.startswith("pool"):
        yield from _pool_table(exact)
    elif op.startswith("affine"):
        yield from _affine_table(op, exact)
    elif op.startswith(("softmax", "cross_entropy")):
        yield from _rows_table(op)
    else:
        yield from _plain_table(op)


def _pool_table(exact: str) -> Iterator[Row]:
    for mode in ("max", "average"):
        for name, source, params in _POOL:
            yield name, source, f"{params}_{mode}", exact
        for name, source, params in _POOL_EMPTY:
            yield name, source, f"{params}_{mode}", "normal"
        yield "inexact-divisor", "1/9 is rounded", f"m2h7w5c4_f3s2_{mode}", "normal"
        yield "infinity", "inf - inf within one window", f"m2h5w4c3_f2s1_{mode}", "infinity"
    for c in WIDTHS:
        yield (
            f"nan-lanes-{c}",
            "tensorflow #125965: NaN depends on the vector lane",
            f"m2h5w4c{c}_f2s2_max",
            "nan",
        )
    yield "nan-window", "pytorch #39044: a window of NaN", "m3h5w4c2_f1s1_max", "nan"
    yield "nan-overlapping", "the last NaN gets the gradient", "m2h5w4c3_f3s1_max", "nan"
    yield "nan-average", "NaN within one window", "m2h5w4c3_f2s2_average", "nan"
    for params in ("m2h5w4c3_f2s2", "m2h6w7c9_f3s1", "m3h7w5c17_f2s3"):
        source = "pytorch #33384, #41294, tensorflow #10216: a maximum that starts from zero"
        yield "negative", source, f"{params}_max", "negative"
        source = "pytorch #40131, Caffe pooling_layer.cpp: no index for a window of -inf"
        yield "lowest", source, f"{params}_max", "lowest"
        yield "ties", "Theano #4886, DirectML: which maximum gets the gradient", f"{params}_max", "ties"
        yield "zeros", "windows of zeros after a relu", f"{params}_max", "zeros"


def _affine_table(op: str, exact: str) -> Iterator[Row]:
    words = ("_relu", "_sigmoid", "_NULL") if "activation" in op else ("",)
    rows = [
        *((f"inputs-{i}", _TAILS, f"m4i{i}o6") for i in WIDTHS),
        *((f"outputs-{o}", _TAILS, f"m4i6o{o}") for o in WIDTHS),
        ("one-sample", "a vector times a matrix", "m1i7o5"),
        ("many-samples", "more samples than a block holds", "m67i3o5"),
        ("one-weight", "a scalar times a scalar", "m1i1o1"),
        ("empty-batch", _EMPTY, "m0i7o5"),
    ]
    for word in words:
        for name, source, params in rows:
            # Behind a sigmoid wide integers would be ones and zeros; without samples there are none.
            plain = word == "_sigmoid" or name == "empty-batch"
            yield name, source, params + word, "normal" if plain else exact
        yield "nan", "NaN in one row stays in that row", f"m4i7o5{word}", "nan"
    if "activation" not in op:
        yield "infinity", "inf in one row stays in that row", "m4i7o5", "infinity"


def _rows_table(op: str) -> Iterator[Row]:
    families = {
        "cross_entropy_cost": ("probabilities", "missing", "tiny", "certain", "impossible"),
        "cross_entropy_backward": ("probabilities", "missing", "tiny", "certain", "impossible"),
        "softmax_cross_entropy_backward": ("normal", "overflow", "constant", "masked", "missing"),
    }.get(op, ("normal", "overflow", "constant", "masked"))
    for n in WIDTHS:
        for family in families:
            # One class cannot be missing, masked or impossible.
            if n > 1 or family not in ("masked", "missing", "impossible"):
                yield f"classes-{n}", "pytorch #25110, #131060, tensorflow #11756", f"m4n{n}", family
    for m in (1, 31, 32, 33):
        yield f"rows-{m}", "tt-metal #53209: rows that are no multiple of 32", f"m{m}n10", families[0]
    yield "empty-batch", "pytorch #70348, #116349: the mean of no rows", "m0n5", families[0]


def _plain_table(op: str) -> Iterator[Row]:
    grammar = OPERATIONS[op].grammar[0]
    pad = "_p1" if "p" in OPERATIONS[op].parameters else ""
    if op == "conv_single_step":
        for c in WIDTHS:
            yield f"channels-{c}", _TAILS, f"f3c{c}", "wide-x"
        for f in (1, 2, 5, 7):
            yield f"window-{f}", "the post's one step", f"f{f}c4", "wide-x"
        yield "one-weight", "a scalar times a scalar", "f1c1", "normal"
        yield "no-channels", "the sum over no channel is b", "f3c0", "normal"
    elif grammar == ("h", "w"):
        shapes = ("h1w1", "h1w5", "h6w1", "h2w2", "h4w4", "h3w7", "h8w17")
        mask = op == "create_mask_from_window"
        for shape in shapes:
            for family in ("wide-x",) if not mask else ("coordinates", "ties", "nan", "lowest", "negative"):
                yield f"window-{shape}", _POST, shape, family
    else:
        families = {
            "relu": ("zeros", "nan", "infinity", "subnormal"),
            "relu_backward": ("zeros", "nan", "infinity", "subnormal"),
            "sigmoid": ("saturated", "nan", "infinity", "subnormal"),
            "sigmoid_backward": ("saturated", "nan", "infinity", "subnormal"),
        }.get(op, ("coordinates",))
        lanes = {
            "relu": "tensorflow #40072, mxnet #11115, NNlib.jl #509, burn #5658",
            "relu_backward": "Paddle #65999, tt-metal #57455, jax #37821",
            "sigmoid": "tt-metal #51543, Vc #273, dotnet/runtime #107838",
            "sigmoid_backward": "tt-metal #51543, Vc #273",
        }.get(op, _TAILS)
        for c in WIDTHS:
            for family in families:
                yield f"lanes-{c}", lanes, f"m1h1w1c{c}{pad}", family
        for name, shape in (("one-row", "m2h1w5c3"), ("one-column", "m2h5w1c3"), ("one-sample", "m1h4w5c3")):
            yield name, _POST, shape + pad, families[0]
        yield "empty-batch", _EMPTY, f"m0h4w5c3{pad}", "normal"
        yield "no-channels", "nothing in, nothing out", f"m2h4w5c0{pad}", "normal"
        for p in (0, 2, 7) if pad else ():
            yield f"padding-{p}", _PADDING, f"m2h4w3c5_p{p}", "coordinates"


#: Every corner case.
CORNERS: tuple[Corner, ...] = tuple(corner for op in OPERATIONS for corner in corners(op))
