"""The catalogue of slips: right where there is no slip, every one shows somewhere, no two are the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from slip_support import cases, doubles

from conformance.cases.case import Case
from conformance.cases.dtypes import HALF
from conformance.faults import CATALOGUE, Slip
from conformance.faults.catalogue import slip
from conformance.faults.core import reference
from conformance.faults.diagnose import (
    BETWEEN_CALLS,
    DTYPE_NOT_KEPT,
    INPUT_MODIFIED,
    SHAPE_FLATTENED,
    UNEXPLAINED,
    catalogue,
    explain,
)
from conformance.faults.evidence import Evidence
from conformance.generation.arrays import draw
from conformance.operations import OPERATIONS
from conformance.oracle import evaluate

#: What a diagnosis finds by another way than the numbers of one result.
BY_EXPERIMENT = {INPUT_MODIFIED, BETWEEN_CALLS, DTYPE_NOT_KEPT, SHAPE_FLATTENED}

#: The contract's table of the post's conventions, with what belongs to each.
POST = {
    "conv-bias-per-tap",
    "pool-ties-all",
    "relu-gradient-at-zero",
    "gradient-divided-by-m",
    "softmax-no-shift",
    "labels-by-rank",
    "flattened-column-major",
    "mask-ties-all",
}


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_core_agrees_with_the_oracle(op: str, dtype: str) -> None:
    for case in cases(op, dtype=dtype):
        arrays = draw(case)
        expected = evaluate(case, arrays)
        with np.errstate(all="ignore"):
            for output, value in reference(case, doubles(arrays)).items():
                # distribute_value's float64 is not rounded to the dtype of the case.
                got = value if op == "distribute_value" else value.astype(case.numpy_dtype)
                assert Evidence(case, arrays, output, got, expected[output]).right(), f"{case} {output}"


def test_catalogue_is_large_named_and_has_the_posts_conventions() -> None:
    assert len(CATALOGUE) >= 60
    assert {s.id for s in catalogue() if s.post} == POST
    for entry in catalogue():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.id)
        assert entry.text.endswith(".")
        assert explain(entry.id) == entry.text
    assert {op for s in catalogue() for op in s.targets} == set(OPERATIONS)


def test_explain_joins_names_and_refuses_others() -> None:
    both = explain("softmax-no-shift+labels-by-rank")
    assert both == f"{explain('softmax-no-shift')} {explain('labels-by-rank')}"
    assert explain(UNEXPLAINED)
    with pytest.raises(ValueError, match="no slip is called 'no-such'"):
        explain("no-such")


def test_a_slip_is_defined_once_and_for_outputs_that_exist() -> None:
    with pytest.raises(ValueError, match="defined twice"):
        slip("bias-forgotten", "Again.", {})
    with pytest.raises(ValueError, match="conv_forward has no output A"):
        slip("new", "New.", {"conv_forward": "A"})


#: Pools and convolutions in which the slips of their options show.
CONV_OPTIONS = (
    "f3k4_s1p1_d2",
    "f3k4_s1p1_d3x2",
    "f3k4_s2x1p1",
    "f3k4_s1p1x2",
    "f3k4_s1p2.0.0.1",
    "f3k4_s1p1_g2",
    "f3k9_s1p1_g3",
    "f3k12_s1p1_g6",
    "f3x2k4_s1p1",
)
LOSS_OPTIONS = ("smooth0.25:missing", "ignore-100:missing", "ignore1:missing", "smooth0.4_ignore-100:missing")
TRANSPOSE_OPTIONS = (
    "f3k4_s2p1_d2_e1",
    "f3k4_s1p1_d3x2",
    "f3k4_s2x1p1_e1x0",
    "f3k4_s1p1x2",
    "f3k4_s1p2.0.0.1",
    "f3k4_s3p1_g2",
    "f3k9_s3p0_g3",
    "f3k12_s3p1_g6_e2",
)
POOL_OPTIONS = (
    "f3s1_max_d3x2:normal",
    "f4s1_max_p1x2:normal",
    "f3s1_average_p1.0.0.1:normal",
    "f3s2_average_p1_exclude:normal",
    "f3s2_average_p1:normal",
    "f4s3_average_ceil:normal",
    "f3s1_max_d2:normal",
    "f2x3s2x1_max:normal",
    "f3s2_max_p1:negative",
    "f3s2_max_psame:normal",
)


#: An epsilon that is smaller than others would have it.
NORM_OPTIONS = ("training_eps1e-12:normal", "inference_eps1e-5:normal")

#: Units whose faults do not show where their options have their defaults.
UNIT_OPTIONS = {
    **dict.fromkeys(
        ("layer_norm", "layer_norm_forward", "rms_norm", "rms_norm_forward"),
        ("eps1e-12:normal", "eps1e-5:normal"),
    ),
    "hardtanh": ("lo-2_hi6:small", "lo0:subnormal"),
    "elu": ("alpha0.5:normal", "alpha0.5:ties"),
    "celu": ("alpha0.5:normal",),
    "softplus": ("beta0.5:normal", "thr1:normal"),
}

#: What no family holds: the array and the values that its first elements are given.
BEYOND = {
    "softmax:f32:m3n4:normal:1": ("X", np.nan),
    "cross_entropy_cost:f32:m1n4_ignore1:probabilities:1": ("Y", 1),
    "cross_entropy_cost:f32:m1n1:probabilities:1": ("AL", 1e-40),
    "cross_entropy_backward:f32:m1n4_ignore1:probabilities:1": ("Y", 1),
    "softmax_cross_entropy:f32:m1n4_ignore1:normal:1": ("Y", 1),
    "softmax_cross_entropy_backward:f32:m1n4_ignore1:normal:1": ("Y", 1),
}


def _beyond_the_families(op: str, output: str) -> Iterator[Evidence]:
    for text, (name, value) in BEYOND.items():
        case = Case.parse(text)
        if case.op == op:
            arrays = draw(case)
            arrays[name].reshape(-1)[:1] = value
            yield Evidence(case, arrays, output, None, None)


def _targets() -> list[tuple[str, str]]:
    return [(op, output) for op, o in OPERATIONS.items() for output in o.outputs]


def _differ(evidence: list[Evidence], one: Slip, other: Slip) -> bool:
    """Whether the cases tell two slips apart, or at least a variant of either from all of the other."""
    if any(e.tells_apart([one, other]) for e in evidence):
        return True
    return any(
        all(any(e.tells_apart([v, w]) for e in evidence) for w in _single(b))
        for a, b in ((one, other), (other, one))
        for v in _single(a)
    )


def _single(slip: Slip) -> list[Slip]:
    return [replace(slip, variants=(variant,)) for variant in slip.variants]


@pytest.mark.parametrize(("op", "output"), _targets())
def test_every_slip_shows_somewhere_and_no_two_are_the_same(op: str, output: str) -> None:
    slips = [s for s in catalogue() if s.applies(op, output) and s.id not in BY_EXPERIMENT]
    assert slips
    dtypes = ["f32", "f64"] if any(s.signature for s in slips) else ["f32"]
    if any("half" in s.id for s in slips):
        dtypes += [*HALF]
    evidence = [Evidence(c, draw(c), output, None, None) for d in dtypes for c in cases(op, 40, d)]
    for options in POOL_OPTIONS if op.startswith("pool") else ():
        case = Case.parse(f"{op}:f32:m2h8w11c5_{options}:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    for options in CONV_OPTIONS if op in ("conv_forward", "conv_backward") else ():
        case = Case.parse(f"{op}:f32:m2h8w9c6_{options}:normal:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    for options in LOSS_OPTIONS if "cross_entropy" in op else ():
        case = Case.parse(f"{op}:f32:m7n4_{options}:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    for options in NORM_OPTIONS if op.startswith("batch_norm") else ():
        case = Case.parse(f"{op}:f32:m3h3w4c5_{options}:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    for options in TRANSPOSE_OPTIONS if op.startswith("conv_transpose") else ():
        case = Case.parse(f"{op}:f32:m2h5w4c6_{options}:normal:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    if op == "leaky_relu":
        case = Case.parse("leaky_relu:f32:m2h3w5c7_a1.5:normal:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    for options in UNIT_OPTIONS.get(op.removesuffix("_backward"), ()):
        case = Case.parse(f"{op}:f32:m2h3w4c5_{options}:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    if op == "pool_forward":
        case = Case.parse("pool_forward:f32:m2h7w9c3_f3s2_max:nan:1")
        evidence.append(Evidence(case, draw(case), output, None, None))
    if op == "pool_backward":
        # No family puts two NaN into one window.
        pair = Case.parse("pool_backward:f32:m2h7w9c3_f3s2_max:normal:1")
        arrays = draw(pair)
        arrays["A_prev"][0, :2, :2] = np.nan
        evidence.append(Evidence(pair, arrays, output, None, None))
    evidence += list(_beyond_the_families(op, output))
    for one in slips:
        assert any(e.shows(one) for e in evidence), f"{one.id} changes nothing"
    for one, other in combinations(slips, 2):
        if not (one.signature or other.signature or one.own or other.own):
            assert _differ(evidence, one, other), f"{one.id} is {other.id}"


def test_pairs_are_both_slips_at_once() -> None:
    case = Case.parse("softmax_cross_entropy_backward:f64:m3n5:missing:5")
    arrays = doubles(draw(case))
    one, other = CATALOGUE["softmax-no-shift"], CATALOGUE["labels-by-rank"]
    both: Slip = one.combined(other)
    arrays["X"][0] += 800
    with np.errstate(all="ignore"):
        got = next(both.outputs(case, arrays))["dX"]
        ranks = np.unique(arrays["Y"], return_inverse=True)[1]
        e = np.exp(arrays["X"])
        expected = (e / e.sum(1, keepdims=True) - np.eye(5)[ranks]) / 3
    np.testing.assert_array_equal(got, expected)
    assert np.isnan(got[0]).any()
    assert both.targets == {"softmax_cross_entropy": ("loss",), "softmax_cross_entropy_backward": ("dX",)}
