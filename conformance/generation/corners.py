"""The corner cases: shapes and data that broke real kernels, each with its name and where it was seen.

They run first in every run, whatever the seed. The shapes of windows stand in `corner_shapes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.generation import corner_shapes as shapes
from conformance.generation import groups
from conformance.generation.corner_shapes import EMPTY, LARGE, PADDING, POST, TAILS, WIDTHS
from conformance.operations import OPERATIONS, WORDS


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
        return Case(self.op, dtype, _parsed(self.op, self.params), self.family, seed)


@cache
def _parsed(op: str, params: str) -> tuple[tuple[str, Value], ...]:
    return Case.parse(f"{op}:f32:{params}:normal:0").params


@cache
def corners(op: str) -> tuple[Corner, ...]:
    """The corner cases of an operation."""
    found = tuple(Corner(name, source, op, params, family) for name, source, params, family in _table(op))
    if len(set(found)) != len({(corner.params, corner.family) for corner in found}):
        raise AssertionError(f"two corners of {op} are the same case")
    return found


def corner_of(case: Case) -> str | None:
    """The name of the corner that `case` is, in any dtype and with any seed."""
    return _names().get((case.op, case.params, case.family))


@cache
def _names() -> dict[tuple[object, ...], str]:
    cases = ((corner.case("f32"), corner.name) for corner in CORNERS)
    return {(case.op, case.params, case.family): name for case, name in cases}


Row = tuple[str, str, str, str]


def _table(op: str) -> Iterator[Row]:
    """(name, source, parameters, family) of each corner of `op`."""
    exact = "wide-g" if op.endswith("backward") else "wide-x"
    if op in ("conv_forward", "conv_backward"):
        for name, source, params in shapes.CONV:
            yield name, source, params, exact
            if not name.startswith(("channels", "1x1-stride-2", "width", "large")):
                yield name, source, params, "normal"
        for name, source, params in shapes.CONV_OPTIONS:
            yield name, source, params, exact
        for name, source, params in shapes.CONV_EMPTY:
            yield name, source, params, "normal"
        yield "nan", "nothing meets a zero factor, so NaN has one place", "m2h5w4c3_f2k6_s1p0", "nan"
        yield (
            "infinity",
            "nothing meets a zero factor, so inf has one place",
            "m2h5w4c3_f2k6_s1p0",
            "infinity",
        )
    elif op.startswith("conv_transpose"):
        for name, source, params in shapes.TRANSPOSE:
            yield name, source, params, exact
        for name, source, params in shapes.TRANSPOSE_EMPTY:
            yield name, source, params, "normal"
        for family in ("nan", "infinity"):
            yield family, "nothing meets a zero factor, so it has one place", "m2h4w5c3_f2k6_s2p0", family
    elif op.startswith("pool"):
        yield from _pool_table(exact)
    elif op.startswith("affine"):
        yield from _affine_table(op, exact)
    elif op.startswith(("softmax", "log_softmax", "cross_entropy")):
        yield from _rows_table(op)
    elif op.startswith("batch_norm"):
        yield from _norm_table()
    else:
        for word in WORDS.get(OPERATIONS[op].grammar[-1][0], ("",)):
            for name, source, params, family in _plain_table(op):
                yield name, source, f"{params}_{word}" if word else params, family


def _pool_table(exact: str) -> Iterator[Row]:
    for mode in ("max", "average"):
        for name, source, params in shapes.POOL:
            yield name, source, f"{params}_{mode}", exact
        for name, source, params in shapes.POOL_EMPTY:
            yield name, source, f"{params}_{mode}", "normal"
        yield "inexact-divisor", "1/9 is rounded", f"m2h7w5c4_f3s2_{mode}", "normal"
        yield "infinity", "inf - inf within one window", f"m2h5w4c3_f2s1_{mode}", "infinity"
    for name, source, params, mode, options in shapes.POOL_OPTIONS:
        yield name, source, "_".join(filter(None, (params, mode, options))), exact
    for params in ("m2h6w7c9_f3s2_max_p1", "m3h5w7c17_f3s1_max_p1.0.0.1"):
        for family in ("negative", "lowest"):
            source = "pytorch #33384, #41294: padding must not win, nor take the gradient"
            yield f"padded-{family}", source, params, family
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
    yield "huge-average", "candle #3719, MIOpen #2109: the sum overflows", "m2h7w5c4_f3s2_average", "huge"
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
        *((f"inputs-{i}", TAILS, f"m4i{i}o6") for i in WIDTHS),
        *((f"outputs-{o}", TAILS, f"m4i6o{o}") for o in WIDTHS),
        ("one-sample", "a vector times a matrix", "m1i7o5"),
        ("many-samples", "more samples than a block holds", "m67i3o5"),
        ("one-weight", "a scalar times a scalar", "m1i1o1"),
        ("large", LARGE, "m150i260o70"),
        ("empty-batch", EMPTY, "m0i7o5"),
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
    for params in ("m9000n3", "m60n700"):
        yield "large", LARGE, params, families[0]
    if "cross_entropy" in op:
        for name, source, params in shapes.LOSS_OPTIONS:
            yield name, source, params, families[0]


def _norm_table() -> Iterator[Row]:
    for word in WORDS["statistics"]:
        for c in WIDTHS:
            yield f"lanes-{c}", TAILS, f"m2h3w4c{c}_{word}", "normal"
        for family in ("offset", "flat", "magnitudes"):
            for params in ("m2h3w4c5", "m3h7w5c17"):
                yield family, "Chan, Golub & LeVeque 1983", f"{params}_{word}", family
        yield (
            "one-pixel",
            "fully connected layers: statistics over samples alone",
            f"m5h1w1c3_{word}",
            "normal",
        )
        yield "one-sample", "statistics over pixels alone", f"m1h4w5c3_{word}", "normal"
        yield "two-values", "the unbiased variance is twice the biased one", f"m2h1w1c3_{word}", "normal"
        yield "many-pixels", "more than one chunk of a sum", f"m2h33w17c1_{word}", "normal"
    yield "empty-batch", EMPTY, "m0h4w5c3_inference", "normal"
    yield "no-channels", "nothing in, nothing out", "m2h4w5c0_inference", "normal"


def _plain_table(op: str) -> Iterator[Row]:
    grammar = OPERATIONS[op].grammar[0]
    pad = "_p1" if "p" in OPERATIONS[op].parameters else ""
    if op == "conv_single_step":
        for c in WIDTHS:
            yield f"channels-{c}", TAILS, f"f3c{c}", "wide-x"
        for f in (1, 2, 5, 7):
            yield f"window-{f}", "the post's one step", f"f{f}c4", "wide-x"
        yield "one-weight", "a scalar times a scalar", "f1c1", "normal"
        yield "no-channels", "the sum over no channel is b", "f3c0", "normal"
    elif grammar == ("h", "w"):
        shapes = ("h1w1", "h1w5", "h6w1", "h2w2", "h4w4", "h3w7", "h8w17")
        mask = op == "create_mask_from_window"
        for shape in shapes:
            for family in ("wide-x",) if not mask else ("coordinates", "ties", "nan", "lowest", "negative"):
                yield f"window-{shape}", POST, shape, family
    else:
        families = {
            "relu": ("zeros", "nan", "infinity", "subnormal"),
            "relu_backward": ("zeros", "nan", "infinity", "subnormal"),
            "sigmoid": ("saturated", "nan", "infinity", "subnormal"),
            "sigmoid_backward": ("saturated", "nan", "infinity", "subnormal"),
            **{f"tanh{way}": ("saturated", "nan", "infinity", "subnormal") for way in ("", "_backward")},
            **{name: ("saturated", "nan", "subnormal") for name in groups.UNITS},
            **{name: ("small",) for name in groups.GLOBAL},
        }.get(op, ("coordinates",))
        lanes = {
            "relu": "tensorflow #40072, mxnet #11115, NNlib.jl #509, burn #5658",
            "relu_backward": "Paddle #65999, tt-metal #57455, jax #37821",
            "sigmoid": "tt-metal #51543, Vc #273, dotnet/runtime #107838",
            "sigmoid_backward": "tt-metal #51543, Vc #273",
        }.get(op, TAILS)
        for c in WIDTHS:
            for family in families:
                yield f"lanes-{c}", lanes, f"m1h1w1c{c}{pad}", family
        for name, shape in (("one-row", "m2h1w5c3"), ("one-column", "m2h5w1c3"), ("one-sample", "m1h4w5c3")):
            yield name, POST, shape + pad, families[0]
        yield "large", LARGE, f"m3h60w61c9{pad}", families[0]
        yield "empty-batch", EMPTY, f"m0h4w5c3{pad}", "normal"
        yield "no-channels", "nothing in, nothing out", f"m2h4w5c0{pad}", "normal"
        for p in (0, 2, 7) if pad else ():
            yield f"padding-{p}", PADDING, f"m2h4w3c5_p{p}", "coordinates"


#: Every corner case.
CORNERS: tuple[Corner, ...] = tuple(corner for op in OPERATIONS for corner in corners(op))
