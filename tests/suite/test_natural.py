"""Right code as people write it raises no alarm: only its form may be remarked on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance.bounds import Arithmetic
from conformance.faults.diagnose import DTYPE_NOT_KEPT, UNEXPLAINED
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge

SEEDS = range(20)


def distribute_value(dz: Any, shape: tuple[int, int]) -> Any:
    return np.full(shape, dz / (shape[0] * shape[1]))


def conv_single_step(a_slice_prev: Any, W: Any, b: Any) -> Any:
    return float(np.sum(a_slice_prev * W) + np.float64(b.reshape(())))


def relu(Z: Any) -> Any:
    return np.maximum(Z, 0), Z


def cross_entropy_cost(AL: Any, Y: Any) -> Any:
    p = AL[np.arange(len(AL)), np.asarray(Y).reshape(-1)]
    return float(-np.log(p).mean()), (AL, Y)


MODULE = SimpleNamespace(
    distribute_value=distribute_value,
    conv_single_step=conv_single_step,
    relu=relu,
    cross_entropy_cost=cross_entropy_cost,
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
                form = record.reason.startswith(("dtype is", "is a "))
                assert record.status != "failed" or form, f"{record.case}: {record.reason}"
                if form:
                    assert record.diagnosis in (DTYPE_NOT_KEPT, UNEXPLAINED)
    assert compared >= 12 * len(SEEDS)
