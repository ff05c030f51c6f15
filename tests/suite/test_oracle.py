"""The oracle against definitions written out by hand, against finite differences, and where torch is none."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS
from conformance.oracle import evaluate

BACKWARD = {
    "pad3d_backward": ("pad3d", {"dinput": "input"}),
    "conv_backward": ("conv_forward", {"dA_prev": "A_prev", "dW": "W", "db": "b"}),
    "pool_backward": ("pool_forward", {"dA_prev": "A_prev"}),
    "affine_backward": ("affine_forward", {"dA_prev": "A_prev", "dW": "W", "db": "b"}),
    "affine_activation_backward": ("affine_activation_forward", {"dA_prev": "A_prev", "dW": "W", "db": "b"}),
    "sigmoid_backward": ("sigmoid", {"dZ": "Z"}),
    "relu_backward": ("relu", {"dZ": "Z"}),
    "softmax_backward": ("softmax", {"dX": "X"}),
    "cross_entropy_backward": ("cross_entropy_cost", {"dAL": "AL"}),
}


def _run(text: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    case = Case.parse(text)
    arrays = draw(case)
    return arrays, evaluate(case, arrays)


def test_outputs_have_the_names_of_the_table_and_are_float64():
    for case in generate(OPERATIONS.values(), ["f32"], 60, seed=1):
        outputs = evaluate(case, draw(case))
        assert list(outputs) == list(case.operation.outputs), case
        for value in outputs.values():
            assert isinstance(value, np.ndarray)
            assert value.dtype == np.float64


def test_inputs_are_unchanged_and_not_shared():
    for case in generate(OPERATIONS.values(), ["f64"], 12, seed=1):
        arrays = draw(case)
        before = {name: array.copy() for name, array in arrays.items()}
        for array in arrays.values():
            array.flags.writeable = False
        for value in evaluate(case, arrays).values():
            if value.size and value.flags.writeable:
                value[...] = -7
        assert all(np.array_equal(before[name], arrays[name], equal_nan=True) for name in arrays), case


def test_convolution_is_the_post_s_sum():
    case = Case.parse("conv_forward:f64:m2h7w6c3_f2k4_s3p5:small:1")
    arrays = draw(case)
    padded = np.pad(arrays["A_prev"], ((0, 0), (5, 5), (5, 5), (0, 0)))
    rows, columns = window_of(case).outputs
    expected = np.empty((2, rows, columns, 4))
    for i, y, x, k in np.ndindex(expected.shape):
        window = padded[i, 3 * y : 3 * y + 2, 3 * x : 3 * x + 2]
        expected[i, y, x, k] = (window * arrays["W"][..., k]).sum() + arrays["b"][0, 0, 0, k]
    assert np.array_equal(evaluate(case, arrays)["Z"], expected)


@pytest.mark.parametrize("mode", ["max", "average"])
def test_pools_are_the_maximum_and_the_mean_of_a_window(mode):
    arrays, outputs = _run(f"pool_forward:f64:m2h8w5c3_f2s3_{mode}:small:1")
    take = np.max if mode == "max" else np.mean
    for i, y, x, c in np.ndindex(outputs["A"].shape):
        window = arrays["A_prev"][i, 3 * y : 3 * y + 2, 3 * x : 3 * x + 2, c]
        assert outputs["A"][i, y, x, c] == take(window)


def test_remaining_operations_are_their_formulas():
    arrays, outputs = _run("pad3d:f64:m2h3w4c5_p2:normal:1")
    assert np.array_equal(outputs["output"], np.pad(arrays["input"], ((0, 0), (2, 2), (2, 2), (0, 0))))
    arrays, outputs = _run("pad3d_backward:f64:m2h3w4c5_p2:normal:1")
    assert np.array_equal(outputs["dinput"], arrays["doutput"][:, 2:-2, 2:-2])
    arrays, outputs = _run("conv_single_step:f64:f3c4:small:1")
    assert outputs["Z"] == (arrays["a_slice_prev"] * arrays["W"]).sum() + arrays["b"]
    arrays, outputs = _run("distribute_value:f64:h3w4:normal:1")
    assert np.array_equal(outputs["a"], np.full((3, 4), arrays["dz"] / 12))
    arrays, outputs = _run("arr2col:f64:m2h3w4c5:normal:1")
    assert np.array_equal(outputs["output"], arrays["X"].reshape(2, 60))
    arrays, outputs = _run("col2arr:f64:m2h3w4c5:normal:1")
    assert np.array_equal(outputs["output"], arrays["X"].reshape(2, 3, 4, 5))
    arrays, outputs = _run("affine_activation_forward:f64:m2i3o4_relu:small:1")
    assert np.array_equal(outputs["A"], np.maximum(arrays["A_prev"] @ arrays["W"] + arrays["b"], 0))
    arrays, outputs = _run("softmax:f64:m3n4:normal:1")
    powers = np.exp(arrays["X"])
    assert np.allclose(outputs["probs"], powers / powers.sum(axis=1, keepdims=True), rtol=1e-14)
    arrays, outputs = _run("cross_entropy_cost:f64:m5n4:probabilities:1")
    assert np.isclose(outputs["loss"], -np.log(arrays["AL"][np.arange(5), arrays["Y"]]).mean(), rtol=1e-14)
    arrays, outputs = _run("softmax_cross_entropy_backward:f64:m3n4:normal:1")
    powers = np.exp(arrays["X"])
    expected = (powers / powers.sum(axis=1, keepdims=True) - np.eye(4)[arrays["Y"]]) / 3
    assert np.allclose(outputs["dX"], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("op", BACKWARD)
def test_gradients_agree_with_central_differences(op):
    forward, variables = BACKWARD[op]
    rng = np.random.default_rng(5)
    checked = 0
    for case in generate([OPERATIONS[op]], ["f64"], 260, seed=2):
        if case.family not in ("normal", "probabilities") or case["m"] == 0:
            continue
        if dict(case.params).get("c") == 0:
            continue
        arrays = draw(case)
        gradients = evaluate(case, arrays)
        there = case.replace(op=forward)
        if op == "pad3d_backward":
            arrays["input"] = np.zeros((case["m"], case["h"], case["w"], case["c"]))
        upstream = arrays[case.operation.upstream] if case.operation.upstream else np.ones(())
        for output, variable in variables.items():
            direction = rng.standard_normal(arrays[variable].shape)
            step = 1e-6 * (0.01 if op == "cross_entropy_backward" else 1)

            def along(
                t: float,
                there=there,
                arrays=arrays,
                variable=variable,
                direction=direction,
                upstream=upstream,
            ) -> float:
                moved = {n: arrays[n] for n in there.operation.arrays}
                moved[variable] = moved[variable] + t * direction
                (value,) = evaluate(there, moved).values()
                return float((value * upstream).sum())

            numeric = (along(step) - along(-step)) / (2 * step)
            analytic = float((gradients[output] * direction).sum())
            scale = np.abs(gradients[output] * direction).sum() + 1e-30
            # A kink of relu or max between the two points spoils a difference, not the gradient.
            if "relu" not in str(case) and "max" not in str(case):
                assert abs(numeric - analytic) < 2e-5 * scale, (case, output)
            else:
                assert abs(numeric - analytic) < 2e-2 * scale, (case, output)
            checked += 1
    assert checked >= 3


def test_ties_nan_and_infinities_follow_torch():
    pool = Case.parse("pool_backward:f64:m1h2w2c1_f2s1_max:ties:0")
    mask = Case.parse("create_mask_from_window:f64:h2w2:ties:0")
    nan, low = np.nan, -np.inf
    for window, place in (
        ([[3, 3], [1, 2]], (0, 0)),
        ([[0, 5], [5, 5]], (0, 1)),
        ([[nan, 9], [nan, 1]], (1, 0)),
        ([[low, low], [low, low]], (0, 0)),
        ([[low, nan], [np.inf, 0]], (0, 1)),
    ):
        x = np.array(window, dtype=float)
        expected = np.zeros((2, 2))
        expected[place] = 1
        assert np.array_equal(evaluate(mask, {"x": x})["mask"], expected), window
        arrays = {"A_prev": x.reshape(1, 2, 2, 1), "dA": np.full((1, 1, 1, 1), 2.5)}
        assert np.array_equal(evaluate(pool, arrays)["dA_prev"].reshape(2, 2), 2.5 * expected), window
    relu = Case.parse("relu_backward:f64:m1h1w1c5:zeros:0")
    Z, dA = np.array([0.0, -0.0, nan, np.inf, -1]), np.arange(2.0, 7)
    got = evaluate(relu, {"Z": Z.reshape(1, 1, 1, 5), "dA": dA.reshape(1, 1, 1, 5)})["dZ"].reshape(-1)
    assert got.tolist() == [0, 0, 4, 5, 0]


def test_the_loss_of_an_impossible_label_is_infinite():
    arrays, outputs = _run("cross_entropy_cost:f64:m4n5:impossible:1")
    assert arrays["AL"][0, arrays["Y"][0]] == 0
    assert outputs["loss"] == np.inf
    arrays, outputs = _run("cross_entropy_backward:f64:m4n5:impossible:1")
    assert outputs["dAL"][0, arrays["Y"][0]] == -np.inf
    assert np.isneginf(outputs["dAL"]).sum() == 1


def test_an_empty_batch_gives_empty_outputs_and_zero_gradients():
    _, outputs = _run("conv_backward:f64:m0h5w7c3_f3k4_s2p1:normal:1")
    assert outputs["dA_prev"].shape == (0, 5, 7, 3)
    assert np.array_equal(outputs["dW"], np.zeros((3, 3, 3, 4)))
    assert np.array_equal(outputs["db"], np.zeros((1, 1, 1, 4)))
    _, outputs = _run("affine_backward:f64:m0i3o4:normal:1")
    assert outputs["dA_prev"].shape == (0, 3)
    assert np.array_equal(outputs["dW"], np.zeros((3, 4)))
    _, outputs = _run("pool_forward:f64:m0h5w7c3_f2s2_max:normal:1")
    assert outputs["A"].shape == (0, 2, 3, 3)
    _, outputs = _run("cross_entropy_cost:f64:m0n4:probabilities:1")
    assert np.isnan(outputs["loss"])
    for op in ("cross_entropy_backward", "softmax_cross_entropy_backward"):
        family = "normal" if op.startswith("softmax") else "probabilities"
        (value,) = _run(f"{op}:f64:m0n4:{family}:1")[1].values()
        assert value.shape == (0, 4)


def test_the_sum_over_no_channel_is_the_bias():
    arrays, outputs = _run("conv_forward:f64:m2h5w6c0_f3k4_s1p1:normal:1")
    assert outputs["Z"].shape == (2, 5, 6, 4)
    assert (outputs["Z"] == arrays["b"]).all()
    arrays, outputs = _run("conv_backward:f64:m2h5w6c0_f3k4_s1p1:normal:1")
    assert outputs["dA_prev"].shape == (2, 5, 6, 0)
    assert outputs["dW"].shape == (3, 3, 0, 4)
    assert np.allclose(outputs["db"], arrays["dZ"].sum(axis=(0, 1, 2)))
    for mode in ("max", "average"):
        assert _run(f"pool_forward:f64:m2h5w7c0_f2s2_{mode}:normal:1")[1]["A"].shape == (2, 2, 3, 0)
        assert _run(f"pool_backward:f64:m2h5w7c0_f2s2_{mode}:normal:1")[1]["dA_prev"].shape == (2, 5, 7, 0)


def test_subnormals_are_not_flushed():
    for dtype in ("f32", "f64"):
        case = Case.parse(f"affine_forward:{dtype}:m4i7o5:subnormal:1")
        arrays = draw(case)
        unit = np.abs(np.asarray(arrays["A_prev"], dtype=np.float64)).min()
        whole = {n: a.astype(np.float64) / (1 if n == "W" else unit) for n, a in arrays.items()}
        assert np.array_equal(evaluate(case, arrays)["Z"] / unit, evaluate(case, whole)["Z"])


def test_counts_come_from_ones_and_sums_from_absolute_values():
    """What the bounds rely on: an operation on ones counts its terms, padding not among them."""
    case = Case.parse("conv_backward:f32:m2h4w5c3_f3k6_s1p1:normal:1")
    arrays = draw(case)
    ones = {name: np.ones(array.shape, dtype=bool) for name, array in arrays.items()}
    counts = evaluate(case, ones)
    assert counts["dA_prev"].min() == 4 * 6  # a corner is under 4 windows, of 6 filters
    assert counts["dA_prev"].max() == 9 * 6
    assert counts["dW"][1, 1].min() == 2 * 4 * 5
    assert counts["dW"][0, 0].max() == 2 * 3 * 4
    assert (counts["db"] == 2 * 4 * 5).all()


def test_onednn_is_off_inside_and_as_it_was_outside(monkeypatch):
    states = []
    conv2d = torch.nn.functional.conv2d

    def watch(*arguments, **keywords):
        states.append(torch.backends.mkldnn.enabled)
        return conv2d(*arguments, **keywords)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watch)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)
    _run("conv_backward:f64:m2h5w7c3_f3k4_s2p1:normal:1")
    assert states == [False]
    assert torch.backends.mkldnn.enabled


def test_torch_is_imported_by_the_oracle_alone_and_runs_on_one_thread():
    code = (
        "import sys, conformance.generation.generate, conformance.generation.arrays\n"
        "assert 'torch' not in sys.modules\n"
        "import conformance.oracle, torch\n"
        "assert torch.get_num_threads() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
