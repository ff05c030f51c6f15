"""What a dialect has to remark reaches the user; an error of the device is named as one."""

from types import SimpleNamespace

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.cases.request import DEVICE, REMARKED, Array, Request, Step
from conformance.faults import DEVICE_ERROR, is_diagnosis
from conformance.faults.diagnose import explain, of_error
from conformance.implementations.perform import performed
from conformance.implementations.refusals import Own, of_device, refused
from conformance.report.forms import Forms
from conformance.verdict.record import Record

REQUEST = Request((Step("relu", (Array("Z"),)),), ("A",))


class Functions:
    """A module of one function, with a dialect's remarks."""

    layout, own = "NHWC", Own()

    def __init__(self, relu):
        self.target = SimpleNamespace(relu=relu, remarks={})

    def has(self, name):
        return name == "relu"

    def function(self, name):
        return self.target.relu


def call(functions):
    return performed(functions, REQUEST, {"Z": np.ones(3)}, (3,), np.zeros(1))[0]


def test_a_remark_goes_with_the_answer_that_it_is_of():
    def relu(Z):
        if Z is not None and len(calls) == 0:
            functions.target.remarks["relu refuses channels_last; RuntimeError:\n no"] = 1
        calls.append(1)
        return np.maximum(Z, 0)

    calls = []
    functions = Functions(relu)
    assert call(functions).notes == (f"{REMARKED}relu refuses channels_last, RuntimeError: no",)
    assert call(functions).notes == ()


def record(form, number=0):
    case = Case.parse(f"relu:f32:m1h2w3c4:normal:{number}")
    return Record(str(case), "relu", "A", "f32", "normal", "bound", "passed", "bound", form=form)


def test_remarks_are_told_once_and_not_without_end():
    forms = Forms()
    for number in range(40):
        assert not forms.add([record(f"{REMARKED}relu refuses channels_last tensors", number)])
    assert forms.remarks() == ["relu.A (40 answers): relu refuses channels_last tensors"]
    for number in range(40):
        forms.add([record(f"{REMARKED}relu refuses {number} things", number)])
    assert len(forms.remarks()) < 20
    assert forms.faults() == []
    assert "more like these" in forms.remarks()[-1]


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    ("error", "device"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (RuntimeError("expected stride 1"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_an_error_of_the_device_is_no_refusal_and_has_a_name(error, device):
    def relu(Z):
        raise error

    assert of_device(error) is device
    tried = call(Functions(relu))
    assert tried.kind == "error"
    assert tried.text.startswith(DEVICE) is device
    assert (of_error(tried.text) == DEVICE_ERROR) is device
    assert is_diagnosis(DEVICE_ERROR)
    assert "no memory left" in explain(DEVICE_ERROR)
    here = Own(files=frozenset({__file__}))
    assert refused(error, here) is not device  # of this file's own `raise`
