"""The adapters: right ones raise no alarm; torch and NumPy always run, others where they are installed."""

import importlib.util

import numpy as np
import pytest

from conformance.generation.generate import generate
from conformance.implementations import adapters
from conformance.implementations.implementation import here, load
from conformance.operations import OPERATIONS, select
from conformance.verdict.declared import sentence_of
from conformance.verdict.judge import Judge

PEERS = {
    "numpy_loops": "numpy",
    "torch_float32": "torch",
    "onnxruntime": "onnxruntime",
    "onnx_reference": "onnx",
    "jax": "jax",
}
#: Operations judged of each; JAX compiles every shape anew.
SOME = {
    "jax": (
        "relu",
        "affine_forward",
        "affine_backward",
        "pool_backward",
        "softmax_backward",
        "cross_entropy_backward",
    )
}


def test_every_adapter_is_tested():
    assert set(adapters()) == set(PEERS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PEERS)
def test_a_right_peer_raises_no_alarm(name):
    if name not in ("numpy_loops", "torch_float32") and not importlib.util.find_spec(PEERS[name]):
        pytest.skip(f"{PEERS[name]} is not installed")
    if name in ("onnxruntime",) and not importlib.util.find_spec("onnx"):
        pytest.skip("onnx is not installed")
    implementation = load(name)
    judge, passed = Judge(implementation), 0
    for op in SOME.get(name, OPERATIONS):
        for case in generate(select([op]), ("f32", "f64"), 3, 0):
            for record in judge(case):
                if not sentence_of(record):
                    assert record.status != "failed", record.line()
                passed += record.status == "passed"
    assert passed > 10


@pytest.mark.filterwarnings("ignore")
def test_torch_s_float64_convolution_gradient_agrees():
    judge = Judge(load("torch_float32"))
    for case in generate(select(["conv_backward"]), ("f64",), 6, 0):
        assert {record.status for record in judge(case)} <= {"passed", "absent"}


def test_the_alarm_can_sound(monkeypatch):
    implementation = here("numpy_loops")
    monkeypatch.setattr(implementation.target, "relu", lambda Z: (np.abs(Z), Z))
    found = [Judge(implementation)(case) for case in generate(select(["relu"]), ("f32",), 3, 0)]
    assert any(record.status == "failed" for records in found for record in records)
