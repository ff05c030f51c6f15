"""The cases of a run: how many, which, and that each could show a fault in any of its parameters."""

from collections import Counter

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.generation import covering
from conformance.generation import generate as generate_module
from conformance.generation.acceptable import acceptable, all_show, may_show
from conformance.generation.arrays import draw
from conformance.generation.corners import CORNERS, corner_of, corners
from conformance.generation.families import FAMILIES
from conformance.generation.generate import DRAWN, generate
from conformance.operations import OPERATIONS
from conformance.oracle import evaluate

COUNT = 200
WINDOWED = ("conv_forward", "conv_backward", "pool_forward", "pool_backward")


@pytest.fixture(scope="module")
def run() -> list[Case]:
    return list(generate(OPERATIONS.values(), ["f32", "f64"], COUNT, seed=3))


def test_exactly_count_different_cases_for_each_operation_and_dtype(run):
    assert Counter((case.op, case.dtype) for case in run) == {
        (op, dtype): COUNT for op in OPERATIONS for dtype in ("f32", "f64")
    }
    assert len({str(case) for case in run}) == len(run)


def test_any_part_of_a_run_is_what_the_whole_has_there(run):
    operations, dtypes = list(OPERATIONS.values()), ["f32", "f64"]
    for start, stop in ((0, 1), (7, 7), (COUNT - 3, COUNT + 5), (4000, 4300), (len(run) - 2, len(run) + 9)):
        assert list(generate(operations, dtypes, COUNT, 3, start, stop)) == run[start:stop]


def test_a_drawn_case_is_never_a_corner_of_the_same_run(monkeypatch):
    """Not even where its data seed is the run's."""
    operation, seed = OPERATIONS["distribute_value"], 5
    drawn = generate_module.Drawing(operation, "f32", seed)
    turn = (seed - drawn._first) % 10**9
    found = drawn.further(turn)
    assert found.seed == seed
    monkeypatch.setattr(generate_module, "corner_of", lambda case: case == found or None)
    assert drawn.further(turn) != found
    assert drawn.further(turn).seed == seed


def test_every_case_reads_back_and_suits_its_family(run):
    for case in run:
        assert Case.parse(str(case)) == case
        assert FAMILIES[case.family].suits(case), case


def test_the_same_seed_gives_the_same_cases_and_another_seed_others(run):
    assert list(generate(OPERATIONS.values(), ["f32", "f64"], COUNT, seed=3)) == run
    other = set(generate(OPERATIONS.values(), ["f32", "f64"], COUNT, seed=4))
    assert not other & set(run)


def test_one_operation_alone_gives_the_cases_it_has_in_a_full_run(run):
    alone = list(generate([OPERATIONS["pool_backward"]], ["f64"], COUNT, seed=3))
    assert alone == [case for case in run if (case.op, case.dtype) == ("pool_backward", "f64")]


def test_every_corner_is_in_a_run_and_known_by_its_name(run):
    named = Counter((case.op, case.dtype, corner_of(case)) for case in run)
    for corner in CORNERS:
        for dtype in ("f32", "f64"):
            assert named[corner.op, dtype, corner.name], corner
    assert all(corner.source for corner in CORNERS)


def test_fewer_cases_than_corners_are_a_sample_of_them():
    operation = [OPERATIONS["conv_backward"]]
    few = list(generate(operation, ["f32"], 10, seed=0))
    assert len(set(few)) == 10
    assert sum(bool(corner_of(case) or case.beyond) for case in few) >= 9
    assert few == list(generate(operation, ["f32"], 10, seed=0))
    assert {corner_of(c) for c in few} != {corner_of(c) for c in generate(operation, ["f32"], 10, seed=1)}


def test_a_fault_in_a_second_row_shows_in_a_few_cases():
    """The corners of the sigmoid have one row; some cases have to be drawn beside them."""
    few = list(generate([OPERATIONS["sigmoid"]], ["f32"], 30, seed=0))
    assert len(set(few)) == 30
    assert sum(case["h"] > 1 for case in few) >= 30 // DRAWN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((["f32"], 0, 0), "count is 0"), ((["f8"], 5, 0), "dtype is 'f8'"), ((["f32"], 5, 10**9), "seed is")],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        list(generate([OPERATIONS["relu"]], *arguments))


def test_no_two_extents_of_a_drawn_case_are_equal(run):
    drawn = [case for case in run if corner_of(case) is None]
    assert len(drawn) > len(run) // 3
    for case in drawn:
        # A depthwise convolution without a multiplier has as many filters as channels: there is no choice.
        depthwise = case.levels.get("g") == "depthwise"
        numbers = [
            value
            for name, value in case.params
            if isinstance(value, int)
            and (not case.beyond or name in "mhwck")
            and not (depthwise and name == "k")
        ]
        assert not depthwise or case["k"] == case["c"]
        assert len(set(numbers)) == len(numbers), case
        if case.op in WINDOWED:
            rows, columns = window_of(case).outputs
            assert rows != columns, case


def test_drawn_cases_use_every_family_and_word_that_fits(run):
    for op in OPERATIONS:
        used = {case.family for case in run if case.op == op}
        fitting = {family.name for family in FAMILIES.values() if op in family.operations}
        assert used == fitting, op
    for mode in ("max", "average"):
        assert sum(case.op == "pool_backward" and case.word("mode") == mode for case in run) >= 40


def test_the_issue_s_shapes_are_reached(run):
    conv = [case for case in run if case.op == "conv_backward"]
    widths = {1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65}
    assert widths <= {case["c"] for case in conv}
    assert widths <= {case["k"] for case in conv}
    reached = {
        "does not tile": lambda c: (c["h"] + 2 * c["p"] - c["f"]) % c["s"] > 0,
        "window is input": lambda c: c["f"] == c["h"] == c["w"],
        "stride above window": lambda c: c["s"] > c["f"],
        "1x1": lambda c: c["f"] == 1,
        "one channel": lambda c: c["c"] == 1,
        "one sample": lambda c: c["m"] == 1,
        "empty batch": lambda c: c["m"] == 0,
        "padding is window": lambda c: c["p"] == c["f"],
        "padding above window": lambda c: c["p"] > c["f"],
        "1x1 stride 2, few channels": lambda c: c["f"] == 1 and c["s"] == 2 and c["c"] == 9,
    }
    assert [what for what, found in reached.items() if not any(map(found, conv))] == []


def _drawn(op: str, number: int = 6) -> list[Case]:
    count = len(corners(op)) + len(covering.rows(op)) + 40
    cases = generate([OPERATIONS[op]], ["f64"], count, seed=11)
    plain = (c for c in cases if corner_of(c) is None and not c.beyond)
    return [c for c in plain if c.family in ("normal", "probabilities")][:number]


def _differs(case: Case, changed: Case, arrays: dict[str, np.ndarray]) -> bool:
    """Whether the oracle answers otherwise for the same arrays under other parameters."""
    before, after = evaluate(case, arrays), evaluate(changed, arrays)
    return any(
        before[name].shape != after[name].shape or not np.array_equal(before[name], after[name])
        for name in before
    )


@pytest.mark.parametrize("op", ["conv_forward", "pool_forward", "pad3d"])
def test_stride_padding_window_and_mode_change_the_oracle_s_output(op):
    cases = _drawn(op)
    assert cases
    for case in cases:
        arrays = draw(case)
        for name, value in case.params:
            if name == "s":
                changes = [value + 1] + ([value - 1] if value > 1 else [])
            elif name == "p":
                changes = [value + 1] + ([value - 1] if value and op == "pad3d" else [])
            elif name == "f" and op == "pool_forward":
                changes = [value - 1]
            elif name == "mode":
                changes = ["average" if value == "max" else "max"]
            else:
                continue
            for change in changes:
                assert _differs(case, case.replace(**{name: change}), arrays), (case, name, change)


def test_the_activation_changes_the_oracle_s_output():
    for op in ("affine_activation_forward", "affine_activation_backward"):
        for case in _drawn(op):
            for word in {"relu", "sigmoid", "NULL"} - {case.word("activation")}:
                assert _differs(case, case.replace(activation=word), draw(case)), (case, word)


#: Gradients of an even function, or whose slope may be one for a whole channel.
FLAT = ("tanh_backward", "leaky_relu_backward", "relu6_backward", "hardtanh_backward", "hardsigmoid_backward")


def _silent(case: Case, name: str) -> bool:
    """Whether no output may depend on an array: the gradients of a linear function by its own variable."""
    if name == "b":
        return case.op in ("conv_backward", "conv_transpose_backward", "affine_backward") or (
            case.op == "affine_activation_backward" and case.word("activation") == "NULL"
        )
    if name == "A_prev" and case.op == "pool_backward":
        return case.word("mode") == "average"
    if name.startswith("running") and case.get("mom", 0) == 1 and case.word("statistics") == "training":
        return True  # the new ones replace them
    if case.op == "batch_norm_backward":
        return name == "beta" or (name.startswith("running") and case.word("statistics") == "training")
    if "each pixel" in case.operation.traits and (case["c"] == 1 or case.family == "flat"):
        return name != "dA"  # a pixel that is its own mean
    if case.op == "layer_norm_backward":
        return name == "beta"
    if case.op == "global_average_pool_backward":
        return name == "A_prev"
    if case.op in FLAT or (case.op == "leaky_relu" and case.family == "zeros"):
        return name == "Z"
    return name == "Y"


@pytest.mark.parametrize(
    "op", [op for op in OPERATIONS if op not in ("create_mask_from_window", "distribute_value")]
)
def test_every_sample_channel_and_filter_of_every_array_counts(op):
    """Half of a slice along the first or the last axis of an array, turned in sign, shows in an output."""
    # A rectified filter may be dead in a small batch; the activations are compared above.
    cases = [
        case for case in _drawn(op, 12) if not str(case).startswith("affine") or "_relu:" not in str(case)
    ]
    assert cases
    for case in cases:
        arrays = draw(case)
        right = evaluate(case, arrays)
        for name, array in arrays.items():
            if _silent(case, name):
                continue
            # Of a row of probabilities only the label's counts.
            axes = {0} if name == "AL" or array.ndim < 2 else {0, array.ndim - 1}
            for axis in axes if array.ndim else ():
                for index in range(array.shape[axis]):
                    changed = array.copy()
                    np.moveaxis(changed, axis, 0)[index] *= 0.5 if name == "AL" else -0.5
                    wrong = evaluate(case, {**arrays, name: changed})
                    assert any(not np.array_equal(right[o], wrong[o]) for o in right), (
                        case,
                        name,
                        axis,
                        index,
                    )


def test_options_said_to_show_nowhere_show_nowhere():
    seen = Counter()
    for op in OPERATIONS:
        for seed in range(4):
            drawn = generate_module.Drawing(OPERATIONS[op], "f32", seed)
            for number, row in enumerate(covering.rows(op)):
                shown = all_show(drawn.covering(number))
                seen[may_show(row), shown] += 1
                assert may_show(row) or not shown, (op, row)
    assert seen[False, False] > 50
    assert seen[True, True] > 500
    assert seen[True, False] < 50  # such kinds show in some shapes, but hardly any


def test_a_coincidence_of_extents_is_not_acceptable():
    good = Case.parse("conv_forward:f32:m2h9w7c6_f3k4_s1p0:normal:0")
    assert acceptable(good)
    assert not acceptable(good.replace(w=9))
    assert not acceptable(good.replace(c=4))
    assert not acceptable(good.replace(s=5, h=9, w=8))  # 2 rows, 2 columns
    assert not acceptable(good.replace(f=11))  # above the padded input
    assert not acceptable(good.replace(f=1, h=5, w=11, s=8, p=3))  # the rows read are all padding
    pool = Case.parse("pool_forward:f32:m2h11w7c5_f3s4_max:normal:0")
    assert acceptable(pool)
    assert not acceptable(pool.replace(f=1))  # the maximum of one element is its mean
    assert not acceptable(good.replace(h=100, w=99))  # too large for a quick run
