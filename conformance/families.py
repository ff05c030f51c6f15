"""The data families: which values the arrays of a case hold, and which tier judges them.

A family fills each part of an operation: x (the input), w (the weights), b (the bias), g (the upstream
gradient), al (probabilities) and y (labels). It leaves out every operation and parameter for which right
implementations answer differently: NaN and infinities never meet padding or a zero factor, because
``0 * inf`` is NaN for a kernel that multiplies the zero and nothing for one that skips it.
"""

from __future__ import annotations

from conformance import fills
from conformance.case import Case
from conformance.family import Family, maximum, no_zero_factor, not_squashed, several_classes, squashed
from conformance.operations import OPERATIONS
from conformance.window import divisors_of

_CONV = ("conv_single_step", "conv_forward", "conv_backward")
_AFFINE = ("affine_forward", "affine_backward")
_ACTIVATED = ("affine_activation_forward", "affine_activation_backward")
_SUMS = (*_CONV, *_AFFINE, *_ACTIVATED)
_BACKWARD_SUMS = ("conv_backward", "affine_backward", "affine_activation_backward")
_POOL = ("pool_forward", "pool_backward")
_RELU = ("relu", "relu_backward")
_SIGMOID = ("sigmoid", "sigmoid_backward")
_MOVES = ("pad3d", "pad3d_backward", "arr2col", "col2arr")
_MASK = "create_mask_from_window"
_SHARE = "distribute_value"
_SOFTMAX = ("softmax", "softmax_backward", "softmax_cross_entropy_backward")
_LOSS = ("cross_entropy_cost", "cross_entropy_backward")
_PLAIN = tuple(name for name in OPERATIONS if name not in _LOSS)


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
    if case.op in _SIGMOID or case.op in _SOFTMAX or case.op in _LOSS:
        return False
    if fills.longest_sum(case) > fills.LONGEST_EXACT:
        return False
    if case.op in _ACTIVATED:
        return case.word("activation") != "sigmoid"
    divisors = {1}
    if case.op in _POOL and case.word("mode") == "average":
        divisors = divisors_of(case)
    elif case.op == _SHARE:
        divisors = {case["h"] * case["w"]}
    # The units of `subnormal_integers` leave four bits, every other exact family more.
    return all(divisor & (divisor - 1) == 0 and divisor <= 16 for divisor in divisors)


def _sums(case: Case) -> bool:
    if case.op in _ACTIVATED:
        return case.word("activation") != "sigmoid"
    return case.op in _SUMS or (case.op in _POOL and case.word("mode") == "average")


_WIDE = "exact sums by oneDNN benchdnn (utils/cfg.hpp); wide integers also show bfloat16 and TF32 inputs"
_SPECIAL = "torch's answer; tensorflow #125965, pytorch #40131"

_TABLE = (
    Family(
        "small",
        "exact",
        "integers of +-1 to +-7, none of them zero",
        (*_SUMS, *_POOL, *_RELU, *_MOVES, _MASK),
        dict.fromkeys("xwbg", fills.small_integers),
        "oneDNN benchdnn, utils/cfg.hpp",
        not_squashed,
    ),
    Family(
        "wide-x",
        "exact",
        "input of odd 12-bit integers (40 for float64) against +-1",
        (*_SUMS, *_POOL, _SHARE),
        {"x": fills.wide_integers, "w": fills.signs, "b": fills.wide_integers, "g": fills.signs},
        _WIDE,
        not_squashed,
    ),
    Family(
        "wide-w",
        "exact",
        "weights of odd 12-bit integers (40 for float64) against +-1",
        _SUMS,
        {"x": fills.signs, "w": fills.wide_integers, "b": fills.wide_integers, "g": fills.signs},
        _WIDE,
        not_squashed,
    ),
    Family(
        "wide-g",
        "exact",
        "upstream gradient of odd 12-bit integers (40 for float64) against +-1",
        (*_BACKWARD_SUMS, "pool_backward"),
        {"x": fills.signs, "w": fills.signs, "b": fills.signs, "g": fills.wide_integers},
        _WIDE,
        not_squashed,
    ),
    Family(
        "one-hot",
        "exact",
        "one weight per filter and one upstream entry that is not zero, input with full mantissa",
        (*_SUMS, "pool_backward"),
        {"w": fills.one_tap, "b": fills.zero, "g": fills.one_hot},
        "torch-mlir #655: a single tap says which one is wrong",
        not_squashed,
    ),
    Family(
        "coordinates",
        "exact",
        "the input counts 1, 2, 3, ..., so a value says where it came from",
        (*_CONV, *_AFFINE, *_POOL, *_MOVES, _MASK),
        {"x": fills.coordinates, "w": fills.signs, "b": fills.signs, "g": fills.small_integers},
        "oneDNN benchdnn, fill by position",
    ),
    Family(
        "ties",
        "exact",
        "-1, 0 and 1: several maxima in most windows",
        (*_POOL, *_RELU, _MASK),
        {"x": fills.few_values, "g": fills.small_integers},
        "Theano #4886: which maximum gets the gradient",
    ),
    Family(
        "zeros",
        "bound",
        "what a relu leaves: half zeros, +0 and -0",
        (*_SUMS, *_POOL, *_RELU, _MASK),
        {"x": fills.rectified},
        "mxnet #11115, NNlib.jl #509",
    ),
    Family(
        "negative",
        "bound",
        "all negative: no maximum may start from zero",
        (*_POOL, *_RELU, _MASK),
        {"x": fills.negative},
        "pytorch #33384, tensorflow #10216",
    ),
    Family("normal", "statistical", "zero-mean, nearly normal, full mantissa", _PLAIN),
    Family(
        "positive",
        "bound",
        "all positive, full mantissa: rounding errors add up",
        (*_SUMS, *_POOL, *_SIGMOID),
        dict.fromkeys("xwbg", fills.positive),
    ),
    Family(
        "magnitudes",
        "bound",
        "magnitudes of 10**-4 to 10**4, log-normal-like, random signs",
        (*_PLAIN, *_LOSS),
        {**dict.fromkeys("xwbg", fills.magnitudes), "al": fills.uneven},
    ),
    Family(
        "cancelling",
        "bound",
        "sums cancel to a thousandth of their terms",
        _SUMS,
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
        (*_CONV, *_AFFINE, *_ACTIVATED, *_POOL, *_RELU, *_SIGMOID, *_MOVES, _MASK, _SHARE),
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
        (*_CONV, *_AFFINE, *_ACTIVATED, *_POOL, *_RELU, *_SIGMOID, "arr2col", _MASK),
        {"x": fills.with_nan},
        _SPECIAL,
        no_zero_factor,
    ),
    Family(
        "infinity",
        "bound",
        "infinities at the corners of the input",
        (*_CONV, *_AFFINE, *_POOL, *_RELU, *_SIGMOID, "arr2col", _MASK),
        {"x": fills.with_infinities},
        _SPECIAL,
        no_zero_factor,
    ),
    Family(
        "lowest",
        "bound",
        "-inf in a third of the input and in every entry of one channel",
        (*_POOL, _MASK),
        {"x": fills.with_lowest},
        "pytorch #40131, Caffe pooling_layer.cpp",
        maximum,
    ),
    Family(
        "saturated",
        "bound",
        "arguments round 16, 88, 104, 709, 745 and 10000 of either sign",
        _SIGMOID,
        {"x": fills.saturating},
        "tt-metal #51543, Vc #273, dotnet/runtime #107838",
    ),
    Family(
        "large",
        "bound",
        "inputs and weights of about 10: the sigmoid saturates",
        _ACTIVATED,
        {"x": fills.large, "w": fills.large},
        "",
        squashed,
    ),
    Family(
        "overflow",
        "bound",
        "rows shifted by +-1000 or +-10000: a softmax without the shift overflows",
        _SOFTMAX,
        {"x": fills.shifted_rows},
        "tensorflow #11756, XNNPACK softmax-operator-tester.h",
    ),
    Family(
        "constant",
        "bound",
        "rows of equal logits",
        _SOFTMAX,
        {"x": fills.constant_rows},
        "pytorch #25110",
    ),
    Family(
        "masked",
        "bound",
        "one logit of each row is -inf",
        _SOFTMAX,
        {"x": fills.masked_logits},
        "pytorch #25110",
        several_classes,
    ),
    Family("probabilities", "bound", "rows of probabilities, any label", _LOSS),
    Family(
        "missing",
        "bound",
        "labels leave out class 0 and every even class",
        (*_LOSS, "softmax_cross_entropy_backward"),
        {"y": fills.few_labels},
        "the post takes the label's rank among those present",
        several_classes,
    ),
    Family(
        "tiny",
        "bound",
        "probabilities down to the subnormal ones: a clipped logarithm shows",
        _LOSS,
        {"al": fills.tiny},
        "Keras clips probabilities at 1e-7",
    ),
    Family(
        "certain",
        "bound",
        "probability one for every label: the loss is zero",
        _LOSS,
        {"al": fills.certain, "y": fills.likeliest},
    ),
    Family(
        "impossible",
        "bound",
        "probability zero for the first label: the loss is infinite",
        _LOSS,
        {"al": fills.certain, "y": fills.unlikeliest},
        "torch's answer: log 0 is -inf",
        several_classes,
    ),
)

#: The families by name.
FAMILIES: dict[str, Family] = {family.name: family for family in _TABLE}
