"""The dialect torch: memory formats, graphs, gradients and what PyTorch itself does."""

from __future__ import annotations

import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations import LACKING
from conformance.implementations.dialects import Reading, adapted, tensors
from conformance.implementations.dialects.torch import adapted as of_torch
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.verdict.judge import COMPILED, REPEATED, Judge
from conformance.verdict.record import NOTED


class BatchNorm2d(torch.nn.Module):
    """A layer that holds PyTorch's, as a `Model` does."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.inner = torch.nn.BatchNorm2d(num_features, eps, momentum)

    def forward(self, x):
        return self.inner(x)


RELU = torch.nn.functional.relu


def judge_of(settings, **functions):
    """What judges functions of the dialect, and the implementation."""
    target, _ = adapted(SimpleNamespace(**functions), OPERATIONS, Reading("torch"))
    arithmetic = Arithmetic.declared(None, None)
    it = Implementation(
        "it", target, arithmetic, options=target.options, dtypes=target.dtypes, settings=settings
    )
    return Judge(it), target


def judged(op, count=24, dtypes=("f32",), **functions):
    """The records of `count` cases of one operation, and the implementation."""
    judge, target = judge_of(Settings(), **functions)
    cases = [case for case in generate([OPERATIONS[op]], dtypes, count, 5)]
    return [record for case in cases for record in judge(case)], target


def statuses(records):
    return {record.status for record in records}


def reasons(records):
    return " ".join(record.reason or "" for record in records if record.status == "failed")


def test_torch_s_own_functions_pass_in_every_precision():
    def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)

    # Without AVX512-FP16 PyTorch sums the gradients of a float16 convolution in float16, and without AVX-512
    # those of a bfloat16 one in bfloat16, which is found.
    bf16 = ("bf16",) if "AVX512" in torch.backends.cpu.get_cpu_capability() else ()
    for op, dtypes in (
        ("conv_forward", ("f32", "f64", "f16", "bf16")),
        ("conv_backward", ("f32", "f64", *bf16)),
    ):
        records, target = judged(op, dtypes=dtypes, conv2d=conv2d)
        assert statuses(records) <= {"passed", "absent"}
        assert sum(record.status == "passed" for record in records) > 0.8 * len(records)
    assert {"conv_forward.dilation", "conv_forward.groups", "conv_backward.f"} <= set(target.options)
    assert target.dtypes == ("f32", "f64", "f16", "bf16")


def test_an_option_that_the_function_has_no_place_for_is_not_offered():
    def conv2d(x, w, b, stride, padding):
        assert not isinstance(stride, tuple)
        return functional.conv2d(x, w, b, stride, padding)

    target = of_torch(SimpleNamespace(conv2d=conv2d))
    keys = {option.partition(".")[2] for option in target.options}
    assert keys == {"f", "pad"}


def test_both_memory_formats_are_tried_and_a_wrong_answer_to_one_fails():
    def max_pool2d(x, kernel_size, stride):
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        return functional.max_pool2d(x, kernel_size, stride) * (2 if last else 1)

    found = statuses(judged("pool_forward", 60, max_pool2d=max_pool2d)[0])
    assert found >= {"passed", "failed"}


def test_a_memory_format_that_is_refused_is_a_remark():
    def max_pool2d(x, kernel_size, stride):
        if not x.is_contiguous():
            raise RuntimeError("input must be contiguous")
        return functional.max_pool2d(x, kernel_size, stride)

    records, target = judged("pool_forward", max_pool2d=max_pool2d)
    assert statuses(records) == {"passed", "absent"}
    assert any("max_pool2d refuses channels_last tensors: RuntimeError" in text for text in target.remarks)


class Doubled(torch.autograd.Function):
    """Relu whose gradient is right for an upstream gradient in C order alone."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return RELU(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        memory = torch.as_strided(gradient, (gradient.numel(),), (1,)) if gradient.numel() else gradient
        return torch.where(x <= 0, 0, memory.reshape(gradient.shape))


def test_strides_of_the_upstream_gradient_are_not_those_of_the_output():
    assert statuses(judged("relu_backward", DoubledRelu=Doubled, functions={"relu": "DoubledRelu"})[0]) == {
        "passed",
        "failed",
    }


class ReadsOneElement(torch.autograd.Function):
    """Relu whose gradient takes an expanded upstream gradient for zeros behind its one element."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return RELU(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        if gradient.numel() > 1 and not any(gradient.stride()):
            gradient = torch.zeros_like(x)
        return torch.where(x <= 0, 0, gradient)


def test_an_expanded_upstream_gradient_is_tried():
    records, _ = judged("relu_backward", relu=ReadsOneElement)
    assert {r.diagnosis for r in records if r.status == "failed"} == {"raised-ExpandedGradientError"}


def test_a_gradient_that_is_none_is_not_zero():
    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, b):
            ctx.save_for_backward(x, w)
            return x @ w.t() + b

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            return g @ w, g.t() @ x, None

    records, _ = judged("affine_backward", linear=Linear)
    assert {r.output for r in records if r.status == "failed"} == {"db"}
    assert "is a NoneType" in reasons(records)


def test_without_a_graph_there_are_no_gradients():
    target = of_torch(SimpleNamespace(relu=lambda x: RELU(x.detach())))
    assert callable(target.relu)
    assert not hasattr(target, "relu_backward")


def test_an_answer_that_depends_on_whether_a_graph_is_made_fails():
    found = statuses(judged("relu", relu=lambda x: RELU(x) if torch.is_grad_enabled() else x)[0])
    assert found == {"passed", "failed"}


def test_frozen_parameters_are_tried():
    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, b):
            ctx.save_for_backward(x, w)
            return x @ w.t() + b

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            dx = g @ w if ctx.needs_input_grad[1] else torch.zeros_like(x)
            return dx, g.t() @ x, g.sum(0)

    records, _ = judged("affine_backward", 40, linear=Linear)
    assert {r.output for r in records if r.status == "failed"} == {"dA_prev"}
    assert {r.status for r in records if r.output == "dA_prev"} == {"passed", "failed"}


def test_inplace_is_given_where_it_is_a_parameter_and_a_changed_input_is_a_fault_otherwise():
    assert statuses(judged("relu", relu=lambda x, inplace=False: RELU(x, inplace))[0]) == {"passed"}
    records, _ = judged("relu", relu=lambda x: x.detach().clamp_(min=0))
    assert "changed its input Z" in reasons(records)


def test_a_bias_that_the_function_does_not_take_is_added():
    def conv2d(x, w, stride=1, padding=0):
        return functional.conv2d(x, w, None, stride, padding)

    for op in ("conv_forward", "conv_backward"):
        assert "failed" not in statuses(judged(op, conv2d=conv2d)[0])


def test_parameters_are_found_by_name_in_any_order():
    def batch_norm(x, gamma, beta, running_mean, running_var, eps, momentum, training):
        return functional.batch_norm(x, running_mean, running_var, gamma, beta, training, momentum, eps)

    assert statuses(judged("batch_norm_forward", batch_norm=batch_norm)[0]) <= {"passed", "absent"}


def rounded_once(input, target):
    """Of half precision PyTorch's own adds up in half."""
    wide = input.float() if input.dtype.itemsize == 2 else input
    return functional.cross_entropy(wide, target).to(input.dtype)


def test_the_loss_of_logits_is_judged():
    records, _ = judged(
        "softmax_cross_entropy",
        40,
        dtypes=("f32", "f64", "f16", "bf16"),
        # PyTorch's own adds logits of half precision up in half.
        cross_entropy=lambda x, y: functional.cross_entropy(x if x.dtype.itemsize > 2 else x.float(), y).to(
            x.dtype
        ),
    )
    assert [record.case for record in records if record.status == "failed"] == []
    assert sum(record.status == "passed" for record in records) > 0.6 * len(records)
    wrong, _ = judged(
        "softmax_cross_entropy", cross_entropy=lambda x, y: functional.cross_entropy(x, y, reduction="sum")
    )
    assert {record.diagnosis for record in wrong if record.status == "failed"} == {"loss-not-divided-by-m"}


def test_the_gradient_of_the_loss_of_logits_is_judged():
    assert statuses(judged("softmax_cross_entropy_backward", cross_entropy=functional.cross_entropy)[0]) == {
        "passed",
    }
    wrong, _ = judged(
        "softmax_cross_entropy_backward",
        cross_entropy=lambda x, y: functional.cross_entropy(x, y, reduction="sum"),
    )
    assert "gradient-not-divided-by-m" in {r.diagnosis for r in wrong} or "failed" in statuses(wrong)


@pytest.mark.parametrize("last", [False, True])
def test_the_gradient_that_writes_out_of_bounds_is_seen_in_the_graph(last):
    image = torch.ones(1, 3, 4, 4, requires_grad=True)
    filters = torch.ones(2, 3, 1, 1, requires_grad=True)
    given = image.to(memory_format=torch.channels_last) if last else image
    output = functional.conv2d(given, filters, stride=2) * 2
    assert tensors.writes_out_of_bounds(output) is last
    assert not tensors.writes_out_of_bounds(functional.conv2d(given, filters) * 2)


def test_such_a_case_of_the_module_s_own_doing_is_absent_and_named_as_pytorch_s():
    def conv2d(x, w, b, stride, padding):
        return functional.conv2d(x.contiguous(memory_format=torch.channels_last), w, b, stride, padding)

    target = of_torch(SimpleNamespace(conv2d=conv2d))
    image, filters, bias = (np.ones(s, np.float32) for s in ((1, 4, 4, 3), (1, 1, 3, 2), (1, 1, 1, 2)))
    Z, cache = target.conv_forward(image, filters, bias, {"stride": 2, "pad": 0})
    with pytest.raises(NotImplementedError, match=r"PyTorch's own .* \(oneDNN 6035\)"):
        target.conv_backward(np.ones_like(Z), cache)


def test_bfloat16_goes_there_and_back():
    half = pytest.importorskip("ml_dtypes").bfloat16
    values = np.array([1.5, -2.25, 1e30]).astype(half)
    made = tensors.tensor(values, torch.device("cpu"))
    assert made.dtype is torch.bfloat16
    back = tensors.array(made)
    assert back.dtype == half
    assert back.tobytes() == values.tobytes()


@pytest.mark.parametrize("op", ["pool_backward", "gelu", "batch_norm_forward", "pad3d", "leaky_relu"])
def test_functions_of_torch_as_they_are(op):
    """Some take ``*args, **kwargs``, and compiled ones some arguments by name alone, which nothing says."""
    names = ("max_pool2d", "avg_pool2d", "gelu", "batch_norm", "pad", "leaky_relu")
    records, _ = judged(op, **{name: getattr(functional, name) for name in names})
    assert {record.status for record in records} <= {"passed", "absent"}
    assert sum(record.status == "passed" for record in records) > 0.6 * len(records)


def test_a_mode_that_is_not_there_is_asked_for_in_other_cases():
    records, _ = judged(
        "pool_forward",
        20,
        max_pool2d=lambda x, kernel_size, stride=None: functional.max_pool2d(x, kernel_size, stride),
    )
    plain = [r for r in records if "_average" in r.case and not Case.parse(r.case).beyond]
    assert {record.reason for record in plain} == {f"{LACKING}average pooling"}


class Steps(torch.autograd.Function):
    """A tanh whose gradient is another where it is compiled."""

    @staticmethod
    def forward(ctx, input):
        output = torch.tanh(input)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx, upstream):
        (output,) = ctx.saved_tensors
        return upstream * (1 - output * output) * (1.5 if torch.compiler.is_compiling() else 1)


def compiled_records(op, **functions):
    """The records of one case that is compiled under --stress."""

    def chosen(case):
        number = zlib.crc32(str(case).encode())
        return case.family == "normal" and number % REPEATED == number // REPEATED % COMPILED == 0

    judge, _ = judge_of(Settings(stress=True), **functions)
    return judge(next(filter(chosen, generate([OPERATIONS[op]], ["f32"], 4000, 5))))


# What PyTorch imports for it calls deprecated functions of its own.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tanh", [torch.nn.functional.tanh, Steps])
def test_stress_compiles_and_only_a_wrong_value_is_a_fault(tanh):
    (record,) = compiled_records("tanh_backward", tanh=tanh)
    assert (record.status, record.diagnosis) == (
        ("failed", "wrong-when-compiled") if tanh is Steps else ("passed", None)
    )


def test_what_cannot_be_compiled_is_a_remark(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: torch._dynamo.optimize(refusing)(function))
    (record,) = compiled_records("tanh", tanh=torch.nn.functional.tanh)
    assert record.status == "passed"
    assert record.reason.startswith(f"{NOTED}raised BackendCompilerFailed")
    assert "no compiler for it" in record.reason
    assert record.reason.endswith("for the compiled function")


def refusing(graph, inputs):
    raise RuntimeError("no compiler for it")


def test_a_word_for_a_padding_is_asked_for_where_the_gradient_takes_it_too():
    class Convolution(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, b, stride, padding):
            ctx.save_for_backward(x, w)
            ctx.options = stride, padding
            return functional.conv2d(x, w, b, stride, padding)

        @staticmethod
        def backward(ctx, g):
            (x, w), options = ctx.saved_tensors, ctx.options
            of_x = torch.nn.grad.conv2d_input(x.shape, w, g, *options)
            return of_x, torch.nn.grad.conv2d_weight(x, w.shape, g, *options), g.sum((0, 2, 3)), None, None

    def conv2d(x, w, b, stride=1, padding=0):
        return Convolution.apply(x, w, b, stride, padding)

    case = Case.parse("conv_backward:f32:m2h5w6c3_f3k4_s1pvalid:normal:0")
    for function, status in ((conv2d, "absent"), (functional.conv2d, "passed")):
        judge, _ = judge_of(Settings(), conv2d=function)
        assert statuses(judge(case)) == {status}


def test_a_layer_may_hold_the_module_that_has_its_statistics():
    target, _ = adapted(SimpleNamespace(BatchNorm2d=BatchNorm2d), OPERATIONS, Reading("torch-modules"))
    it = Implementation("it", target, Arithmetic.declared(None, None), options=target.options)
    cases = generate([OPERATIONS["batch_norm_forward"], OPERATIONS["batch_norm_backward"]], ["f32"], 24, 5)
    found = [record for case in cases for record in Judge(it)(case)]
    assert statuses(found) <= {"passed", "absent"}, reasons(found)
    assert {r.output for r in found if r.status == "passed"} >= {"A", "running_mean", "running_var", "dgamma"}
