"""An error of a device that stays in its process is one failed case: the next is asked of another process."""

import pytest

from conformance.cases.case import Case
from conformance.faults import DEVICE_ERROR
from conformance.implementations import child
from conformance.implementations.implementation import load
from conformance.implementations.refusals import lasting
from conformance.verdict.judge import Judge

MODULE = '''
import numpy as np

broken = False
with open(STARTS, "a") as file:
    file.write("started\\n")


def relu(Z):
    """Fails for three channels, and from then on for everything."""
    global broken
    broken = broken or FAILS(Z)
    if broken:
        raise RuntimeError("CUDA error: device-side assert triggered")
    return np.where(Z <= 0, 0, Z).astype(Z.dtype), Z
'''


def implementation(tmp_path, fails):
    starts = tmp_path / "starts"
    path = tmp_path / "kernels.py"
    path.write_text(f"STARTS = {str(starts)!r}\nFAILS = {fails}\ndialect = 'contract'\n" + MODULE)
    return load(str(path)), starts


def judged(implementation, channels):
    cases = [Case.parse(f"relu:f32:m2h3w4c{c}:normal:{seed}") for seed, c in enumerate(channels)]
    return [records[0] for records in Judge(implementation).each(cases)]


def test_it_is_one_failed_case(tmp_path):
    module, starts = implementation(tmp_path, "lambda Z: Z.shape == (2, 3, 4, 3)")
    try:
        records = judged(module, [1, 2, 3, 4, 5, 3, 6, 7])
    finally:
        module.close()
    failed = [number for number, record in enumerate(records) if record.status == "failed"]
    assert failed == [2, 5]
    assert {records[number].diagnosis for number in failed} == {DEVICE_ERROR}
    assert all("device-side assert" in records[number].reason for number in failed)
    assert len(starts.read_text().splitlines()) > 2


def test_a_module_that_fails_in_every_case_is_not_started_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "_RENEWALS", 4)
    module, starts = implementation(tmp_path, "lambda Z: True")
    before = len(starts.read_text().splitlines())
    try:
        records = judged(module, range(1, 13))
    finally:
        module.close()
    assert {record.diagnosis for record in records} == {DEVICE_ERROR}
    assert len(starts.read_text().splitlines()) < before + 12


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("raised a device error: RuntimeError: CUDA error: device-side assert triggered", True),
        ("raised a device error: RuntimeError: CUDA error: an illegal memory access was encountered", True),
        ("raised a device error: AcceleratorError: CUDA error: unspecified launch failure", True),
        ("raised a device error: OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("raised ValueError: no device-side assert", False),
    ],
)
def test_memory_that_ran_out_does_not_stay(text, stays):
    assert lasting(text) is stays
