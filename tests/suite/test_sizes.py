"""The sizes of real networks: which there are, what they find, and that a slow kernel is spared them."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.generation.arrays import array_shapes
from conformance.generation.corners import corners
from conformance.generation.effort import effort, size_of, smaller
from conformance.generation.generate import generate
from conformance.implementations import LEFT_OUT
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.report.summary import Summary
from conformance.verdict.judge import Judge

#: Outputs or terms that hardly any effort may stand behind.
CHEAP = 3_000_000


def sizes(op: str, dtype: str = "f32") -> list[Case]:
    return [case for corner in corners(op) if size_of(case := corner.case(dtype))]


def judge(**functions) -> Judge:
    target = SimpleNamespace(**{**vars(numpy_loops), **functions})
    return Judge(Implementation("sizes", target, Arithmetic(), options=numpy_loops.options))


def failing(judge: Judge, cases: list[Case]) -> set[str | None]:
    return {size_of(case) for case in cases if any(r.status == "failed" for r in judge(case))}


@pytest.mark.parametrize("op", OPERATIONS)
def test_every_operation_has_sizes_and_each_is_thin(op):
    cases = sizes(op)
    assert len(cases) >= 6
    assert all(effort(case) < CHEAP for case in cases)
    assert max(max(np.prod(s) for s in array_shapes(case).values()) for case in cases) < 500_000


def test_the_sizes_of_the_contract():
    conv = sizes("conv_backward")
    assert {512, 1024, 2048} <= {case["c"] for case in conv}
    assert {11, 31} <= {case["f"] for case in conv}
    assert {129, 1025} <= {case["m"] for case in conv}
    assert {224, 513} <= {max(case["h"], case["w"]) for case in conv}
    outputs = [case["m"] * np.prod(window_of(case).outputs) * case["k"] for case in conv]
    assert any(65_535 < n <= 131_072 for n in outputs)
    assert any(n > 131_072 for n in outputs)
    assert max(case.operation.longest(case) for case in conv) > 100_000
    assert {1000, 4096, 32_000} <= {case["n"] for case in sizes("softmax")}
    assert {1000, 4096, 32_000} <= {case["o"] for case in sizes("affine_forward")}


def test_a_default_run_holds_every_size():
    for op in ("conv_forward", "conv_backward", "pool_backward"):
        found = {size_of(case) for case in generate([OPERATIONS[op]], ["f32"], 200, 0)}
        assert {size_of(case) for case in sizes(op)} <= found


def channels_beyond_128(A_prev, W, b, hparameters):
    if A_prev.shape[3] <= 128:
        return numpy_loops.conv_forward(A_prev, W, b, hparameters)
    return numpy_loops.conv_forward(A_prev[..., :128], W[:, :, :128], b, hparameters)


def sums_of_768(X):
    e = np.exp(X - X.max(1, keepdims=True)) if X.size else X
    return e / e[:, :768].sum(1, keepdims=True), X


def rest_of_32_rows(A_prev, W, b, hparameters):
    Z, cache = numpy_loops.conv_transpose_forward(A_prev, W, b, hparameters)
    rows = np.ascontiguousarray(Z).reshape(-1, Z.shape[3])
    if len(rows) > 2000 and len(rows) % 32:
        rows[-(len(rows) % 32) :] = b.reshape(-1)
    return rows.reshape(Z.shape), cache


def test_a_buffer_of_128_channels_is_found():
    found = failing(judge(conv_forward=channels_beyond_128), sizes("conv_forward"))
    assert {f"size-channels-{c}" for c in (512, 1024, 2048)} <= found
    assert not {name for name in found if "window" in name or "outputs" in name}


def test_three_blocks_of_256_classes_are_found():
    found = failing(judge(softmax=sums_of_768), sizes("softmax"))
    assert {"size-classes-1000", "size-classes-4096", "size-classes-32000"} <= found


def test_rows_beyond_the_last_32_are_found():
    found = failing(judge(conv_transpose_forward=rest_of_32_rows), sizes("conv_transpose_forward"))
    assert {"size-outputs-65536", "size-outputs-131072"} <= found


def test_right_functions_pass_at_every_size():
    assert not failing(judge(), sizes("softmax") + sizes("conv_transpose_forward", "f64"))


def test_a_slow_implementation_is_spared_what_it_would_take_long_for():
    def relu(Z):
        time.sleep(4e-6 * Z.size)
        return numpy_loops.relu(Z)

    slow, started = judge(relu=relu), time.monotonic()
    records, summary, cases = [], Summary(), sizes("relu")
    for case in cases:
        summary.add(case, found := slow(case))
        records += found
    (left_out,) = (r for r in records if r.status == "absent")
    assert left_out.reason.startswith(f"{LEFT_OUT}size-outputs-131072 would take")
    assert {r.status for r in records} == {"absent", "passed"}
    assert time.monotonic() - started < 4
    about = {"implementation": "x", "versions": {}, "oracle": "", "seed": 0}
    assert summary.to_dict(listed=len(cases), **about)["remarks"] == [
        f"relu: 1 case absent, {left_out.reason}"
    ]


def test_what_is_made_smaller_is_a_case():
    for op in OPERATIONS:
        for case in sizes(op):
            less = smaller(case)
            assert less is None or effort(less) < effort(case)
    window = Case.parse("conv_forward:f32:m1h32w33c2_f31k3_s1p0:wide-x:0")
    assert smaller(window) is None
