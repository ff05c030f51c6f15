"""The bounds: their ingredients by hand, what they must let pass and what they must catch."""

import itertools

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic, Bound, sums
from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.generation.arrays import draw
from conformance.oracle import evaluate
from conformance.verdict.compare import compare
from conformance.verdict.right import output_dtype

U = {"f32": 2.0**-24, "f64": 2.0**-53}


def judged(text, change=None, arithmetic=None):
    """The arrays, expected outputs and bounds of a case."""
    case = Case.parse(text)
    arrays = draw(case)
    if change is not None:
        change(arrays)
    expected = evaluate(case, arrays)
    return case, arrays, expected, bounds(case, arrays, expected, *([arithmetic] if arithmetic else []))


def verdict(case, output, got, expected, limits):
    got = np.asarray(got, output_dtype(case, output))
    return compare(got, expected[output], limits[output], output_dtype(case, output))


def test_terms_of_a_convolution_are_counted_with_their_padding():
    case = Case.parse("conv_forward:f32:m1h2w3c2_f2k1_s1p1:normal:0")
    terms = sums.ingredients(case, draw(case), case.operation.arrays, False)["Z"]
    # A 2x2 window over 2x3 pixels of two channels, padded by one: the corner sees one pixel, and the bias.
    assert terms.n[0, :, :, 0].tolist() == [[3, 5, 5, 3], [5, 9, 9, 5], [3, 5, 5, 3]]


def test_limit_of_an_affine_gradient_by_hand():
    _case, arrays, _, limits = judged("affine_backward:f32:m3i4o5:positive:1")
    dZ, W = arrays["dZ"].astype(np.float64), arrays["W"].astype(np.float64)
    assert limits["dA_prev"].limit == pytest.approx(5 * U["f32"] * np.abs(dZ) @ np.abs(W).T, rel=1e-6)
    assert limits["db"].limit == pytest.approx(2 * U["f32"] * np.abs(dZ).sum(axis=0, keepdims=True), rel=1e-6)


def test_a_sum_of_one_term_is_exact():
    _, _, expected, limits = judged("affine_backward:f32:m1i4o5:positive:1")
    assert (limits["db"].limit < 1e-40).all()
    assert (expected["db"] != 0).all()


@pytest.mark.parametrize("order", ["forward", "backward", "pairs"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_sums_in_any_order_stay_within_the_bound_and_come_near_it(order, dtype):
    case, arrays, expected, limits = judged(f"affine_forward:{dtype}:m7i40o3:positive:3")
    products = np.moveaxis(arrays["A_prev"][:, :, None] * arrays["W"], 1, 0)
    terms = [arrays["b"] + np.zeros_like(products[0]), *products]
    if order == "backward":
        terms.reverse()
    while len(terms) > 1:
        merged = [a + b for a, b in itertools.zip_longest(terms[::2], terms[1::2], fillvalue=0)]
        terms = merged if order == "pairs" else [terms[0] + terms[1], *terms[2:]]
    found = verdict(case, "Z", terms[0].astype(arrays["b"].dtype), expected, limits)
    assert found.status == "passed", found.reason
    assert found.max_bound_fraction > 0.01


@pytest.mark.parametrize(
    "text",
    [
        "conv_forward:f32:m2h5w4c3_f2k6_s1p1:positive:1",
        "conv_forward:f64:m2h5w4c3_f2k6_s1p1:small:1",
        "affine_forward:f32:m2i5o3:normal:1",
        "affine_activation_forward:f32:m2i5o3_relu:small:1",
        "pool_forward:f32:m2h5w4c3_f2s1_average:positive:1",
    ],
)
def test_one_dropped_term_is_seen(text):
    case, arrays, expected, limits = judged(text)
    (output,) = case.operation.outputs
    name = "A_prev"
    fewer = {**arrays, name: arrays[name].copy()}
    index = (0,) * arrays[name].ndim
    assert fewer[name][index] != 0
    fewer[name][index] = 0
    wrong = evaluate(case, fewer)[output]
    assert limits[output].detectability > 0.95
    assert verdict(case, output, expected[output], expected, limits).status == "passed"
    assert verdict(case, output, wrong, expected, limits).status == "failed"


def test_exact_tier_asks_for_room_in_the_mantissa():
    *_, limits = judged("affine_forward:f32:m2i5o3:small:1")
    assert limits["Z"].tier == "exact"

    def widen(arrays):
        arrays["W"] *= 2**22 + 1

    *_, limits = judged("affine_forward:f32:m2i5o3:small:1", widen)
    assert limits["Z"].tier == "bound"

    def halve(arrays):  # still multiples of one step
        arrays["W"] *= 0.125

    *_, limits = judged("affine_forward:f32:m2i5o3:small:1", halve)
    assert limits["Z"].tier == "exact"


def test_average_is_exact_only_over_a_power_of_two():
    *_, limits = judged("pool_forward:f32:m2h5w4c3_f2s1_average:small:1")
    assert limits["A"].tier == "exact"
    *_, limits = judged("pool_forward:f32:m2h5w7c4_f3s1_average:small:1")
    assert limits["A"].tier == "bound"


def test_statistical_limit_is_for_zero_mean_data_and_smaller_for_long_sums():
    *_, limits = judged("affine_backward:f32:m5i3o65:normal:1")
    assert (limits["dA_prev"].statistical < limits["dA_prev"].limit).mean() > 0.9
    *_, limits = judged("affine_backward:f32:m5i3o65:positive:1")
    assert limits["dA_prev"].statistical is None


def bfloat16(x):
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def test_reduced_precision_fails_unless_it_is_declared():
    text = "affine_forward:f32:m7i40o3:wide-x:1"
    case, arrays, expected, limits = judged(text)
    rounded = {name: bfloat16(x) for name, x in arrays.items()}
    got = evaluate(case, rounded)["Z"].astype(np.float32)
    assert verdict(case, "Z", got, expected, limits).status == "failed"
    *_, limits = judged(text, arithmetic=Arithmetic.declared("bf16", None))
    assert limits["Z"].tier == "bound"
    assert verdict(case, "Z", got, expected, limits).status == "passed"
    assert verdict(case, "Z", 1.1 * got, expected, limits).status == "failed"


def test_a_fast_algorithm_is_held_norm_wise():
    *_, limits = judged(
        "conv_forward:f32:m2h5w4c3_f3k6_s1p1:normal:1", arithmetic=Arithmetic.declared(None, "winograd")
    )
    limit = limits["Z"].limit
    assert (limit == limit.flat[0]).all()
    assert limits["Z"].statistical is None


def test_a_class_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="precision = 'fp4' is not a class with a bound"):
        Arithmetic.declared("fp4", None)


def test_sigmoid_is_relative_down_to_the_subnormal_numbers():
    def far(arrays):
        arrays["Z"][...] = -90

    case, _, expected, limits = judged("sigmoid:f32:m1h2w3c5:normal:0", far)
    assert 0 < expected["A"].max() < np.finfo(np.float32).tiny
    assert verdict(case, "A", expected["A"], expected, limits).status == "passed"
    assert verdict(case, "A", np.zeros_like(expected["A"]), expected, limits).status == "failed"


@pytest.mark.parametrize("off", [12, -12])
@pytest.mark.parametrize("op", ["sigmoid:f32:m1h4w3c5", "softmax:f32:m5n7"])
def test_exp_is_held_to_four_ulp(op, off):
    """The oracle's own numbers use little of the bound; a relative error of 48 u exceeds it."""
    case, _arrays, expected, limits = judged(f"{op}:normal:0")
    (name,) = case.operation.outputs
    assert verdict(case, name, expected[name], expected, limits).max_bound_fraction < 0.5
    wrong = expected[name] * (1 + off * 4 * U["f32"])
    assert verdict(case, name, wrong, expected, limits).status == "failed"


def test_a_saturated_layer_is_held_to_the_error_of_its_own_argument():
    """Far below zero, an error delta of Z is a relative error delta of the sigmoid: no more, no less."""
    case, arrays, expected, limits = judged("affine_activation_forward:f32:m19i31o23_sigmoid:large:69312")
    Z = arrays["A_prev"].astype(np.float64) @ arrays["W"].astype(np.float64) + arrays["b"]
    got = numpy_loops.affine_activation_forward(arrays["A_prev"], arrays["W"], arrays["b"], "sigmoid")[0]
    assert Z.min() < -60
    found = verdict(case, "A", got, expected, limits)
    assert found.status == "passed", found.reason
    far = (Z < -60) & (expected["A"] > 1e-37)
    assert (limits["A"].limit[far] < 1e-2 * expected["A"][far]).all()


def test_relu_may_flip_only_where_the_sign_of_z_is_uncertain():
    case, arrays, _expected, limits = judged("affine_activation_backward:f32:m2i3o2_relu:positive:1")
    assert (evaluate(case, arrays)["db"] != 0).all()

    def cancel(arrays):
        arrays["b"][...] = -(arrays["A_prev"][:1].astype(np.float64) @ arrays["W"]).astype(np.float32)

    *_, uncertain = judged("affine_activation_backward:f32:m2i3o2_relu:positive:1", cancel)
    assert (uncertain["db"].limit > 1e-3).all()
    assert (limits["db"].limit < 1e-5).all()


def test_detectability_is_the_share_of_all_terms():
    _case, arrays, _, limits = judged("affine_backward:f32:m6i9o1:magnitudes:5")
    sizes = np.abs(arrays["dZ"].astype(np.float64).T * arrays["A_prev"].T)  # (i, m) terms of dW
    share = float((sizes > limits["dW"].limit).mean())
    assert limits["dW"].detectability == pytest.approx(share, abs=0.05)


def test_a_limit_as_large_as_the_terms_sees_nothing():
    from conformance.bounds.terms import seen

    f32 = np.dtype(np.float32)
    terms = np.array([1.0, 2.0, 0.0, 1e-60])
    assert seen(terms, np.array(1.5), np.ones(4), f32) == 0.5  # two count: 1e-60 is no float32
    assert seen(terms, np.array(9.0), np.ones(4), f32) == 0.0
    assert seen(np.zeros(4), np.array(0.0), np.ones(4), f32) is None
    assert seen(terms, np.array(0.0), np.full(4, np.nan), f32) is None


@pytest.mark.parametrize("scale", [0, -1074, 900])
def test_the_unit_is_the_largest_power_of_two_that_divides_every_element(scale):
    values = np.array([12.0, -20.0, 0.0, 36.0])
    assert sums.unit(np.ldexp(values, scale)) == np.ldexp(4.0, scale)
    assert sums.unit(np.append(np.ldexp(values, scale), np.ldexp(1.0, 70))) == np.ldexp(4.0, min(scale, 68))
    assert sums.unit(np.array([3.0, 2.0**-40])) == 2.0**-40
    assert sums.unit(np.zeros(3)) == sums.unit(np.zeros(0)) == np.inf
    assert [sums.unit(np.array([1.0, x])) for x in (np.nan, np.inf, -np.inf)] == [0, 0, 0]
    assert sums.unit(np.asarray(-6.0)) == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "batch_norm_forward:bf16:m7h6w2c15_training_eps1e-6_mom0:offset:120230312",
        "batch_norm_forward:f32:m3h9w2c1_training_eps1e-12_mom0:flat:919935574",
        "batch_norm_backward:f32:m1h4w2c17_training_eps1e-12:flat:296099702",
    ],
)
def test_where_the_variance_may_be_zero_nothing_is_asked_of_a_value_that_is_the_mean(text):
    _, _, expected, limits = judged(text)
    for name, limit in limits.items():
        for values in (limit.limit, limit.statistical):
            assert values is None or not np.isnan(values).any(), name
        assert np.isfinite(expected[name]).all()


def test_a_limit_that_is_no_number_hides_no_other_element():
    expected = np.ones(4)
    bound = Bound("bound", np.array([1e-3, np.nan, 1e-3, 1e-3]), None, None)
    wrong = compare(np.array([1, 2, 3.0, 1]), expected, bound, np.dtype(np.float64))
    assert (wrong.status, wrong.index) == ("failed", (2,))
    assert compare(np.array([1, 2, 1.0, 1]), expected, bound, np.dtype(np.float64)).max_bound_fraction == 0
