"""Options of a case: written one way, read back, declared by the implementation, covered in pairs."""

import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.options import Option
from conformance.cases.window import possible, window_of
from conformance.generation import covering
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation, LoadError, load
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge


@pytest.fixture(autouse=True)
def _with_options(monkeypatch):
    """Options of an operation that has none."""
    slope = Option("slope", "negative_slope", "", {"usual": (0.01,), "other": (0.2, 1.5)}, default=0.01)
    ignore = Option("ignore", "ignore_index", "", {"none": (-100,), "one": (3,)}, default=-100)
    monkeypatch.setitem(OPERATIONS, "relu", replace(OPERATIONS["relu"], options=(slope, ignore)))
    for cached in (covering.pairs, covering.rows):
        cached.cache_clear()
    yield
    for cached in (covering.pairs, covering.rows):
        cached.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17",
        "conv_forward:f32:m2h9w7c4_f3x5k8_s2x1p1.2.0.1_d2x1_g4:normal:17",
        "conv_backward:f64:m2h9w7c4_f3k8_s2psame-lower:normal:17",
        "conv_forward:f32:m2h9w7c4_f3k8_s1p0x2_g2:normal:17",
        "pool_forward:f32:m2h9w7c3_f3x2s2_max_p1_d2_ceil:ties:4",
        "pool_backward:f32:m2h9w7c3_f3s2x3_average_psame_ceil_exclude:ties:4",
        "relu:f32:m2h9w7c3_slope0.2_ignore3:normal:4",
        "relu:f32:m2h9w7c3_ignore-1:normal:4",
    ],
)
def test_text_and_case_stand_for_each_other(text):
    case = Case.parse(text)
    assert str(case) == text
    assert Case.parse(str(case)) == case


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv_forward:f32:m2h9w7c3_f3x3k4_s2p1:normal:1", "f is 3x3, which is written 3"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2p1.1.2.2:normal:1", "p is 1.1.2.2, which is written 1x2"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2p1x1:normal:1", "p is 1x1, which is written 1"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2pfull:normal:1", "'s2pfull' does not read as"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2p1_d1:normal:1", "'d1' is the default, which is not written"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2p1_g2_d2:normal:1", "'d2' is none of the options that may stand"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2p1_d2_d2:normal:1", "'d2' is none of the options that may stand"),
        ("conv_forward:f32:m2h9w7c3_f3k4_s2p1_ceil:normal:1", "in this order: d#, g#"),
        ("pool_forward:f32:m2h9w7c3_f3s2_max_p0:normal:1", "'p0' is the default"),
        ("pool_forward:f32:m2h9w7c3_f3s2_max_floor:normal:1", "'floor' is the default"),
        ("pool_forward:f32:m2h9w7c3_f3s2_max_exclude_ceil:normal:1", "'ceil' is none of the options"),
        ("relu:f32:m2h9w7c3_slope0.20:normal:1", "'slope0.20' is none of the options"),
        ("relu:f32:m2h9w7c3_ignore-0:normal:1", "ignore is -0, which is written 0"),
        ("softmax:f32:m2n9_d2:normal:1", "has 2 groups, expected m#n#"),
    ],
)
def test_there_is_one_way_to_write_a_case(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Case.parse(text)


def test_replace_sets_and_drops_options():
    case = Case.parse("pool_forward:f32:m2h9w7c3_f3s2_max:ties:4")
    assert str(case.replace(d=(2, 1), rounding="ceil")).split(":")[2] == "m2h9w7c3_f3s2_max_d2x1_ceil"
    assert case.replace(p=(1, 1, 1, 1)) == case.replace(p=1)
    assert case.replace(p=1).replace(p=0) == case
    assert case.beyond == ()
    assert case.replace(p=1, f=(3, 2)).beyond == ("f", "pad")
    assert (case["d"], case.word("border"), case.replace(f=(3, 2)).value("f")) == (1, "include", (3, 2))
    with pytest.raises(KeyError, match="f is 3x2"):
        case.replace(f=(3, 2))["f"]


@pytest.mark.parametrize("op", ["conv_forward", "pool_backward"])
@pytest.mark.parametrize("seed", [0, 5])
def test_every_pair_of_kinds_is_among_the_first_cases(op, seed):
    count = 200
    cases = list(generate([OPERATIONS[op]], ["f32"], count, seed))
    pairs = Counter(pair for case in cases for pair in combinations(case.levels.items(), 2))
    assert [pair for pair in covering.pairs(op) if not pairs[pair]] == []
    factors = OPERATIONS[op].factors
    seen = {(name, kind) for case in cases for name, kind in case.levels.items()}
    assert seen == {(name, kind) for name, kinds in factors.items() for kind in kinds}
    assert sum(not case.beyond for case in cases) > count // 2
    for case in cases:
        assert possible(case)
        assert Case.parse(str(case)) == case
        assert all(
            (one, other) not in OPERATIONS[op].apart for one, other in combinations(case.levels.items(), 2)
        )


def test_a_covering_array_is_small_and_the_same_every_time():
    before = covering.rows("conv_forward")
    covering.rows.cache_clear()
    assert covering.rows("conv_forward") == before
    kinds = sorted(map(len, OPERATIONS["conv_forward"].factors.values()))
    assert kinds[-1] * kinds[-2] <= len(before) <= kinds[-1] * kinds[-2] * 3 // 2
    assert covering.rows("softmax") == ()


def test_a_pair_that_no_case_can_have_is_not_asked_for():
    dilated_and_excluded = (("d", "dilated"), ("border", "exclude"))
    # It follows: a maximum has no border, an average no dilation.
    assert dilated_and_excluded not in OPERATIONS["pool_forward"].apart
    assert dilated_and_excluded not in covering.pairs("pool_forward")
    assert (("d", "dilated"), ("border", "include")) in covering.pairs("pool_forward")


@pytest.mark.parametrize(
    ("parameters", "rows", "columns"),
    [  # (outputs, before, after) of each axis
        ("m1h9w7c4_f3x5k8_s2x1p1.2.0.1", (5, 1, 2), (4, 0, 1)),
        ("m1h9w7c4_f4k8_s1psame", (9, 1, 2), (7, 1, 2)),
        ("m1h9w7c4_f4k8_s1psame-lower", (9, 2, 1), (7, 2, 1)),
        ("m1h9w8c4_f3k8_s2psame", (5, 1, 1), (4, 0, 1)),
        ("m1h9w7c4_f3k8_s1pvalid_d2x3", (5, 0, 0), (1, 0, 0)),
        ("m1h9w7c4_f1k8_s3psame", (3, 0, 0), (3, 0, 0)),
    ],
)
def test_windows_of_convolutions(parameters, rows, columns):
    window = window_of(Case.parse(f"conv_forward:f32:{parameters}:normal:0"))
    assert [(a.outputs, a.before, a.after) for a in (window.rows, window.columns)] == [rows, columns]


def module(**functions):
    return Implementation("mine", SimpleNamespace(**functions), Arithmetic.declared(None, None))


def test_an_implementation_of_the_plain_calls_is_not_asked_for_options():
    def pool_forward(A_prev, hparameters, mode="max"):
        raise AssertionError("called")

    mine = module(pool_forward=pool_forward)
    (record,) = Judge(mine)(Case.parse("pool_forward:f32:m2h9w7c3_f3s2_max_d2:normal:4"))
    assert (record.status, record.reason) == ("absent", "not implemented: declares no option dilation")
    (record,) = Judge(mine)(Case.parse("pool_forward:f32:m2h9w7c3_f3s2_max:normal:4"))
    assert record.status == "failed"


def test_what_is_declared_is_handed_over_by_the_contract_s_keys():
    asked = []

    def pool_forward(A_prev, hparameters, mode="max"):
        asked.append(dict(hparameters))
        return A_prev, None

    def pool_backward(dA, cache, mode="max"):
        return dA

    mine = replace(module(pool_forward=pool_forward, pool_backward=pool_backward), options=("*",))
    image = np.zeros((2, 9, 7, 3), np.float32)
    for op, arrays in (("pool_forward", {}), ("pool_backward", {"dA": image})):
        case = Case.parse(f"{op}:f32:m2h9w7c3_f3x2s2_average_p1.0.0.1_ceil_exclude:normal:4")
        assert mine.call(case, {"A_prev": image, **arrays}).absent is None
    hyper = {
        "f": (3, 2), "stride": 2, "pad": ((1, 0), (0, 1)), "ceil_mode": True, "count_include_pad": False,
    }  # fmt: skip
    assert asked == [hyper, hyper]


@pytest.mark.parametrize(
    ("declared", "lacking"),
    [
        ((), "dilation"),
        (("dilation",), None),
        (("*",), None),
        (("pool_*.dilation",), None),
        (("conv_*.dilation", "ceil_mode"), "dilation"),
    ],
)
def test_options_are_declared_by_name_and_by_operation(declared, lacking):
    case = Case.parse("pool_forward:f32:m2h9w7c3_f3s2_max_d2:normal:4")
    assert replace(module(), options=declared).lacks(case) == lacking


def test_an_unknown_option_is_refused_by_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("options = ('dilatation',)\ndef relu(Z):\n    return Z, Z\n")
    with pytest.raises(
        LoadError, match=r"options has 'dilatation', expected OPERATION\.OPTION or some of .*ceil_mode"
    ):
        load(str(path))
    path.write_text("options = 'conv_*.groups'\ndef relu(Z):\n    return Z, Z\n")
    assert load(str(path)).options == ("conv_*.groups",)
