"""The one-line name of a case: it reads back, and a wrong one says what is wrong."""

import re

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.generation.corners import CORNERS
from conformance.operations import OPERATIONS, select


def test_text_of_a_case_is_as_documented():
    case = Case.parse("conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17")
    assert (case["m"], case["h"], case["w"], case["c"]) == (2, 9, 7, 3)
    assert (case["f"], case["k"], case["s"], case["p"]) == (3, 4, 2, 1)
    assert (case.op, case.family, case.seed, case.numpy_dtype) == ("conv_forward", "normal", 17, np.float32)
    assert str(case) == "conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17"


@pytest.mark.parametrize("op", OPERATIONS)
def test_every_corner_reads_back(op):
    cases = [corner.case(dtype, 5) for corner in CORNERS if corner.op == op for dtype in ("f32", "f64")]
    assert cases
    for case in cases:
        assert Case.parse(str(case)) == case
        assert Case.parse(f"  {case}\n") == case


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relu:f32:m1h2w3c4:normal", "has 4 fields, expected 5"),
        ("rleu:f32:m1h2w3c4:normal:1", "unknown operation 'rleu'"),
        ("relu:f8:m1h2w3c4:normal:1", "dtype is 'f8', expected one of f32, f64, f16, bf16"),
        ("relu:f32:m1h2w3c4:Normal!:1", "'Normal!' is not a family name"),
        ("relu:f32:m1h2w3c4:normal:-1", "seed is '-1'"),
        ("relu:f32:m1h2w3c4:normal:01", "seed is '01'"),
        ("relu:f32:m1h2w3c4_p1:normal:1", "has 2 groups, expected m#h#w#c#"),
        ("relu:f32:h2m1w3c4:normal:1", "does not read as m#h#w#c#"),
        ("relu:f32:m1h2w3c04:normal:1", "does not read as m#h#w#c#"),
        ("pool_forward:f32:m1h2w3c4_f2s1_mean:normal:1", "mode is 'mean', expected one of max, average"),
    ],
)
def test_a_wrong_case_is_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Case.parse(text)


def test_replace_changes_parameters_and_fields_and_nothing_else():
    case = Case.parse("pool_forward:f64:m2h9w7c3_f3s2_max:ties:4")
    assert str(case.replace(h=8, mode="average")) == "pool_forward:f64:m2h8w7c3_f3s2_average:ties:4"
    assert str(case.replace(dtype="f32", seed=9)) == "pool_forward:f32:m2h9w7c3_f3s2_max:ties:9"
    with pytest.raises(ValueError, match="pool_forward has no parameter k"):
        case.replace(k=3)


def test_cases_sort_by_their_text():
    texts = ["relu:f32:m1h2w3c4:ties:2", "pad3d:f64:m1h2w3c4_p1:normal:0", "relu:f32:m1h2w3c4:ties:1"]
    assert [str(case) for case in sorted(map(Case.parse, texts))] == sorted(texts)


def test_a_word_is_not_a_number():
    case = Case.parse("pool_forward:f64:m2h9w7c3_f3s2_max:ties:4")
    assert case.word("mode") == "max"
    with pytest.raises(KeyError, match="mode is a word"):
        case["mode"]


def test_operations_are_selected_by_pattern_in_the_order_of_the_contract():
    assert [o.name for o in select(["softmax*", "conv_*"])] == [
        "conv_single_step", "conv_forward", "conv_backward",
        "conv_transpose_forward", "conv_transpose_backward",
        "softmax", "softmax_backward", "softmax_cross_entropy", "softmax_cross_entropy_backward",
    ]  # fmt: skip
    assert select(None) == list(OPERATIONS.values())
    with pytest.raises(ValueError, match="no operation matches 'conv2d'"):
        select(["relu", "conv2d"])
