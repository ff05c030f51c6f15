"""Where a failure is: rules, pictures, entries of the Jacobian."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.diagnosis.findings import Finding, find, find_all
from conformance.diagnosis.jacobian import entry
from conformance.diagnosis.picture import Picture, plane, taps
from conformance.diagnosis.where import axes, rule
from conformance.implementations.implementation import Implementation, of_object
from conformance.verdict.compare import failing
from conformance.verdict.judge import Judge
from tests.planted import FAULTS, implementation

IMAGE = ("m", "h", "w", "c")
SHAPE = (3, 6, 7, 20)


def wrong(where, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[where] = True
    return mask


def border():
    mask = np.ones(SHAPE, bool)
    mask[:, 1:-1, 1:-1] = False
    return mask


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (wrong(np.s_[:]), "every element"),
        (wrong(np.s_[:, :, 6]), "w = W-1"),
        (wrong(np.s_[..., 16:]), "c >= 16"),
        (wrong(np.s_[:, 1::2]), "odd h"),
        (wrong(np.s_[:, ::2]), "even h"),
        (wrong(np.s_[:, :, 1::3]), "w = 1 mod 3"),
        (wrong(np.s_[1:]), "m > 0"),
        (wrong(np.s_[2, :, :3]), "m = M-1 and w < 3"),
        (wrong(np.s_[:, 2:4]), "2 <= h <= 3"),
        (wrong(np.s_[..., [2, 5, 6]]), "c in {2, 5, 6}"),
        (wrong(np.s_[:, [0, 5]]), "h on the border"),
        (border(), "border only"),
        (wrong(np.s_[:, :, 6]) | wrong(np.s_[:, 5]), "h = H-1 or w = W-1"),
        (border() & wrong(np.s_[1]), "border only and m = 1"),
        (wrong(np.s_[2, 5, 6, 15:]), "m = M-1 and h = H-1 and w = W-1 and c >= 15"),
    ],
)
def test_rules(mask, text):
    assert rule(mask, IMAGE) == text


def test_the_end_of_the_memory_is_a_rule():
    mask = np.zeros((5, 7), bool)
    mask.reshape(-1)[-9:] = True
    assert rule(mask, ("m", "n")) == "the last 9 of 35 elements in memory"


def test_what_is_no_rule_is_not_called_one():
    mask = wrong(np.s_[:, :4])
    mask[0, 0, 0, 0] = False
    assert rule(mask, IMAGE) == f"only where h < 4 ({mask.sum()} of the {mask.sum() + 1} elements there)"
    assert rule(np.eye(5, dtype=bool), ("m", "n")) == "5 of 25 elements, by no simple rule"


def test_a_rule_needs_a_failure_and_names():
    with pytest.raises(ValueError, match="nothing fails"):
        rule(np.zeros((2, 2), bool), ("m", "n"))
    with pytest.raises(ValueError, match="names for"):
        rule(np.ones((2, 2), bool), ("m",))


def test_failing_elements_are_those_beyond_their_limit():
    expected = np.array([0.0, 1.0, np.nan, np.inf, 2.0, np.inf])
    got = np.array([0.1, 1.0, np.nan, np.inf, np.nan, 3.0])
    assert failing(got, expected, np.array(0.05)).tolist() == [True, False, False, False, True, True]
    assert failing(got, expected, np.array(0.2)).tolist() == [False, False, False, False, True, True]


def test_pictures_of_the_image_and_of_the_filter():
    mask = wrong(np.s_[:, :, -1], (2, 3, 4, 2))
    mask[0, 1, 1, 1] = True
    drawn = plane(mask, IMAGE, "Z")
    assert drawn.rows == ("...#", ".+.#", "...#")
    assert drawn.text()[0] == "Z: h down, w across, all m and c"
    svg = drawn.svg()
    assert (svg.count("<rect"), svg.count('"wrong"'), svg.count('"partly"')) == (12, 3, 1)
    assert Picture.from_dict(drawn.to_dict()) == drawn
    assert taps(np.eye(2, dtype=bool), "taps").rows == ("#.", ".#")
    case = Case.parse("conv_backward:f32:m1h4w5c2_f3k2_s1p0:small:0")
    weights = plane(wrong(np.s_[2], (3, 3, 2, 2)), axes(case, "dW", 4), "dW")
    assert weights.rows == ("...", "...", "###")
    assert weights.title.startswith("dW: fh down, fw across")


def test_a_large_plane_is_drawn_in_blocks():
    drawn = plane(wrong(np.s_[:, -1], (1, 500, 70, 1)), IMAGE, "Z")
    assert (len(drawn.rows), len(drawn.rows[0])) == (48, 48)
    assert set(drawn.rows[-1]) == {"+"}
    assert {c for row in drawn.rows[:-1] for c in row} == {"."}


def test_a_title_cannot_break_out_of_the_page():
    assert "<script" not in Picture("<script>", ("#",)).svg()


def planted(name):
    fault = next(f for f in FAULTS if str(f) == name)
    return fault, Implementation(name, implementation(fault), Arithmetic.declared(None, None))


@pytest.mark.parametrize(
    ("fault", "case", "output", "text"),
    [
        (
            "conv_backward-rows_one_short",
            "conv_backward:f32:m1h3w1c1_f1k1_s2p0:small:0",
            "dA_prev",
            "dA_prev[0,2,0,0] misses tap (0,0) of dZ[0,1,0,0]",
        ),
        (
            "conv_backward-filter_turned_once_too_often",
            "conv_backward:f32:m1h2w1c1_f2k1_s1p1:small:0",
            "dA_prev",
            "dA_prev[0,0,0,0] takes dZ[0,0,0,0] times W[0,0,0,0] instead of W[1,1,0,0]",
        ),
        (
            "conv_backward-mean_over_the_batch",
            "conv_backward:f32:m2h1w1c1_f1k1_s1p0:small:0",
            "db",
            "db[0,0,0,0] takes dZ[0,0,0,0] 0.5 times instead of once",
        ),
    ],
)
def test_the_entry_of_the_jacobian_is_named(fault, case, output, text):
    _, target = planted(fault)
    assert entry(target, Case.parse(case), output, 60.0).text == text


def test_the_entry_is_of_the_data_of_the_case_where_nothing_is_multiplied_with():
    """Zeros in place of NaN would show another fault: a term too many, where one is missing."""
    target = of_object("relu", SimpleNamespace(relu_backward=lambda dA, cache: dA * (cache >= 0)))
    found = entry(target, Case.parse("relu_backward:f32:m1h1w1c1:nan:0"), "dZ", 60.0)
    assert found.text == "dZ[0,0,0,0] misses dA[0,0,0,0]"
    assert found.terms == ("dA[0,0,0,0] has the weight 0, expected 1",)


def test_a_right_kernel_has_no_wrong_entry():
    from conformance.adapters import numpy_loops

    right = Implementation("right", numpy_loops, Arithmetic.declared(None, None))
    for text in (
        "conv_backward:f32:m1h3w4c2_f2k2_s1p1:small:0",
        "pool_backward:f32:m1h4w4c1_f2s2_average:small:0",
        "affine_activation_backward:f32:m2i2o2_relu:normal:0",
    ):
        case = Case.parse(text)
        assert [entry(right, case, output) for output in case.operation.outputs] == [
            None for _ in case.operation.outputs
        ]


def test_what_the_element_is_made_of_is_drawn_and_the_terms_that_differ_most_are_said():
    _, target = planted("conv_backward-filter_turned_once_too_often")
    found = entry(target, Case.parse("conv_backward:f32:m1h5w4c1_f3k1_s1p0:small:0"), "dA_prev", 60.0)
    made, drawn = found.pictures
    assert len(drawn.rows) == 3
    assert "#" in "".join(drawn.rows)
    # dA_prev[0,0,0,0] is W[0,0] times dZ[0,0,0,0] alone; turned, it takes W[2,2], the last of nine, instead.
    assert made.title == "dA_prev[0,0,0,0] is made of these elements of dZ, the wrong ones marked"
    assert made.rows == ("#.", "..", "..")
    assert found.terms == ("dZ[0,0,0,0] has the weight 9, expected 1",)
    assert 'class="wrong"' in made.svg()


def test_right_terms_of_a_wrong_element_are_told_from_wrong_ones():
    from conformance.adapters import numpy_loops

    def conv_forward(A_prev, W, b, hparameters):
        short = W.copy()
        short[-1] = 0
        return numpy_loops.conv_forward(A_prev, short, b, hparameters)

    target = Implementation(
        "short", SimpleNamespace(conv_forward=conv_forward), Arithmetic.declared(None, None)
    )
    found = entry(target, Case.parse("conv_forward:f32:m1h4w4c1_f3k1_s1p0:small:0"), "Z", 60.0)
    assert found.pictures[0].rows == ("ooo.", "ooo.", "###.", "....")
    wanted = ((2, 2, 9), (2, 1, 8), (2, 0, 7))
    assert found.terms == tuple(f"A_prev[0,{r},{c},0] has the weight 0, expected {n}" for r, c, n in wanted)


def test_findings_survive_a_kernel_that_dies(tmp_path):
    path = tmp_path / "deadly.py"
    path.write_text(
        "import os\nimport numpy as np\n"
        "def relu(Z):\n    if Z.size == 1: os._exit(3)\n    return np.abs(Z), Z\n"
        "def sigmoid(Z):\n    return np.zeros_like(Z), Z\n"
    )
    from conformance.implementations.implementation import load

    judge = Judge(load(str(path)))
    records = [
        *judge(Case.parse("relu:f32:m2h3w4c5:normal:0")),
        *judge(Case.parse("sigmoid:f32:m2h3w4c5:normal:0")),
    ]
    found = find_all(str(path), records, 1, 60.0)
    assert [f.case for f in found] == [r.case for r in records]
    assert found[0].shrunk == found[0].case
    assert found[0].entry == found[0].place
    assert found[0].place.startswith("A[")
    assert found[1].shrunk == "sigmoid:f32:m1h1w1c1:normal:0"
    assert all(Finding.from_dict(f.to_dict()) == f for f in found)


def test_a_finding_says_rule_smallest_case_and_entry():
    fault, target = planted("conv_backward-rows_one_short")
    case = Case.parse("conv_backward:f32:m3h7w6c2_f2k5_s2p0:small:1")
    record = next(r for r in Judge(target)(case) if r.output == "dA_prev")
    found = find(target, record)
    assert found.rule == "4 <= h <= 5"
    assert "misses" in found.entry
    assert any(line.startswith("smallest case: ") for line in found.lines())
    assert found.diagnosis == fault.slip


def test_axes_have_names_for_every_output():
    names = {axes(Case.parse("affine_backward:f32:m2i3o4:normal:0"), o, 2) for o in ("dA_prev", "dW", "db")}
    assert len(names) == 3
    assert all(len(set(pair)) == 2 for pair in itertools.chain(names))


def test_beside_a_wrong_element_stands_what_the_inputs_have_there():
    fault = next(f for f in FAULTS if f.slip == "leaky-mask-from-gradient")
    wrong = Implementation("leaky", implementation(fault), Arithmetic.declared(None, None))
    judged = Judge(wrong)(Case.parse("leaky_relu_backward:f32:m2h3w4c5:normal:0"))
    finding = find(wrong, next(r for r in judged if r.status == "failed"))
    values = dict(line.split(" is ") for line in finding.terms)
    assert values.keys() == {"Z[0,0,0,0]", "dA[0,0,0,0]"}
    assert float(values["Z[0,0,0,0]"]) * float(values["dA[0,0,0,0]"]) < 0
