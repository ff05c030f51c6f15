"""The arrays of a case: exact where they are said to be, never degenerate."""

import numpy as np
import pytest

from conformance.bounds.tier import kind_of
from conformance.cases.case import Case
from conformance.generation.arrays import array_shapes, draw
from conformance.generation.corners import CORNERS
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS
from conformance.oracle import evaluate

MANTISSA = {"f32": 24, "f64": 53}
FULL = ("normal", "positive", "negative", "magnitudes", "cancelling")


@pytest.fixture(scope="module")
def run() -> list[Case]:
    return list(generate(OPERATIONS.values(), ["f32", "f64"], 130, seed=8))


def test_shapes_dtypes_and_layout(run):
    for case in run:
        arrays = draw(case)
        assert list(arrays) == list(case.operation.arrays)
        for name, shape in array_shapes(case).items():
            assert arrays[name].shape == shape, (case, name)
            assert arrays[name].dtype == (np.int64 if name == "Y" else case.numpy_dtype)
            assert arrays[name].flags.c_contiguous
            assert arrays[name].flags.writeable


def test_the_upstream_gradient_has_the_shape_of_the_forward_output():
    for op, forward, output in (
        ("conv_backward", "conv_forward", "Z"),
        ("pool_backward", "pool_forward", "A"),
    ):
        for corner in CORNERS:
            if corner.op == op:
                case = corner.case("f64")
                arrays = draw(case)
                there = case.replace(op=forward)
                expected = evaluate(there, {n: arrays[n] for n in there.operation.arrays})[output].shape
                assert arrays[case.operation.upstream].shape == expected, case


def test_the_upstream_gradient_is_never_constant(run):
    checked = 0
    for case in run:
        if case.operation.upstream:
            gradient = draw(case)[case.operation.upstream]
            if gradient.size > 1:
                checked += 1
                assert gradient.min() != gradient.max(), case
            elif gradient.size:
                assert gradient.item() != 1, case
    assert checked > 1000


def test_a_gradient_of_one_element_is_never_one():
    drawn = [draw(Case.parse(f"affine_backward:f32:m1i3o1:wide-x:{seed}"))["dZ"].item() for seed in range(20)]
    assert drawn == [-1.0] * 20


def test_inputs_are_not_degenerate(run):
    for case in run:
        for name, array in draw(case).items():
            if array.size > 8 and case.family not in (
                "constant",
                "flat",
                "certain",
                "impossible",
                "one-hot",
                "missing",
                "closed",
                "all-ignored",
            ):
                assert len(np.unique(array)) > 1, (case, name)


def _lowest_bit(values: np.ndarray) -> float:
    """The largest power of two that divides every value."""
    values = np.abs(values[values != 0]).astype(np.float64)
    if not values.size:
        return 1.0
    significand, exponent = np.frexp(values)
    whole = np.ldexp(significand, 53).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64))
    return float(2.0 ** (exponent - 53 + trailing).min())


def test_every_partial_sum_of_an_exact_case_is_exact(run):
    """Any subset of the terms sums to less than 2**24 or 2**53 of the smallest unit a term may have."""
    checked = 0
    for case in run:
        if kind_of(case) != "exact":
            continue
        arrays = draw(case)
        total = evaluate(case, {n: a if n == "Y" else np.abs(a) for n, a in arrays.items()})
        terms = evaluate(case, {n: (a != 0).astype(float) for n, a in arrays.items()})
        units = {n: _lowest_bit(a) for n, a in arrays.items()}
        products = {
            "conv_backward": {"dA_prev": ("W", "dZ"), "dW": ("A_prev", "dZ"), "db": ("dZ",)},
            "conv_transpose_backward": {"dA_prev": ("W", "dZ"), "dW": ("A_prev", "dZ"), "db": ("dZ",)},
            "affine_backward": {"dA_prev": ("W", "dZ"), "dW": ("A_prev", "dZ"), "db": ("dZ",)},
        }.get(case.op, {o: tuple(n for n in arrays if n not in ("b", "dA")) for o in case.operation.outputs})
        if case.op.startswith(("pool", "relu", "affine_activation", "create", "distribute")):
            continue
        for output, factors in products.items():
            unit = min(
                np.prod([units[n] for n in factors]), units.get("b", np.inf) if "d" not in output else np.inf
            )
            exact = (total[output] <= 2.0 ** MANTISSA[case.dtype] * unit) | (terms[output] <= 1)
            assert exact.all(), (case, output)
            checked += 1
    assert checked > 200


def test_wide_families_leave_no_term_out_and_use_the_width_they_can():
    for dtype, width in (("f32", 12), ("f64", 40)):
        arrays = draw(Case.parse(f"conv_backward:{dtype}:m2h9w7c5_f3k4_s2p1:wide-x:1"))
        wide = np.abs(arrays["A_prev"])
        assert (wide % 2 == 1).all()
        assert wide.min() >= 2 ** (width - 1)
        assert 0.9 * 2**width < wide.max() < 2**width
        assert set(np.unique(arrays["dZ"])) == {-1.0, 1.0}
    # 28 * 27 * 7 terms of 12 bits would leave float32.
    arrays = draw(Case.parse("conv_backward:f32:m7h28w27c3_f1k4_s1p0:wide-x:1"))
    assert np.abs(arrays["A_prev"]).max() * 28 * 27 * 7 <= 2**24


@pytest.mark.parametrize("family", FULL)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_full_mantissa_families_use_the_last_bit_of_every_value(family, dtype):
    op = "pool_backward" if family == "negative" else "affine_backward"
    shape = "m5h9w7c6_f2s2_max" if family == "negative" else "m15i23o17"
    for name, array in draw(Case.parse(f"{op}:{dtype}:{shape}:{family}:2")).items():
        bits = array.view(np.uint32 if dtype == "f32" else np.uint64)
        assert (bits & 1 == 1).all(), name
        # and of every other bit of the significand, in some value
        used = np.bitwise_or.reduce(bits.reshape(-1)) & np.array(2 ** (MANTISSA[dtype] - 1) - 1, bits.dtype)
        assert used == 2 ** (MANTISSA[dtype] - 1) - 1 or array.size < 40, name


def test_normal_values_have_mean_zero_and_the_stated_deviation():
    values = draw(Case.parse("relu:f64:m50h20w19c7:normal:3"))["Z"]
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1.155) < 0.02
    assert 0.45 < (np.abs(values) < 0.78).mean() < 0.55


def test_magnitudes_span_eight_decades():
    values = np.abs(draw(Case.parse("relu:f32:m50h20w19c7:magnitudes:3"))["Z"])
    assert values.min() < 3e-4
    assert values.max() > 4e3


def test_cancelling_sums_cancel():
    case = Case.parse("affine_backward:f64:m16i24o18:cancelling:1")
    arrays = draw(case)
    right = evaluate(case, arrays)
    total = evaluate(case, {name: np.abs(array) for name, array in arrays.items()})
    for name in right:
        assert np.median(np.abs(right[name]) / total[name]) < 0.01, name


def test_special_values_are_there_and_never_beside_padding():
    for family, found in (("nan", np.isnan), ("infinity", np.isinf), ("lowest", np.isneginf)):
        op = "pool_forward:f32:m2h6w5c3_f2s1_max"
        assert found(draw(Case.parse(f"{op}:{family}:1"))["A_prev"]).any()
    for text in (
        "conv_forward:f32:m2h5w4c3_f2k6_s1p1:nan:0",
        "conv_backward:f32:m2h5w4c3_f2k6_s2p0:infinity:0",
    ):
        with pytest.raises(ValueError, match="does not go with it"):
            draw(Case.parse(text))
    with pytest.raises(ValueError, match="no data family 'nomral'"):
        draw(Case.parse("relu:f32:m1h2w3c4:nomral:0"))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_subnormals_are_subnormal(dtype):
    values = draw(Case.parse(f"conv_forward:{dtype}:m2h9w7c5_f3k4_s2p1:subnormal:1"))["A_prev"]
    assert (values != 0).all()
    assert (np.abs(values) < np.finfo(values.dtype).tiny).all()


def test_rectified_inputs_hold_zeros_of_both_signs():
    values = draw(Case.parse("relu:f32:m2h9w7c5:zeros:1"))["Z"]
    assert 0.3 < (values == 0).mean() < 0.7
    assert np.signbit(values).any()
    assert (values >= 0).all()


def test_probabilities_are_positive_and_sum_to_one():
    for family in ("probabilities", "magnitudes"):
        AL = draw(Case.parse(f"cross_entropy_cost:f32:m30n17:{family}:1"))["AL"]
        assert (AL > 0).all()
        assert np.allclose(AL.sum(axis=1), 1, rtol=1e-5)


def test_missing_classes_are_missing_and_labels_in_range(run):
    labels = draw(Case.parse("cross_entropy_cost:f32:m60n17:missing:1"))["Y"]
    assert set(labels) == set(range(1, 17, 2))
    for case in run:
        arrays = draw(case)
        if "Y" in arrays and case["m"]:
            ignored = case.value("ignore")
            counted = arrays["Y"] if ignored == "none" else arrays["Y"][arrays["Y"] != ignored]
            assert counted.size or case["m"] == 1 or case.family == "all-ignored"
            assert ignored == "none" or case["m"] == 1 or counted.size < case["m"]
            assert ((counted >= 0) & (counted < case["n"])).all()


def test_shifted_logits_overflow_a_naive_softmax_in_both_dtypes():
    for dtype in ("f32", "f64"):
        X = draw(Case.parse(f"softmax:{dtype}:m30n17:overflow:1"))["X"]
        with np.errstate(over="ignore", invalid="ignore"):
            naive = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
        assert not np.isfinite(naive).any()
