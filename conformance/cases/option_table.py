"""The options that operations have (`conformance.cases.options`), and the values a run draws for each."""

from __future__ import annotations

from conformance.cases.options import Option, Params, Value


def _window_kind(params: Params) -> str:
    f = params["f"]
    if isinstance(f, tuple):
        return "tall" if f[0] > f[1] else "wide"
    return "square"


def _group_kind(params: Params) -> str:
    g, c, k = params.get("g", 1), params["c"], params["k"]
    if g == 1:
        return "one"
    if g != c:
        return "several"
    return "depthwise" if k == c else "multiplied"


def _draw_groups(kind: str, params: Params, number: int) -> dict[str, Value]:
    if kind == "one":
        return {"g": 1}
    if kind == "several":
        g = (2, 3, 4)[number % 3]
        return {"g": g, "c": g * (2, 3, 4, 5)[number // 3 % 4], "k": g * (1, 2, 3, 7)[number // 12 % 4]}
    c = (3, 5, 8, 16, 17, 24, 33)[number % 7]
    return {"g": c, "c": c, "k": c if kind == "depthwise" else c * (2, 3)[number // 7 % 2]}


_PAIRS: tuple[Value, ...] = ((2, 1), (1, 2), (3, 2))
_SAME: dict[str, tuple[Value, ...]] = {
    "same": ("same",),  # an odd pixel at the bottom and right
    "same-lower": ("same_lower",),  # at the top and left
    "valid": ("valid",),
}

WINDOW = Option(
    "f",
    "f",
    "window: rows x columns",
    {"square": (), "tall": ((5, 3), (3, 2), (4, 1)), "wide": ((2, 3), (3, 5), (1, 4))},
    kind=_window_kind,
)
STRIDE = Option(
    "s", "stride", "stride: rows x columns", {"one": (1,), "more": (2, 3), "pair": _PAIRS}, plain=2
)
PADDING = Option(
    "p",
    "pad",
    "padding: rows x columns, or top.bottom.left.right, or a rule",
    {
        "none": (0,),
        "even": (1, 2),
        "pair": ((1, 2), (2, 0), (0, 1)),
        "sides": ((1, 2, 0, 1), (0, 1, 2, 0)),
        **_SAME,
    },
    plain=2,
)
TRANSPOSE_PADDING = Option(
    "p",
    "pad",
    "padding of the convolution that is transposed, taken off: rows x columns, or top.bottom.left.right",
    {name: kind for name, kind in PADDING.kinds.items() if name not in _SAME},
    plain=2,
)
POOL_PADDING = Option(
    "p",
    "pad",
    PADDING.text,
    {
        "none": (0,),
        "even": (1, 2),
        "pair": ((1, 0), (0, 1), (1, 2)),
        "sides": ((1, 0, 0, 1), (0, 1, 1, 0)),
        **_SAME,
    },
    default=0,
)
DILATION = Option(
    "d",
    "dilation",
    "dilation: rows x columns",
    {"dense": (1,), "dilated": (2, 3), "pair": _PAIRS},
    default=1,
)
GROUPS = Option(
    "g",
    "groups",
    "groups of channels",
    {"one": (), "several": (2, 3, 4), "depthwise": (), "multiplied": ()},
    default=1,
    kind=_group_kind,
    draw=_draw_groups,
)
OUTPUT_PADDING = Option(
    "e",
    "output_padding",
    "rows x columns more at the bottom and right",
    {"none": (0,), "some": (1,), "pair": ((1, 0), (0, 1), (1, 2))},
    default=0,
)
CEIL = Option(
    "rounding",
    "ceil_mode",
    "rounding of the output's extents",
    {"floor": ("floor",), "ceil": ("ceil",)},
    default="floor",
    bare=True,
)
BORDER = Option(
    "border",
    "count_include_pad",
    "whether an average counts the padding",
    {"include": ("include",), "exclude": ("exclude",)},
    default="include",
    bare=True,
)

NEGATIVE_SLOPE = Option(
    "a",
    "negative_slope",
    "slope below zero",
    {"usual": (0.01,), "other": (0.25, 0.1, 0.3), "below-zero": (-0.1, -1.5), "steep": (1.5, 2, 1)},
    default=0.01,
    plain=4,
)

ALPHA = Option(
    "alpha",
    "alpha",
    "what a unit goes to below zero",
    {"usual": (1,), "other": (0.5, 2, 0.3)},
    default=1,
    plain=2,
)
BETA = Option("beta", "beta", "steepness", {"usual": (1,), "other": (0.5, 2, 0.3)}, default=1, plain=2)
THRESHOLD = Option(
    "thr",
    "threshold",
    "where a softplus is its argument",
    {"usual": (20,), "other": (1, 30)},
    default=20,
    plain=2,
)
MIN_VAL = Option("lo", "min_val", "lower end", {"usual": (-1,), "other": (-0.5, -2, 0)}, default=-1, plain=2)
MAX_VAL = Option("hi", "max_val", "upper end", {"usual": (1,), "other": (0.5, 2, 6)}, default=1, plain=2)

EPSILON = Option(
    "eps",
    "epsilon",
    "what is added to a variance",
    {"usual": (0.01,), "tiny": (1e-12, 1e-8), "small": (1e-5, 1e-6, 0.001), "large": (0.1,)},
    default=0.01,
    plain=4,
)
MOMENTUM = Option(
    "mom",
    "momentum",
    "weight of the batch in the running statistics",
    {"usual": (0.2,), "none": (0,), "all": (1,), "other": (0.1, 0.9, 0.01)},
    default=0.2,
    plain=4,
)


def _ignore_kind(params: Params) -> str:
    value, classes = params.get("ignore", "none"), params["n"]
    if not isinstance(value, int) or not isinstance(classes, int):
        return "none"
    return "class" if 0 <= value < classes else "outside"


LABEL_SMOOTHING = Option(
    "smooth",
    "label_smoothing",
    "the part of each label that all classes share",
    {"none": (0,), "some": (0.1, 0.25, 0.4)},
    default=0,
)
IGNORED = Option(
    "ignore",
    "ignore_index",
    "a label, a class or none of them, whose rows do not count",
    {"none": ("none",), "outside": (-100, -1), "class": (0, 1)},
    default="none",
    kind=_ignore_kind,
)

_OTHERS = (
    DILATION, GROUPS, OUTPUT_PADDING, CEIL, BORDER, NEGATIVE_SLOPE, MIN_VAL, MAX_VAL, ALPHA, BETA,
    THRESHOLD, EPSILON, MOMENTUM, LABEL_SMOOTHING, IGNORED,
)  # fmt: skip

#: What each parameter letter means, for ``conformance list`` and error messages.
PARAMETERS: dict[str, str] = {
    "m": "samples (batch)",
    "h": "height",
    "w": "width",
    "c": "input channels (n_C_prev)",
    "f": "filter or window size",
    "k": "filters, output channels (n_C)",
    "s": "stride",
    "p": "zero padding on each side",
    "i": "affine inputs (n_prev)",
    "o": "affine outputs (n)",
    "n": "classes",
    "mode": "pooling mode: max or average",
    "activation": "relu, sigmoid or NULL",
    "approximate": "form of gelu: none or tanh",
    "statistics": "of the batch (training) or running (inference)",
    "slopes": "one for each channel (channelwise) or one for all (shared)",
    **{option.name: option.text for option in _OTHERS},
}
