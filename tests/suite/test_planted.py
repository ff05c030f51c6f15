"""The suite fails every planted fault, names operation and output, and says which slip it is."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from typing import Any

import pytest

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.generation.corners import corners
from conformance.generation.effort import size_of
from conformance.generation.families import FAMILIES
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.operations.corner_sizes import SIZE
from conformance.verdict import form
from conformance.verdict.judge import Judge
from tests.planted import FAULTS, Fault, implementation
from tests.planted.post import post

#: Of the failures of a fault, those that are given its name.
SHARE = 0.9
#: Where it is less: values so near the right ones, or so far, that the fault cannot be told by them alone. A
#: run names the condition besides.
LESS = {
    "log_softmax-logarithm_of_the_softmax": 1 / 2,
    "conv_backward-filter_gradient_in_a_buffer_never_cleared": 0.6,
    "sigmoid-as_in_the_textbook": 0.7,
    "batch_norm_forward-epsilon_beside_the_deviation": 0.8,
    "batch_norm_forward-epsilon_of_a_library_at_least": 0.6,
    "batch_norm_forward-normalized_with_the_unbiased_variance": 0.8,
    "batch_norm_forward-biased_variance_kept": 0.8,
    "layer_norm_forward-divided_by_one_less": 0.8,
    # Of few channels it is far off, or as far as it may be in any order.
    "layer_norm_forward-mean_of_squares_less_square_of_the_mean": 0,
    "affine_activation_backward-relu_passes_at_zero": 1 / 2,
    "batch_norm_forward-mean_of_squares_less_square_of_mean": 0.1,
}
CASES = 24
#: A fault may show on one corner or data family alone: up to so many cases, all of them are run.
EVERY = 60
POST_CASES = 120

# NumPy warns of the mean of an empty batch; NaN is the right answer there.
pytestmark = pytest.mark.filterwarnings("ignore:Mean of empty slice")


def cases_of(op: str, dtype: str, seed: int) -> list[Case]:
    """Every corner and a turn of every data family, or for a function of very many a sample; no options.

    None of the sizes of real networks, for which loops in Python take long.
    """
    every = len(corners(op)) + sum(op in family.operations for family in FAMILIES.values())
    sizes = sum(corner.name.startswith(SIZE) for corner in corners(op))
    few = every - sizes <= EVERY
    cases = generate([OPERATIONS[op]], [dtype], every if few else 2 * CASES, seed)
    fitting = [case for case in cases if size_of(case) is None and (few or not case.beyond)]
    return fitting if few else fitting[:CASES]


def judged(fault: Fault, seed: int) -> Counter[tuple[str, str]]:
    """How often each output failed with each diagnosis."""
    judge = Judge(Implementation(str(fault), implementation(fault), Arithmetic.declared(None, None)))
    records = [record for case in cases_of(fault.op, fault.dtype, seed) for record in judge(case)]
    failed = Counter((r.output, str(r.diagnosis)) for r in records if r.status == "failed")
    return failed + Counter((r.output, form.fault(r.form)) for r in records if form.fault(r.form))


def test_enough_faults_on_every_operation() -> None:
    assert len(FAULTS) >= 60
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)
    assert {fault.op for fault in FAULTS} == set(OPERATIONS)
    assert set(LESS) <= {str(fault) for fault in FAULTS}
    assert len(LESS) <= (1 - SHARE) * len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_fails_where_it_is_and_has_its_name(fault: Fault) -> None:
    diagnoses = judged(fault, seed=20260)
    assert {output for output, _ in diagnoses} == set(fault.outputs)
    assert {name for _, name in diagnoses} <= {fault.slip, "unexplained"}
    named = sum(n for (_, name), n in diagnoses.items() if name == fault.slip)
    assert named >= LESS.get(str(fault), SHARE) * sum(diagnoses.values()), diagnoses


_RELU, _MEAN = "relu-gradient-at-zero", "gradient-divided-by-m"
_RANK, _SHIFT = "labels-by-rank", "softmax-no-shift"

#: The contract's table: where the post differs from `cnnref`, and what the diagnosis then says. Where two
#: of its rows meet in one output it names either of them or both.
DEVIATIONS = {
    ("conv_single_step", "Z"): {"conv-bias-per-tap"},
    ("conv_forward", "Z"): {"conv-bias-per-tap"},
    ("pool_backward", "dA_prev"): {"pool-ties-all"},
    ("create_mask_from_window", "mask"): {"mask-ties-all"},
    ("arr2col", "output"): {"flattened-column-major"},
    ("col2arr", "output"): {"flattened-column-major"},
    ("relu_backward", "dZ"): {_RELU},
    ("affine_backward", "dW"): {_MEAN},
    ("affine_backward", "db"): {_MEAN},
    ("affine_activation_backward", "dA_prev"): {_RELU},
    ("affine_activation_backward", "dW"): {_RELU, _MEAN, f"{_RELU}+{_MEAN}"},
    ("affine_activation_backward", "db"): {_RELU, _MEAN, f"{_RELU}+{_MEAN}"},
    ("softmax", "probs"): {_SHIFT},
    ("softmax_backward", "dX"): {_SHIFT},
    ("cross_entropy_cost", "loss"): {_RANK},
    ("cross_entropy_backward", "dAL"): {_RANK},
    ("softmax_cross_entropy", "loss"): {_RANK},
    ("softmax_cross_entropy_backward", "dX"): {_SHIFT, _RANK, f"{_SHIFT}+{_RANK}"},
}


def _target(name: str) -> Any:
    return import_module(name) if name == "cnnref.blog" else post()


@pytest.mark.filterwarnings("ignore::cnnref.ProbabilityWarning")
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ["post in NumPy", "cnnref.blog"])
def test_the_post_fails_where_the_contract_says_and_nowhere_else(name: str, dtype: str) -> None:
    target = _target(name)
    options = getattr(target, "options", ())
    implementation = Implementation(name, target, Arithmetic.declared(None, None), options=options)
    found: dict[tuple[str, str], Counter[str]] = {}
    examples: dict[str, str] = {}
    for operation in OPERATIONS.values():
        judge = Judge(implementation)
        for case in generate([operation], [dtype], POST_CASES, 7):
            for record in judge(case):
                assert record.status != "absent" or case.beyond
                if record.status == "failed":
                    found.setdefault((record.op, record.output), Counter())[str(record.diagnosis)] += 1
                    examples.setdefault(f"{record.output} {record.diagnosis}", record.case)
    assert set(found) == set(DEVIATIONS)
    for where, names in found.items():
        assert set(names) <= DEVIATIONS[where], f"{where}: {names}, for example {examples}"
