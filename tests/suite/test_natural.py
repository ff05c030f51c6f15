"""Right code as people write it raises no alarm; of its form alone something may be said."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.patches import patches
from conformance.cases.window import window_of
from conformance.faults.diagnose import DTYPE_NOT_KEPT
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation, here
from conformance.operations import OPERATIONS
from conformance.verdict.form import fault
from conformance.verdict.judge import Judge

SEEDS = range(20)


def distribute_value(dz: Any, shape: tuple[int, int]) -> Any:
    return np.full(shape, dz / (shape[0] * shape[1]))


def conv_single_step(a_slice_prev: Any, W: Any, b: Any) -> Any:
    return np.sum(a_slice_prev * W) + b


def relu(Z: Any) -> Any:
    return np.maximum(Z, 0), Z


def cross_entropy_cost(AL: Any, Y: Any) -> Any:
    p = AL[np.arange(len(AL)), np.asarray(Y).reshape(-1)]
    return -np.log(p).mean(), (AL, Y)


def cross_entropy_backward(cache: Any) -> Any:
    AL, Y = cache
    rows, labels = np.arange(len(AL)), np.asarray(Y).reshape(-1)
    dAL = np.zeros(AL.shape)
    dAL[rows, labels] = -1 / (len(AL) * AL[rows, labels])
    return dAL


def create_mask_from_window(x: Any) -> Any:
    return x == np.max(x)


def pool_forward(A_prev: Any, hparameters: Any, mode: str = "max") -> Any:
    f, s = hparameters["f"], hparameters["stride"]
    m, h, w, c = A_prev.shape
    A = np.zeros((m, (h - f) // s + 1, (w - f) // s + 1, c), A_prev.dtype)
    for y, x in np.ndindex(*A.shape[1:3]):
        window = A_prev[:, y * s : y * s + f, x * s : x * s + f]
        A[:, y, x] = window.max((1, 2)) if mode == "max" else window.mean((1, 2))
    return A, (A_prev, f, s)


def pool_backward(dA: Any, cache: Any, mode: str = "max") -> Any:
    A_prev, f, s = cache
    dA_prev = np.zeros_like(A_prev)
    for y, x in np.ndindex(*dA.shape[1:3]):
        place = slice(None), slice(y * s, y * s + f), slice(x * s, x * s + f)
        window, g = A_prev[place], dA[:, y : y + 1, x : x + 1]
        dA_prev[place] += (window == window.max((1, 2), keepdims=True)) * g if mode == "max" else g / (f * f)
    return dA_prev


MODULE = SimpleNamespace(
    distribute_value=distribute_value,
    conv_single_step=conv_single_step,
    relu=relu,
    cross_entropy_cost=cross_entropy_cost,
    cross_entropy_backward=cross_entropy_backward,
)
MASKS = SimpleNamespace(
    create_mask_from_window=create_mask_from_window, pool_forward=pool_forward, pool_backward=pool_backward
)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("op", vars(MODULE))
def test_no_value_of_natural_code_is_wrong(op: str) -> None:
    judge = Judge(Implementation("natural", MODULE, Arithmetic.declared(None, None)))
    compared = 0
    for seed in SEEDS:
        for case in generate([OPERATIONS[op]], ["f32", "f64"], 12, seed):
            for record in judge(case):
                compared += record.status != "absent"
                assert record.status != "failed", f"{record.case}: {record.reason}"
                if record.output == "dAL" and record.dtype == "f32" and record.status == "passed":
                    assert fault(record.form) == DTYPE_NOT_KEPT
                else:
                    assert not fault(record.form)
    assert compared >= 12 * len(SEEDS)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    ("op", "name"), [("create_mask_from_window", "mask-ties-all"), ("pool_backward", "pool-ties-all")]
)
def test_a_mask_of_all_maxima_is_wrong_of_ties_alone(op: str, name: str) -> None:
    judge = Judge(Implementation("natural", MASKS, Arithmetic.declared(None, None)))
    seen = Counter[str]()
    for case in generate([OPERATIONS[op]], ["f32", "f64"], 60, 3):
        for record in judge(case):
            tied = record.status != "absent" and _tied(case)
            seen[f"{record.status}{' tied' if tied else ''}"] += 1
            if record.status == "failed":
                assert (tied, record.diagnosis) == (True, name), record
    assert seen["failed tied"], seen
    assert seen["passed"] >= 12, seen


def _tied(case: Case) -> bool:
    """Whether a window has several maxima, or NaN, which none equals."""
    a = draw(case)
    if "x" in a:
        taken = a["x"].reshape(1, -1)
    else:
        windows = patches(a["A_prev"], window_of(case))
        taken = np.moveaxis(windows, -1, 0).reshape(-1, window_of(case).size)
    return bool(np.isnan(taken).any() or ((taken == taken.max(1, keepdims=True)).sum(1) > 1).any())


@pytest.mark.parametrize(
    ("peer", "line"),
    [
        # einsum takes what has a stride of zero out of the sum: inf (g1 + g2) where it was inf g1 + inf g2.
        ("numpy_loops", "conv_transpose_backward:f64:m3h2w4c17_f7k1_s5p0:infinity:458487798"),
        # PyTorch has no gradient of a negative slope in place: the sign is gone.
        ("torch_float32", "leaky_relu_backward:f32:m5h13w4c9_a-0.1:positive:553878399"),
    ],
)
def test_a_peer_that_is_right_passes(peer, line):
    case = Case.parse(line)
    records = Judge(here(peer))(case)
    assert [record.output for record in records] == list(case.operation.outputs)
    assert {record.status for record in records} == {"passed"}, records
