"""The data families: which values the arrays of a case hold, and which tier judges them.

A family fills each part of an operation: x (the input), w (the weights), b (the bias), g (the upstream
gradient), al (probabilities) and y (labels). It leaves out every operation and parameter for which right
implementations answer differently: NaN and infinities never meet padding or a zero factor, because
``0 * inf`` is NaN for a kernel that multiplies the zero and nothing for one that skips it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from conformance.cases.case import FILE, Case
from conformance.cases.window import window_of
from conformance.generation import fills
from conformance.generation.fills import Fill
from conformance.operations import having
from conformance.operations.entry import TRAITS

_DEFAULT: Mapping[str, Fill] = {
    "x": fills.normal,
    "w": fills.normal,
    "b": fills.normal,
    "v": fills.variances,
    "g": fills.normal,
    "t": fills.normal,
    "al": fills.stochastic,
    "y": fills.labels,
}


def always(case: Case) -> bool:
    """Any parameters."""
    return True


def no_zero_factor(case: Case) -> bool:
    """Nothing is multiplied by a zero: no padding, no gaps that fill up a strided gradient or a filter, no
    groups that fill up a filter.
    """
    entry = case.operation
    if "labels" in entry.traits and not none_ignored(case):
        return False
    if "windows" not in entry.traits or "pool" in entry.traits:
        return "pool" in entry.traits or dict(case.params).get("p", 0) == 0
    window = window_of(case)
    if window.padded or not window.dense or case["g"] > 1:
        return False
    return not entry.upstream or "transposed" in entry.traits or window.rows.s == window.columns.s == 1


def none_ignored(case: Case) -> bool:
    """Every row counts: NaN in one that does not is NaN again for who multiplies it by 0."""
    return case.get("ignore", "none") == "none"


def some_ignored(case: Case) -> bool:
    """There is a label whose rows do not count, and more than one row."""
    return not none_ignored(case) and case["m"] > 1


def averaged(case: Case) -> bool:
    """What is summed, and not only compared."""
    return not maximum(case) or "mean" in case.operation.traits or "pool" not in case.operation.traits


def maximum(case: Case) -> bool:
    """Max pooling, or the mask of a maximum."""
    return "mode" not in case.operation.parameters or case.word("mode") == "max"


def squashed(case: Case) -> bool:
    """A sigmoid stands behind the affine layer."""
    return "activation" in case.operation.parameters and case.word("activation") == "sigmoid"


def not_squashed(case: Case) -> bool:
    """Integers are exact, and a sigmoid would turn wide ones into zeros and ones."""
    return not squashed(case)


def several_classes(case: Case) -> bool:
    """A class is left to be missing, masked or impossible."""
    return case["n"] >= 2


@dataclass(frozen=True)
class Family:
    """A data family.

    Attributes
    ----------
    name, description : str
        As ``conformance list`` shows them.
    kind : {"exact", "bound", "statistical"}
        exact: every partial sum is exact in the dtype, whatever the order; bound: judged by the a-priori
        bound; statistical: zero-mean values, judged by the statistical bound too. `conformance.bounds.tier`
        says what holds for one case.
    traits : tuple of str
        Those of the operations it goes with, any one of them (`operations.entry.TRAITS`).
    fills : mapping of str to Fill
        How a part is filled, where that is not the default.
    source : str
        Where the idea or the fault comes from; empty if it is the definition of the function.
    condition : callable
        Which parameters it goes with.
    """

    name: str
    kind: str
    description: str
    traits: tuple[str, ...]
    fills: Mapping[str, Fill] = field(default_factory=dict)
    source: str = ""
    condition: Callable[[Case], bool] = always

    @cached_property
    def operations(self) -> frozenset[str]:
        """The functions it goes with."""
        return frozenset(having(*self.traits))

    def suits(self, case: Case) -> bool:
        """Whether the family goes with the operation and the parameters of `case`."""
        if case.file:
            return self.name == FILE
        return case.op in self.operations and self.condition(case)

    def fill(self, role: str) -> Fill:
        """How the part `role` is filled."""
        return self.fills.get(role, _DEFAULT[role])


#: All but those of probabilities.
PLAIN = tuple(trait for trait in TRAITS if trait not in ("probabilities", "labels", "endless", "inexact"))

_WIDE = "exact sums by oneDNN benchdnn (utils/cfg.hpp); wide integers also show bfloat16 and TF32 inputs"
_SPECIAL = "torch's answer; tensorflow #125965, pytorch #40131"

_TABLE = (
    Family(
        "small",
        "exact",
        "integers of +-1 to +-7, none of them zero",
        ("products", "pool", "global", "kink", "bent", "moves", "mask"),
        dict.fromkeys("xwbg", fills.small_integers),
        "oneDNN benchdnn, utils/cfg.hpp",
        not_squashed,
    ),
    Family(
        "wide-x",
        "exact",
        "input of odd 12-bit integers (40 for float64) against +-1",
        ("products", "pool", "share"),
        {"x": fills.wide_integers, "w": fills.signs, "b": fills.wide_integers, "g": fills.signs},
        _WIDE,
        not_squashed,
    ),
    Family(
        "wide-w",
        "exact",
        "weights of odd 12-bit integers (40 for float64) against +-1",
        ("products",),
        {"x": fills.signs, "w": fills.wide_integers, "b": fills.wide_integers, "g": fills.signs},
        _WIDE,
        not_squashed,
    ),
    Family(
        "wide-g",
        "exact",
        "upstream gradient of odd 12-bit integers (40 for float64) against +-1",
        ("sums upstream",),
        {"x": fills.signs, "w": fills.signs, "b": fills.signs, "g": fills.wide_integers},
        _WIDE,
        not_squashed,
    ),
    Family(
        "one-hot",
        "exact",
        "one weight per filter and one upstream entry that is not zero, input with full mantissa",
        ("products", "sums upstream"),
        {"w": fills.one_tap, "b": fills.zero, "g": fills.one_hot},
        "torch-mlir #655: a single tap says which one is wrong",
        not_squashed,
    ),
    Family(
        "coordinates",
        "exact",
        "the input counts 1, 2, 3, ..., so a value says where it came from",
        ("linear", "pool", "moves", "mask"),
        {"x": fills.coordinates, "w": fills.signs, "b": fills.signs, "g": fills.small_integers},
        "oneDNN benchdnn, fill by position",
    ),
    Family(
        "ties",
        "exact",
        "-1, 0 and 1: several maxima in most windows",
        ("pool", "kink", "bent", "mask", "losses"),
        {"x": fills.few_values, "g": fills.small_integers, "t": fills.few_values},
        "Theano #4886: which maximum gets the gradient",
    ),
    Family(
        "zeros",
        "bound",
        "what a relu leaves: half zeros, +0 and -0",
        ("products", "pool", "kink", "bent", "gate", "mask"),
        {"x": fills.rectified},
        "mxnet #11115, NNlib.jl #509",
    ),
    Family(
        "negative",
        "bound",
        "all negative: no maximum may start from zero",
        ("pool", "kink", "bent", "mask"),
        {"x": fills.negative},
        "pytorch #33384, tensorflow #10216",
    ),
    Family("normal", "statistical", "zero-mean, nearly normal, full mantissa", PLAIN),
    Family(
        "positive",
        "bound",
        "all positive, full mantissa: rounding errors add up",
        ("products", "pool", "global", "kink", "bent", "sigmoid", "gate", "losses"),
        dict.fromkeys("xwbg", fills.positive),
    ),
    Family(
        "huge",
        "bound",
        "all positive, about 1e33 (1e150 for float64, 1e4 for float16): narrower sums overflow",
        ("pool", "global"),
        dict.fromkeys("xg", fills.huge),
        "candle #3719, MIOpen #2109",
        averaged,
    ),
    Family(
        "extremes",
        "bound",
        "the largest numbers, the smallest normal and subnormal ones, of either sign",
        ("kink", "sigmoid", "moves", "mask", "pool"),
        {"x": fills.extremes},
        "burn #5658, jax #37821; a comparison with a large number in the place of infinity",
        maximum,
    ),
    Family(
        "magnitudes",
        "bound",
        "magnitudes of 10**-4 to 10**4, log-normal-like, random signs",
        tuple(TRAITS),
        {**dict.fromkeys("xwbg", fills.magnitudes), "al": fills.uneven},
    ),
    Family(
        "cancelling",
        "bound",
        "sums cancel to a thousandth of their terms",
        ("products",),
        {
            "x": fills.nearly_constant,
            "w": fills.alternating,
            "b": fills.nearly_constant,
            "g": fills.checkered,
        },
        "Higham 2002, section 1.7",
    ),
    Family(
        "subnormal",
        "exact",
        "subnormal input and bias, small integers elsewhere: nothing may be flushed to zero",
        (
            "linear",
            "activated",
            "pool",
            "kink",
            "bent",
            "sigmoid",
            "gate",
            "moves",
            "mask",
            "share",
        ),
        {
            "x": fills.subnormal_integers,
            "w": fills.small_integers,
            "b": fills.subnormal_integers,
            "g": fills.small_integers,
        },
        "burn #5658, jax #37821",
        not_squashed,
    ),
    Family(
        "nan",
        "bound",
        "NaN at the corners of the input",
        (
            "linear",
            "activated",
            "pool",
            "kink",
            "sigmoid",
            "gate",
            "moves anything",
            "mask",
            "logits",
            "norm",
            "mean",
            "share",
            "losses",
        ),
        {"x": fills.with_nan},
        _SPECIAL,
        no_zero_factor,
    ),
    Family(
        "infinity",
        "bound",
        "infinities at the corners of the input",
        ("linear", "pool", "kink", "sigmoid", "moves anything", "mask", "logits", "mean", "share"),
        {"x": fills.with_infinities},
        _SPECIAL,
        no_zero_factor,
    ),
    Family(
        "endless",
        "bound",
        "+inf in the first corner of the input",
        ("endless",),
        {"x": fills.with_infinity},
        _SPECIAL,
    ),
    Family(
        "lowest",
        "bound",
        "-inf in a third of the input and in every entry of one channel",
        ("pool", "mask"),
        {"x": fills.with_lowest},
        "pytorch #40131, Caffe pooling_layer.cpp",
        maximum,
    ),
    Family(
        "offset",
        "statistical",
        "a mean of 1000 standard deviations: the difference of two means has no digits left",
        ("norm",),
        {"x": fills.offset},
        "Chan, Golub & LeVeque 1983",
    ),
    Family(
        "flat",
        "bound",
        "one value throughout what is normalized: no variance but epsilon",
        ("norm",),
        {"x": fills.constant_channels},
        "a constant channel after a relu",
    ),
    Family(
        "saturated",
        "bound",
        "arguments round 16, 88, 104, 709, 745 and 10000 of either sign",
        ("sigmoid", "gate", "bent"),
        {"x": fills.saturating},
        "tt-metal #51543, Vc #273, dotnet/runtime #107838",
    ),
    Family(
        "powers",
        "bound",
        "arguments of either sign so large that their cubes overflow, and their squares do not",
        ("gate",),
        {"x": fills.powers},
        "AiDotNet.Tensors #355: infinity times 0 in the tail of a gradient",
    ),
    Family(
        "large",
        "bound",
        "inputs and weights of about 10: the sigmoid saturates",
        ("activated",),
        {"x": fills.large, "w": fills.large},
        "",
        squashed,
    ),
    Family(
        "overflow",
        "bound",
        "rows shifted by +-1000 or +-10000: a softmax without the shift overflows",
        ("logits",),
        {"x": fills.shifted_rows},
        "tensorflow #11756, XNNPACK softmax-operator-tester.h",
    ),
    Family(
        "constant",
        "bound",
        "rows of equal logits",
        ("logits",),
        {"x": fills.constant_rows},
        "pytorch #25110",
    ),
    Family(
        "masked",
        "bound",
        "one logit of each row is -inf",
        ("logits",),
        {"x": fills.masked_logits},
        "pytorch #25110",
        several_classes,
    ),
    Family(
        "closed",
        "bound",
        "every logit of the first row is -inf: no class is left, and the row is NaN",
        ("logits",),
        {"x": fills.closed_row},
        "pytorch #25110, burn #4697: a row that a mask covers",
        none_ignored,
    ),
    Family(
        "tails",
        "bound",
        "logits as far below the largest as exp reaches: probabilities down to the subnormal ones",
        ("logits",),
        {"x": fills.tails},
        "KernelBench #165: what lies below the tolerance of a check is returned as zero",
    ),
    Family("probabilities", "bound", "rows of probabilities, any label", ("probabilities",)),
    Family(
        "undefined",
        "bound",
        "probability NaN for the first label",
        ("probabilities",),
        {"al": fills.with_nan, "y": fills.undefined},
        _SPECIAL,
        none_ignored,
    ),
    Family(
        "all-ignored",
        "bound",
        "every label is the ignored one: the mean of no row is NaN, its gradient zero",
        ("labels",),
        {"y": fills.all_ignored},
        "pytorch #70348, #116349",
        some_ignored,
    ),
    Family(
        "missing",
        "bound",
        "labels leave out class 0 and every even class",
        ("labels",),
        {"y": fills.few_labels},
        "the post takes the label's rank among those present",
        several_classes,
    ),
    Family(
        "tiny",
        "bound",
        "probabilities down to the subnormal ones: a clipped logarithm shows",
        ("probabilities",),
        {"al": fills.tiny},
        "Keras clips probabilities at 1e-7",
    ),
    Family(
        "certain",
        "bound",
        "probability one for every label: the loss is zero",
        ("probabilities",),
        {"al": fills.certain, "y": fills.likeliest},
    ),
    Family(
        "impossible",
        "bound",
        "probability zero for the first label: the loss is infinite",
        ("probabilities",),
        {"al": fills.certain, "y": fills.unlikeliest},
        "torch's answer: log 0 is -inf",
        several_classes,
    ),
    # Of no operation, so that it is drawn for none: its cases are those of `--inputs`.
    Family(FILE, "bound", "the arrays of the file that the case names", ()),
)

#: The families by name.
FAMILIES: dict[str, Family] = {family.name: family for family in _TABLE}
