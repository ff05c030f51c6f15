"""Shapes of windows that broke real kernels: (name, source, parameters), for convolutions and for pools.

All that one square window, one stride and one padding can express. Sources are issues of the projects
named, inputs of oneDNN's benchdnn ("benchdnn ..."), or a few words where the definition is reason enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.operations import corner_sizes

#: Channels round the vector widths of 4, 8, 16 and 32 lanes, one more than two of them, and four and one.
WIDTHS = (1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65)

TAILS = "benchdnn conv/shapes_tails, regression_oc-channel, grayscale_ic1_plain"
STRIDE = "tensorflow #2066, #6362, #1991; ncnn #116"
SMALL = "benchdnn conv/shapes_regression_small_spatial"
PADDING = "benchdnn conv/shapes_regression_padding (DNNL-796, 982, 1074), xmos ai_tools #89"
UNREAD = "torch7-distro #20, backpack #30, opacus #245"
EMPTY = "NNlib.jl #763, tensorflow #14657, pytorch #12013"
ONEDNN = "oneDNN #6035"
LARGE = "more than a block of rows, columns or samples, and more than one thread's share"
POST = "the post's R code stops or answers otherwise"


#: (name, source, parameters) of a convolution.
CONV = (
    *(
        (f"1x1-stride-2-c{c}", ONEDNN + (", onnxruntime #14392" if c == 9 else ""), f"m3h7w6c{c}_f1k5_s2p0")
        for c in (*WIDTHS, 4, 12)
    ),
    ("1x1-stride-3-gaps", "composable_kernel #105, benchdnn fill_gap", "m2h8w5c4_f1k6_s3p0"),
    *((f"stride-2-narrow-c{c}", "fujitsu/oneDNN #43", f"m2h8w11c{c}_f3k4_s2p1") for c in (17, 33)),
    *((f"channels-in-{c}", TAILS, f"m2h5w4c{c}_f3k6_s1p1") for c in WIDTHS),
    *((f"channels-out-{k}", TAILS, f"m2h4w5c6_f3k{k}_s1p1") for k in WIDTHS),
    *(
        (f"width-{w}", "one row shorter, as long and longer than a vector", f"m2h4w{w}c3_f3k5_s1p0")
        for w in (7, 8, 9, 15, 16, 17)
    ),
    (
        "channels-mod-32",
        "mlx #4242: float16 accuracy when the channels are a multiple of 32",
        "m1h5w4c32_f3k64_s1p1",
    ),
    ("remainder-rows", UNREAD, "m2h8w10c3_f3k5_s3p1"),
    ("remainder-both", UNREAD, "m2h8w11c4_f3k5_s3p1"),
    ("remainder-unread", UNREAD, "m2h9w10c3_f2k4_s5p0"),
    ("remainder-even", UNREAD, "m3h6w8c4_f3k5_s2p0"),
    ("stride-above-window-1", STRIDE, "m2h8w11c4_f1k5_s3p0"),
    ("stride-above-window-2", STRIDE, "m2h9w7c4_f2k5_s3p0"),
    ("stride-above-window-padded", STRIDE, "m2h9w7c4_f2k3_s5p1"),
    ("stride-above-input", STRIDE, "m2h4w5c3_f2k6_s7p0"),
    ("window-is-input", SMALL, "m4h3w3c5_f3k2_s1p0"),
    ("window-is-height", SMALL, "m2h3w7c5_f3k4_s1p0"),
    ("window-is-width", SMALL, "m2h7w3c5_f3k4_s2p0"),
    ("window-above-input", SMALL, "m3h2w4c6_f5k7_s1p2"),
    (
        "window-over-both-paddings",
        "benchdnn conv harness_conv_regression_general (github 542)",
        "m3h1w2c4_f3k5_s1p1",
    ),
    ("one-pixel-padded", SMALL, "m3h1w1c4_f3k5_s2p2"),
    ("one-pixel", "a dot product of channels; the R code stops for windows of one", "m3h1w1c7_f1k5_s1p0"),
    ("one-row", POST, "m2h1w6c3_f1k4_s1p0"),
    ("one-row-padded", POST, "m2h1w6c3_f3k4_s1p1"),
    ("one-column-padded", POST, "m2h6w1c3_f3k4_s1p1"),
    ("1x1-padding-1", PADDING, "m2h4w5c3_f1k6_s1p1"),
    ("1x1-padding-2-stride-3", PADDING, "m2h4w5c6_f1k7_s3p2"),
    ("padding-is-window", PADDING, "m2h4w5c6_f3k7_s1p3"),
    ("padding-above-window", PADDING, "m3h4w6c5_f2k7_s1p4"),
    ("padding-above-window-strided", PADDING, "m3h4w6c7_f3k8_s2p5"),
    ("padding-large", PADDING + ", MFDNN-1995, MFDNN-2027", "m2h3w4c5_f2k6_s4p8"),
    ("padding-even-window", "no symmetric padding keeps the size", "m2h6w7c3_f4k5_s1p2"),
    ("kernel-5", "nntrainer #705, tf-encrypted #150, numpy-ml #27: filter not flipped", "m2h8w9c3_f5k4_s1p2"),
    ("kernel-7", "nntrainer #705, tf-encrypted #150, numpy-ml #27: filter not flipped", "m2h9w8c3_f7k4_s1p3"),
    ("non-square", "deeplearning4j #8280: db summed over the wrong axes", "m2h4w11c3_f3k5_s1p1"),
    ("one-sample", "the first sample must be the only one", "m1h7w6c3_f3k4_s2p1"),
    ("many-samples", "pytorch #1947, rocm-libraries #8025: lost updates in dW", "m19h4w5c3_f2k6_s1p0"),
    ("digits-28", "the first layer of the post's model", "m1h28w13c3_f5k6_s1p2"),
    ("large", LARGE, "m2h19w23c20_f3k40_s1p1"),
    ("large-narrow", LARGE, "m2h61w70c2_f5k9_s2p3"),
    ("large-1x1", LARGE, "m3h24w25c70_f1k50_s1p0"),
)

CONV_EMPTY = (
    ("empty-batch", EMPTY, "m0h5w7c3_f3k4_s2p1"),
    (
        "no-channels",
        "torch drops the filters and answers (m, 0, ...): the sum over no channel is b",
        "m2h5w6c0_f3k4_s1p1",
    ),
)

DEPTHWISE = "MobileNet v2, ConvNeXt; DepthwiseConvolution #20: the gradient with a stride"

#: (name, source, parameters and options) of a convolution with options.
CONV_OPTIONS = (
    ("window-1x3", "rows and columns exchanged", "m2h6w8c4_f1x3k5_s1p0"),
    ("window-5x2", "rows and columns exchanged", "m2h9w7c3_f5x2k4_s2x1p2x0"),
    ("stride-1x3", "mlpack #3146: rows and columns exchanged", "m2h5w11c3_f2k4_s1x3p0"),
    ("dilated", "Theano #4729, ncnn #75, mxnet #1457", "m2h9w8c3_f3k4_s1p0_d3"),
    (
        "dilated-strided",
        "tensorflow #31514, candle #2337: dilation taken for stride",
        "m2h10w11c4_f3k5_s2p2_d3",
    ),
    ("dilated-2x1", "mlpack #3146: rows and columns exchanged", "m2h9w6c4_f3x2k5_s1x2p1_d2x1"),
    ("dilated-above-input", "only the taps in the middle read the image", "m2h3w4c5_f3k6_s1p4_d4"),
    ("sides", "padding below and to the right alone", "m2h5w8c3_f3k4_s1p0.2.0.1"),
    ("sides-strided", "four different paddings", "m2h7w8c3_f3k4_s2p2.0.1.3"),
    ("same-even-window", "burn #2676: the odd pixel", "m2h6w7c3_f4k5_s1psame"),
    ("same-lower-even-window", "ONNX SAME_LOWER", "m2h6w7c3_f4k5_s1psame-lower"),
    ("same-strided", "root #21793, MIPVerify.jl #23: padding depends on the stride", "m2h6w9c4_f3k5_s2psame"),
    ("same-stride-above-window", "tensorflow #1991, #14601", "m2h8w9c4_f1k5_s3psame"),
    ("groups-2", "channels of another group", "m2h5w7c6_f3k4_s1p1_g2"),
    ("groups-one-channel-out", "one filter a group", "m2h5w4c6_f2k3_s1p0_g3"),
    ("groups-tail", "groups of 17 channels and 5 filters", "m2h4w5c34_f3k10_s2p1_g2"),
    ("groups-1x1", "ShuffleNet", "m2h5w4c12_f1k6_s1p0_g3"),
    *((f"depthwise-{c}", DEPTHWISE, f"m2h6w5c{c}_f3k{c}_s1p1_g{c}") for c in (3, 8, 9, 16, 17, 33, 65)),
    *((f"depthwise-stride-2-{c}", DEPTHWISE, f"m2h9w8c{c}_f3k{c}_s2p1_g{c}") for c in (7, 16)),
    ("depthwise-7x7", DEPTHWISE, "m1h9w11c12_f7k12_s1p3_g12"),
    ("depthwise-dilated", "tensorflow #31514", "m2h9w8c5_f3k5_s2p2_d2_g5"),
    *(
        (
            f"depthwise-times-{n}",
            "ComputeLibrary #553: channel multiplier",
            f"m2h6w5c{c}_f3k{n * c}_s1p1_g{c}",
        )
        for n, c in ((2, 4), (3, 9))
    ),
    ("depthwise-72", "cnnref 0.1: a tile of 16 columns on the 8 that 64 left", "m2h6w9c72_f3k72_s1p1_g72"),
    ("depthwise-large", LARGE, "m2h29w30c70_f3k70_s1p1_g70"),
    ("groups-large", LARGE, "m2h15w16c64_f3k48_s1p1_g2"),
)

OUTPUT = "pytorch/xla #2333, tinygrad #875, Flux.jl #2462: output padding"

#: (name, source, parameters and options) of a transposed convolution.
TRANSPOSE = (
    *((f"channels-in-{c}", TAILS, f"m2h4w3c{c}_f3k5_s2p1") for c in WIDTHS),
    *((f"channels-out-{k}", TAILS, f"m2h3w4c5_f3k{k}_s2p0") for k in WIDTHS),
    ("dense", "stride 1: a convolution with the filter turned", "m2h5w4c3_f3k6_s1p0"),
    ("same-extents", "stride 1, padding half the filter", "m2h5w4c3_f3k6_s1p1"),
    ("doubled", "U-Net: every output belongs to one input", "m2h4w5c6_f2k3_s2p0"),
    ("doubled-overlapping", "DCGAN: windows overlap", "m2h4w5c6_f4k3_s2p1"),
    ("gaps", "stride above the filter: outputs that are the bias alone", "m2h3w4c5_f2k6_s4p0"),
    ("1x1-stride-2", "outputs that are the bias alone", "m2h3w4c5_f1k6_s2p0"),
    ("one-pixel", "the filters themselves", "m3h1w1c4_f3k5_s2p0"),
    ("one-row", "rows and columns exchanged", "m2h1w5c3_f3k4_s2p1"),
    ("one-column", "rows and columns exchanged", "m2h5w1c3_f3k4_s2p1"),
    ("padding-large", "the outermost inputs reach the output with one tap alone", "m2h5w4c3_f3k6_s1p2"),
    ("padding-above-filter", "the outermost inputs reach no output", "m2h6w5c3_f2k4_s2p3"),
    ("window-2x4", "rows and columns exchanged", "m2h4w3c5_f2x4k6_s1p0"),
    ("stride-1x3", "rows and columns exchanged", "m2h5w3c4_f3k6_s1x3p0"),
    ("sides", "four different paddings", "m2h4w5c3_f4k6_s3p2.0.1.3"),
    ("dilated", "candle #2337: stride and dilation exchanged", "m2h4w5c3_f3k6_s1p0_d2"),
    ("dilated-strided", "candle #2337: stride and dilation exchanged", "m2h4w5c3_f3k6_s3p1_d2"),
    ("output-padding", OUTPUT, "m2h4w5c3_f3k6_s2p1_e1"),
    ("output-padding-unpadded", OUTPUT + "; rows that are the bias alone", "m2h4w5c3_f3k6_s2p0_e1"),
    ("output-padding-1x0", OUTPUT, "m2h4w5c3_f3k6_s2p1_e1x0"),
    ("output-padding-2-gaps", OUTPUT, "m2h3w4c5_f2k6_s4p1_e2"),
    ("output-padding-by-dilation", "PyTorch: below the stride or the dilation", "m2h4w5c3_f2k6_s1p1_d3_e2"),
    ("groups-2", "channels of another group", "m2h4w5c6_f3k8_s2p1_g2"),
    ("groups-tail", "groups of 17 channels and 5 filters", "m2h3w4c34_f3k10_s2p1_g2"),
    *((f"depthwise-{c}", "bilinear upsampling", f"m2h3w4c{c}_f4k{c}_s2p1_g{c}") for c in (3, 8, 16, 17, 33)),
    ("depthwise-times-2", "channel multiplier", "m2h5w4c3_f3k6_s2p1_g3"),
    ("many-samples", "lost updates in dW", "m19h3w4c5_f2k6_s2p0"),
    ("large", LARGE, "m2h19w23c20_f3k40_s2p1_e1"),
    ("large-narrow", LARGE, "m1h35w40c9_f5k2_s2p2"),
)

TRANSPOSE_EMPTY = (
    ("empty-batch", EMPTY, "m0h5w7c3_f3k4_s2p1"),
    ("no-channels", "the sum over no channel is b", "m2h5w6c0_f3k4_s2p1"),
)

#: (name, source, image and window) of a pool.
POOL = (
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
    ("stride-above-window", STRIDE, "m2h9w7c4_f2s4"),
    ("window-is-input", SMALL, "m5h4w4c3_f4s1"),
    ("window-is-height", SMALL, "m3h2w9c5_f2s1"),
    ("window-1", "the identity", "m3h5w4c2_f1s1"),
    ("window-1-stride-2", "composable_kernel #105: gaps must be zero", "m3h5w8c4_f1s2"),
    ("one-channel", "the R code stops for one channel", "m3h6w5c1_f2s2"),
    ("one-row", POST, "m3h1w6c4_f1s1"),
    ("one-pixel", POST, "m3h1w1c5_f1s1"),
    ("one-sample", "the first sample must be the only one", "m1h6w7c3_f2s2"),
    ("large", LARGE, "m2h61w67c20_f2s1"),
    ("large-one-channel", LARGE, "m2h150w151c1_f2s2"),
)
#: (name, source, image and window, mode, options) of a pool with options.
POOL_OPTIONS = (
    ("padded", "pytorch #188344, #107201: averages of a padded NHWC image", "m2h8w7c3_f2s1", "average", "p1"),
    ("padded", "pytorch #188344: averages of a padded NHWC image", "m2h8w11c5_f2s2", "average", "p1"),
    ("padded-gaps", "composable_kernel #105: gaps must be zero", "m2h8w11c4_f2s3", "average", "p1"),
    ("padded-resnet", "the pool of a residual network's stem", "m2h9w11c17_f3s2", "max", "p1"),
    ("padded-half", "mxnet #6191, Knet #182: the lowest number leaks", "m3h5w7c4_f4s1", "max", "p2"),
    ("border-not-counted", "TensorFlow SAME, ONNX default", "m2h9w7c5_f4s2", "average", "p2_exclude"),
    ("window-2x4", "pytorch #36820: rows and columns exchanged", "m2h9w7c3_f2x4s1x2", "average", ""),
    ("window-3x2", "pytorch #36820: rows and columns exchanged", "m2h8w11c5_f3x2s2x1", "max", "p0x1"),
    ("dilated", "taps apart from each other", "m2h9w11c5_f3s1", "max", "d2x3"),
    ("ceil-last-outside", "pytorch #45357, #88144; Paddle #51542", "m2h4w7c3_f2s5", "max", "p1_ceil"),
    ("ceil-overhang-divisor", "coremltools #2844, rten #1456", "m2h6w9c4_f4s3", "average", "ceil"),
    ("ceil-padded-divisor", "torch-mlir #4144, xla #746", "m2h6w8c3_f4s3", "average", "p1_ceil"),
    ("ceil-window-above-input", "pytorch #88464: a size below zero", "m3h2w5c4_f3s2", "max", "ceil"),
    ("sides", "padding below and to the right alone", "m2h5w8c4_f2s2", "average", "p0.1.0.1"),
    ("same-even-window", "ONNX SAME_UPPER against SAME_LOWER", "m2h7w5c3_f4s2", "max", "psame-lower"),
)
POOL_EMPTY = (
    ("empty-batch", EMPTY, "m0h5w7c3_f2s2"),
    ("no-channels", "torch refuses an image without channels", "m2h5w7c0_f2s2"),
)

LOSS_OPTIONS = (
    *((f"smoothed-{n}", TAILS, f"m4n{n}_smooth0.1") for n in (2, 9, 16, 33)),
    ("smoothed-rows", "pytorch #63122: the mean of smoothed rows", "m33n10_smooth0.25"),
    (
        "ignored-below",
        "pytorch #69339, FlagGems #73: -100 gathered, and counted in the mean",
        "m33n10_ignore-100",
    ),
    (
        "ignored-above",
        "pytorch #15508: an ignored label above the classes was out of bounds",
        "m33n10_ignore255",
    ),
    ("ignored-class", "pytorch #63004: an ignored class keeps its part of the other rows", "m33n10_ignore3"),
    (
        "smoothed-ignored",
        "pytorch #73205, tinygrad #3570: the shared part of ignored rows counted",
        "m33n10_smooth0.1_ignore-100",
    ),
    ("smoothed-ignored-class", "pytorch #73205, sockeye #200", "m31n9_smooth0.25_ignore1"),
    ("large-smoothed-ignored", LARGE, "m9000n3_smooth0.1_ignore1"),
)


def images(
    *families: str,
    lanes: str = TAILS,
    pads: tuple[int, ...] = (),
    words: tuple[str, ...] = ("",),
    sizes: Sequence[corner_sizes.Size] = corner_sizes.IMAGES,
) -> Iterator[tuple[str, str, str, str]]:
    """The corners of an operation on images, in data of `families`, the first of which goes with every shape.

    With `pads` there is a padding beside the image; `words` are what a case ends in.
    """
    pad = "_p1" if pads else ""
    for word in words:
        end = f"_{word}" if word else ""
        for c in WIDTHS:
            for family in families:
                yield f"lanes-{c}", lanes, f"m1h1w1c{c}{pad}{end}", family
        for name, shape in (("one-row", "m2h1w5c3"), ("one-column", "m2h5w1c3"), ("one-sample", "m1h4w5c3")):
            yield name, POST, f"{shape}{pad}{end}", families[0]
        yield "large", LARGE, f"m3h60w61c9{pad}{end}", families[0]
        yield "empty-batch", EMPTY, f"m0h4w5c3{pad}{end}", "normal"
        yield "no-channels", "nothing in, nothing out", f"m2h4w5c0{pad}{end}", "normal"
        for p in pads:
            yield f"padding-{p}", PADDING, f"m2h4w3c5_p{p}{end}", families[0]
    padded = [(name, source, params + pad) for name, source, params in sizes]
    yield from corner_sizes.ended(padded, "normal", *filter(None, words))


def windows(*families: str) -> Iterator[tuple[str, str, str, str]]:
    """The corners of an operation on one window."""
    for shape in ("h1w1", "h1w5", "h6w1", "h2w2", "h4w4", "h3w7", "h8w17"):
        for family in families:
            yield f"window-{shape}", POST, shape, family
    yield from corner_sizes.ended(corner_sizes.WINDOWS, families[0])


def rows(*families: str, options: bool = False) -> Iterator[tuple[str, str, str, str]]:
    """The corners of an operation on the rows of a matrix; with `options` those of a loss."""
    for n in WIDTHS:
        for family in families:
            # One class cannot be missing, masked or impossible.
            if n > 1 or family not in ("masked", "missing", "impossible"):
                yield f"classes-{n}", "pytorch #25110, #131060, tensorflow #11756", f"m4n{n}", family
    for m in (1, 31, 32, 33):
        yield f"rows-{m}", "tt-metal #53209: rows that are no multiple of 32", f"m{m}n10", families[0]
    yield "empty-batch", "pytorch #70348, #116349: the mean of no rows", "m0n5", families[0]
    for params in ("m9000n3", "m60n700"):
        yield "large", LARGE, params, families[0]
    for name, source, params in LOSS_OPTIONS if options else ():
        yield name, source, params, families[0]
    yield from corner_sizes.ended(corner_sizes.ROWS, families[0])
    if options:
        for params in ("m9n5_ignore-100", "m4n7_ignore2", "m5n3_smooth0.1_ignore-1"):
            yield "all-ignored", "pytorch #70348: the mean of no row", params, "all-ignored"
        yield from corner_sizes.ended(corner_sizes.LOSSES, families[0])
