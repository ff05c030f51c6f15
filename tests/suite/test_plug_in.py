"""What people already have is read without edits: signatures, caches, layouts, programs behind pipes."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations.implementation import LoadError, here, load
from conformance.implementations.program import Program, ProgramError
from conformance.implementations.signature import LackingError, called
from conformance.operations import OPERATIONS, select
from conformance.runs.workers import Workers
from conformance.verdict.form import fault
from conformance.verdict.judge import Judge
from conformance.verdict.record import case_status

C = Path(__file__).parents[2] / "examples" / "c_kernels" / "kernels.c"
HYPER = {"stride": 2, "pad": 1}


def judged(tmp_path, source, pattern, settings=None, count=10):
    path = tmp_path / "kernels.py"
    path.write_text(
        "import numpy as np\nfrom conformance.adapters import numpy_loops as n\n" + textwrap.dedent(source)
    )
    judge = Judge(load(str(path), settings))
    return [judge(case) for case in plain(select([pattern]), ("f32", "f64"), count)]


def plain(operations, dtypes, count):
    """Cases without options, which these implementations do not declare."""
    cases = generate(operations, dtypes, 2 * count, 0)
    return [case for case in cases if not case.beyond]


def statuses(found):
    return {case_status(records) for records in found}


@pytest.mark.parametrize(
    "function",
    [
        lambda A, W, b, hparameters: (hparameters["stride"], hparameters["pad"]),
        lambda A, W, b, hp: (hp["stride"], hp["pad"]),
        lambda A, W, b, stride, pad: (stride, pad),
        lambda A, W, b, pad, stride: (stride, pad),
        lambda A, W, b, *, stride=1, pad=0: (stride, pad),
        lambda A, W, b, padding=0, strides=1: (strides, padding),
        lambda A, W, b, first, second: (first, second),
        lambda A, W, b, *, hparameters: (hparameters["stride"], hparameters["pad"]),
        lambda A, W, b, **options: (options["stride"], options["pad"]),
        lambda *arguments: (arguments[3]["stride"], arguments[3]["pad"]),
    ],
)
def test_hyperparameters_in_the_form_of_the_signature(function):
    assert called(function, (0, 1, 2), HYPER) == (2, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda A, hparameters, mode="max": (hparameters["f"], hparameters["stride"], mode),
        lambda A, hp, kind: (hp["f"], hp["stride"], kind),
        lambda A, kernel_size, stride, mode: (kernel_size, stride, mode),
        lambda A, mode, f, stride: (f, stride, mode),
    ],
)
def test_a_pooling_function_s_hyperparameters(function):
    assert called(function, (0,), {"f": 3, "stride": 2}, "average") == (3, 2, "average")


def test_a_function_without_a_mode_or_padding_lacks_it():
    assert called(lambda A, f, stride: (f, stride), (0,), {"f": 3, "stride": 2}, "max") == (3, 2)
    with pytest.raises(LackingError, match="no mode"):
        called(lambda A, f, stride: 0, (0,), {"f": 3, "stride": 2}, "average")
    with pytest.raises(LackingError, match="no pad"):
        called(lambda A, W, b, stride=1: 0, (0, 1, 2), HYPER)


CONV = """
    {layout}
    def nhwc(x): return x.transpose(0, 2, 3, 1)
    def conv_forward(x, w, b, stride, pad):
        {bad}
        Z, _ = n.conv_forward(nhwc(x), w.transpose(2, 3, 1, 0), b.reshape(-1), dict(stride=stride, pad=pad))
        return Z.transpose(0, 3, 1, 2), (x, w, b), stride, pad
    def conv_backward(dZ, cache):
        (x, w, b), stride, pad = cache
        cache = nhwc(x), w.transpose(2, 3, 1, 0), b, dict(stride=stride, pad=pad)
        dA, dW, db = n.conv_backward(nhwc(dZ), cache)
        return dA.transpose(0, 3, 1, 2), dW.transpose(3, 2, 0, 1), db.reshape(-1)
    def arr2col(X): return X.reshape(len(X), int(np.prod(X.shape[1:]))), X
    def col2arr(X, cache): return X.reshape(cache.shape)
    def conv_single_step(a, w, b):
        assert w.shape[1] == w.shape[2]
        return float((a * w).sum() + b)
    def relu_backward(dA, cache): return n.relu_backward(dA, cache)
"""


def test_nchw_is_permuted_and_a_flat_db_is_a_remark_where_that_is_asked_for(tmp_path):
    source = CONV.format(layout='layout = "NCHW"', bad="")
    for name in ("conv_forward", "arr2col", "col2arr", "conv_single_step", "relu_backward"):
        assert statuses(judged(tmp_path, source, name)) == {"passed"}, name
    found = judged(tmp_path, source, "conv_backward")
    assert statuses(found) == {"passed"}
    forms = {(r.output, fault(r.form)) for records in found for r in records if r.form}
    assert forms == {("db", "shape-flattened")}
    found = judged(tmp_path, source, "conv_backward", Settings(lenient_shapes=True))
    assert statuses(found) == {"passed"}
    assert not any(r.form for records in found for r in records)
    reasons = {r.reason.split("(")[0] for records in found for r in records if r.output == "db"}
    assert reasons == {"shape remark: "}


def test_a_wrong_nchw_kernel_fails(tmp_path):
    source = CONV.format(layout='layout = "NCHW"', bad="w = w[:, :, ::-1]")
    assert "failed" in statuses(judged(tmp_path, source, "conv_forward"))


def test_a_wrong_flat_db_fails_under_lenient_shapes(tmp_path):
    source = CONV.format(layout='layout = "NCHW"', bad="").replace("db.reshape(-1)", "2 * db.reshape(-1)")
    found = judged(tmp_path, source, "conv_backward", Settings(lenient_shapes=True))
    assert {r.output for records in found for r in records if r.status == "failed"} == {"db"}


def test_an_unknown_layout_is_refused(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text("layout = 'CHWN'\ndef relu(Z): return Z, Z\n")
    with pytest.raises(LoadError, match="layout is 'CHWN', expected one of NHWC, NCHW"):
        load(str(path))


def test_not_implemented_is_a_refusal(tmp_path):
    source = "def relu(Z):\n    raise NotImplementedError('later')"
    (records, *_) = judged(tmp_path, source, "relu", count=1)
    assert (records[0].status, records[0].reason) == ("refused", "refused: NotImplementedError: later")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")

    def build(change=("", "")):
        place = tmp_path_factory.mktemp("c")
        text = C.read_text()
        assert change[0] in text
        (place / "kernels.c").write_text(text.replace(*change))
        subprocess.run([compiler, "-O1", "-o", place / "kernels", place / "kernels.c"], check=True)
        return f"exec:{place / 'kernels'}"

    return build


def run(spec, patterns=("conv_forward", "conv_backward", "relu", "relu_backward"), count=25):
    judge = Judge(load(spec))
    operations = [operation for pattern in patterns for operation in select([pattern])]
    return [judge(case) for case in plain(operations, ("f32",), count)]


def test_the_program_in_c_agrees(compiled):
    spec = compiled()
    assert statuses(run(spec)) == {"passed"}
    implementation = load(spec)
    assert {name for name in OPERATIONS if implementation.has(name)} == {
        "conv_forward", "conv_backward", "relu", "relu_backward",
    }  # fmt: skip
    (record,) = Judge(implementation)(Case.parse("relu:f64:m1h2w3c4:small:0"))
    assert (record.status, record.reason) == ("absent", "not implemented: declares no dtype f64")
    spec = compiled(('printf("dtypes f32', 'if (0) printf("dtypes f32'))
    (record,) = Judge(load(spec))(Case.parse("relu:f64:m1h2w3c4:small:0"))
    assert (record.status, record.reason) == ("refused", "refused: NotImplementedError: float32 only")
    spec = compiled(('printf("dtypes f32', 'printf("accepts conv_*:square relu*:channels%4=0\\ndtypes f32'))
    (record,) = Judge(load(spec))(Case.parse("relu:f32:m1h2w3c5:small:0"))
    assert (record.status, record.reason) == ("absent", "not implemented: declares channels%4=0 alone")


def test_a_program_s_options_are_those_it_declares(compiled):
    implementation = load(compiled())
    assert implementation.options == tuple(f"conv_*.{key}" for key in ("f", "stride", "dilation", "groups"))
    judge = Judge(implementation)
    found = {"passed": 0, "absent": 0}
    for case in generate(select(["conv_forward", "conv_backward"]), ("f32",), 300, 0):
        if case.beyond:
            status = case_status(judge(case))
            assert status == ("absent" if "pad" in case.beyond else "passed"), case
            found[status] += 1
    assert min(found.values()) > 10
    undeclared = load(compiled(('printf("options', 'if (0) printf("options')))
    (record,) = Judge(undeclared)(Case.parse("conv_forward:f32:m2h9w7c3_f3k4_s1p0_d2:small:0"))
    assert (record.status, record.reason) == ("absent", "not implemented: declares no option dilation")


@pytest.mark.parametrize(
    ("change", "output"),
    [
        (("r * s[0] + i * d[0]", "r * s[0] + (F[0] - 1 - i) * d[0]"), "Z"),
        (("dW.data[w] +=", "dW.data[w] ="), "dW"),
        (("Z->data[i] <= 0 ? 0", "Z->data[i] < 0 ? 0"), "dZ"),
    ],
)
def test_a_wrong_program_in_c_fails(compiled, change, output):
    found = run(compiled(change))
    assert output in {r.output for records in found for r in records if r.status == "failed"}


def test_a_crash_is_one_failed_case(compiled):
    spec = compiled(
        (
            "static void relu(int backward)\n{",
            'static void relu(int backward)\n{ if (find("Z")->extent[3] == 9) abort();',
        )
    )
    found = run(spec, ("relu",))
    failed = [r for records in found for r in records if r.status == "failed"]
    assert 0 < len(failed) < len(found)
    assert all("c9" in r.case and "SIGABRT" in r.reason for r in failed)


SPEAK = """
import sys
for line in sys.stdin.buffer:
    if line == b"functions\\n":
        print("functions relu", flush=True)
    else:
        {answer}
"""


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("print('hello', flush=True)", "answered 'hello', expected ok 1"),
        ("print('ok 1', 'array A f32 1 -3', sep='\\n', flush=True)", "expected array NAME"),
        ("print('ok 1', 'array B f32 1 3', sep='\\n', flush=True)", "with a name of A"),
        ("print('ok 1', 'array A f32 1 99999999999', sep='\\n', flush=True)", "more than"),
        (
            "print('ok 1', 'array A f32 1 3', sep='\\n', flush=True); sys.exit('out of luck')",
            "status 1.*out of luck",
        ),
        ("print('x' * 9000, end='', flush=True)", "expected a line of text"),
        ("__import__('time').sleep(60)", "no answer within 1.8 seconds"),
    ],
)
def test_what_breaks_the_protocol_is_said(answer, message):
    program = Program([sys.executable, "-c", SPEAK.format(answer=answer)], time_limit=2.0)
    case = Case.parse("relu:f32:m1h1w1c3:small:0")
    assert program.has("relu")
    for _ in range(2):  # a second time: it was started anew
        with pytest.raises(ProgramError, match=message):
            program.answer(case, {"Z": np.ones((1, 1, 1, 3), np.float32)})
    program.close()


def test_the_time_limit_of_a_run_is_a_programs_too(tmp_path):
    """It is ended for its silence, in time, by the worker that asked it; the cases after it are judged."""
    program = tmp_path / "slow.py"
    answer = "(__import__('time').sleep(60 * (b'm=2' in line)), print('error done', flush=True))"
    program.write_text(SPEAK.format(answer=f"line.startswith(b'call') and {answer}"))
    cases = [Case.parse(f"relu:f32:m{m}h1w1c3:small:0") for m in (1, 2, 3)]
    workers = Workers(f"exec:{sys.executable} {program}", 1, time_limit=2.0)
    reasons = [records[0].reason for _, _, records in workers.judge(cases)]
    silent = "raised ProgramError: the program gave no answer within 1.8 seconds"
    assert reasons == ["raised RuntimeError: done", silent, "raised RuntimeError: done"]


def test_a_program_that_cannot_start_is_refused():
    with pytest.raises(LoadError, match="No such file"):
        load("exec:/nowhere/kernels")
    with pytest.raises(LoadError, match="expected functions NAME"):
        load("exec:echo hello")
    with pytest.raises(LoadError, match="it says it has 'convolve'"):
        load("exec:echo functions convolve")


def test_the_contract_itself_is_read_as_before():
    assert here("numpy_loops").target is numpy_loops
