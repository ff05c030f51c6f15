"""The data families: which values the arrays of a case hold, and which tier judges them.

A family fills each part of an operation: x (the input), w (the weights), b (the bias), g (the upstream
gradient), al (probabilities) and y (labels). It leaves out every operation and parameter for which right
implementations answer differently: NaN and infinities never meet padding or a zero factor, because
``0 * inf`` is NaN for a kernel that multiplies the zero and nothing for one that skips it.
"""

from __future__ import annotations

from conformance import fills, groups
from conformance.case import Case
from conformance.family import Family, maximum, no_zero_factor, not_squashed, several_classes, squashed
from conformance.window import divisors_of


def kind_of(case: Case) -> str:
    """The tier that judges `case`: its family's kind, as far as the operation lets it hold.

    Sums of integers are exact until something divides or exponentiates them: average pooling is exact for
    windows of a power of two elements only. Rounding errors add like a random walk in sums of products
    alone, so only those have a statistical bound.
    """
    kind = FAMILIES[case.family].kind
    if kind == "exact" and not _exact(case):
        return "bound"
    if kind == "statistical" and not _sums(case):
        return "bound"
    return kind


def _exact(case: Case) -> bool:
    if case.op in (*groups.SIGMOID, *groups.UNITS, *groups.NORM, *groups.SOFTMAX, *groups.LOSS):
        return False
    if fills.longest_sum(case) > fills.LONGEST_EXACT:
        return False
    if case.op in groups.ACTIVATED:
        return case.word("activation") != "sigmoid"
    divisors = {1}
    if case.op in groups.POOL and case.word("mode") == "average":
        divisors = divisors_of(case)
    elif case.op in (groups.SHARE, *groups.GLOBAL):
        divisors = {case["h"] * case["w"]}
    # The units of `subnormal_integers` leave four bits, every other exact family more.
    return all(divisor & (divisor - 1) == 0 and divisor <= 16 for divisor in divisors)


def _sums(case: Case) -> bool:
    if case.op in groups.ACTIVATED:
        return case.word("activation") != "sigmoid"
    if case.op == "global_average_pool_forward":
        return True
    return case.op in groups.SUMS or (case.op in groups.POOL and case.word("mode") == "average")


_WIDE = "exact sums by oneDNN benchdnn (utils/cfg.hpp); wide integers also show bfloat16 and TF32 inputs"
_SPECIAL = "torch's answer; tensorflow #125965, pytorch #40131"

_TABLE = (
    Family(
        "small",
        "exact",
        "integers of +-1 to +-7, none of them zero",
        (*groups.SUMS, *groups.POOL, *groups.GLOBAL, *groups.RELU, *groups.MOVES, groups.MASK),
        dict.fromkeys("xwbg", fills.small_integers),
        "oneDNN benchdnn, utils/cfg.hpp",
        not_squashed,
    ),
    Family(
        "wide-x",
        "exact",
        "input of odd 12-bit integers (40 for float64) against +-1",
        (*groups.SUMS, *groups.POOL, groups.SHARE),
        {"x": fills.wide_integers, "w": fills.signs, "b": fills.wide_integers, "g": fills.signs},
        _WIDE,
        not_squashed,
    ),
    Family(
        "wide-w",
        "exact",
        "weights of odd 12-bit integers (40 for float64) against +-1",
        groups.SUMS,
        {"x": fills.signs, "w": fills.wide_integers, "b": fills.wide_integers, "g": fills.signs},
        _WIDE,
        not_squashed,
    ),
    Family(
        "wide-g",
        "exact",
        "upstream gradient of odd 12-bit integers (40 for float64) against +-1",
        (*groups.BACKWARD_SUMS, "pool_backward"),
        {"x": fills.signs, "w": fills.signs, "b": fills.signs, "g": fills.wide_integers},
        _WIDE,
        not_squashed,
    ),
    Family(
        "one-hot",
        "exact",
        "one weight per filter and one upstream entry that is not zero, input with full mantissa",
        (*groups.SUMS, "pool_backward"),
        {"w": fills.one_tap, "b": fills.zero, "g": fills.one_hot},
        "torch-mlir #655: a single tap says which one is wrong",
        not_squashed,
    ),
    Family(
        "coordinates",
        "exact",
        "the input counts 1, 2, 3, ..., so a value says where it came from",
        (*groups.CONV, *groups.AFFINE, *groups.POOL, *groups.MOVES, groups.MASK),
        {"x": fills.coordinates, "w": fills.signs, "b": fills.signs, "g": fills.small_integers},
        "oneDNN benchdnn, fill by position",
    ),
    Family(
        "ties",
        "exact",
        "-1, 0 and 1: several maxima in most windows",
        (*groups.POOL, *groups.RELU, groups.MASK),
        {"x": fills.few_values, "g": fills.small_integers},
        "Theano #4886: which maximum gets the gradient",
    ),
    Family(
        "zeros",
        "bound",
        "what a relu leaves: half zeros, +0 and -0",
        (*groups.SUMS, *groups.POOL, *groups.RELU, *groups.UNITS, groups.MASK),
        {"x": fills.rectified},
        "mxnet #11115, NNlib.jl #509",
    ),
    Family(
        "negative",
        "bound",
        "all negative: no maximum may start from zero",
        (*groups.POOL, *groups.RELU, groups.MASK),
        {"x": fills.negative},
        "pytorch #33384, tensorflow #10216",
    ),
    Family("normal", "statistical", "zero-mean, nearly normal, full mantissa", groups.PLAIN),
    Family(
        "positive",
        "bound",
        "all positive, full mantissa: rounding errors add up",
        (*groups.SUMS, *groups.POOL, *groups.GLOBAL, *groups.SIGMOID, *groups.UNITS),
        dict.fromkeys("xwbg", fills.positive),
    ),
    Family(
        "magnitudes",
        "bound",
        "magnitudes of 10**-4 to 10**4, log-normal-like, random signs",
        (*groups.PLAIN, *groups.LOSS),
        {**dict.fromkeys("xwbg", fills.magnitudes), "al": fills.uneven},
    ),
    Family(
        "cancelling",
        "bound",
        "sums cancel to a thousandth of their terms",
        groups.SUMS,
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
            *groups.CONV,
            *groups.AFFINE,
            *groups.ACTIVATED,
            *groups.POOL,
            *groups.RELU,
            *groups.SIGMOID,
            *groups.UNITS,
            *groups.MOVES,
            groups.MASK,
            groups.SHARE,
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
            *groups.CONV,
            *groups.AFFINE,
            *groups.ACTIVATED,
            *groups.POOL,
            *groups.RELU,
            *groups.SIGMOID,
            *groups.UNITS,
            "arr2col",
            groups.MASK,
        ),
        {"x": fills.with_nan},
        _SPECIAL,
        no_zero_factor,
    ),
    Family(
        "infinity",
        "bound",
        "infinities at the corners of the input",
        (*groups.CONV, *groups.AFFINE, *groups.POOL, *groups.RELU, *groups.SIGMOID, "arr2col", groups.MASK),
        {"x": fills.with_infinities},
        _SPECIAL,
        no_zero_factor,
    ),
    Family(
        "lowest",
        "bound",
        "-inf in a third of the input and in every entry of one channel",
        (*groups.POOL, groups.MASK),
        {"x": fills.with_lowest},
        "pytorch #40131, Caffe pooling_layer.cpp",
        maximum,
    ),
    Family(
        "offset",
        "bound",
        "a mean of 1000 standard deviations: the difference of two means has no digits left",
        groups.NORM,
        {"x": fills.offset},
        "Chan, Golub & LeVeque 1983",
    ),
    Family(
        "flat",
        "bound",
        "one value throughout each channel: no variance but epsilon",
        groups.NORM,
        {"x": fills.constant_channels},
        "a constant channel after a relu",
    ),
    Family(
        "saturated",
        "bound",
        "arguments round 16, 88, 104, 709, 745 and 10000 of either sign",
        (*groups.SIGMOID, *groups.UNITS),
        {"x": fills.saturating},
        "tt-metal #51543, Vc #273, dotnet/runtime #107838",
    ),
    Family(
        "large",
        "bound",
        "inputs and weights of about 10: the sigmoid saturates",
        groups.ACTIVATED,
        {"x": fills.large, "w": fills.large},
        "",
        squashed,
    ),
    Family(
        "overflow",
        "bound",
        "rows shifted by +-1000 or +-10000: a softmax without the shift overflows",
        groups.SOFTMAX,
        {"x": fills.shifted_rows},
        "tensorflow #11756, XNNPACK softmax-operator-tester.h",
    ),
    Family(
        "constant",
        "bound",
        "rows of equal logits",
        groups.SOFTMAX,
        {"x": fills.constant_rows},
        "pytorch #25110",
    ),
    Family(
        "masked",
        "bound",
        "one logit of each row is -inf",
        groups.SOFTMAX,
        {"x": fills.masked_logits},
        "pytorch #25110",
        several_classes,
    ),
    Family("probabilities", "bound", "rows of probabilities, any label", groups.LOSS),
    Family(
        "missing",
        "bound",
        "labels leave out class 0 and every even class",
        (*groups.LOSS, "softmax_cross_entropy_backward"),
        {"y": fills.few_labels},
        "the post takes the label's rank among those present",
        several_classes,
    ),
    Family(
        "tiny",
        "bound",
        "probabilities down to the subnormal ones: a clipped logarithm shows",
        groups.LOSS,
        {"al": fills.tiny},
        "Keras clips probabilities at 1e-7",
    ),
    Family(
        "certain",
        "bound",
        "probability one for every label: the loss is zero",
        groups.LOSS,
        {"al": fills.certain, "y": fills.likeliest},
    ),
    Family(
        "impossible",
        "bound",
        "probability zero for the first label: the loss is infinite",
        groups.LOSS,
        {"al": fills.certain, "y": fills.unlikeliest},
        "torch's answer: log 0 is -inf",
        several_classes,
    ),
)

#: The families by name.
FAMILIES: dict[str, Family] = {family.name: family for family in _TABLE}
