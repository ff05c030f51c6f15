"""A refusal is a decision of the module under test; what NumPy, torch or Python raise is a failure."""

from __future__ import annotations

import importlib.util
import sys
import textwrap

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.implementations.implementation import LoadError, load
from conformance.implementations.refusals import Own, refused
from conformance.verdict.judge import Judge

SOURCE = """
import numpy as np
import functools
import helper
def bare(x): raise ValueError("square images only")
def asserted(x): assert x.shape[0] == x.shape[1], "square"
def later(x): raise NotImplementedError
def called(x): return helper.check(x)
def caught(x):
    try:
        return np.dot(x, x)
    except ValueError as error:
        raise TypeError("no such product") from error
def inside_numpy(x): return np.vectorize(bare)(x)
def product(x): return x @ x
def broadcast(x): return x + np.ones(7)
def again(x):
    try:
        return x @ x
    except ValueError:
        raise
def key(x): return {}["stride"]
def index(x): return [][3]
def unpack(x):
    a, b = 1, 2, 3
def integer(x): return int("three")
def ended(x): raise SystemExit(3)
def library(x):
    import json
    return json.loads("{")
def over(x): return np.linalg.inv(np.zeros((2, 2)))
"""
HELPER = """
def check(x):
    if x.shape[0] != x.shape[1]:
        raise ValueError("square images only")
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "helper.py").write_text(HELPER)
    (folder / "refusing.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("refusing", folder / "refusing.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules["refusing"] = found
    spec.loader.exec_module(found)
    yield found
    sys.path.remove(str(folder))
    del sys.modules["refusing"]


def ending(module, name):
    try:
        getattr(module, name)(np.ones((2, 3)))
    except BaseException as error:
        return error
    raise AssertionError(f"{name} answered")


@pytest.mark.parametrize("name", ["bare", "asserted", "later", "called", "caught", "inside_numpy"])
def test_what_the_module_s_own_source_raises_is_a_refusal(module, name):
    assert refused(ending(module, name), Own.of(module))


@pytest.mark.parametrize(
    "name",
    ["product", "broadcast", "again", "key", "index", "unpack", "integer", "ended", "library", "over"],
)
def test_what_others_raise_is_a_failure(module, name):
    assert not refused(ending(module, name), Own.of(module))


def test_another_module_s_raise_is_no_refusal_of_this_one(module):
    assert not refused(ending(module, "bare"), Own.of(textwrap))
    assert not refused(ending(module, "bare"), Own())


def test_a_check_of_an_extension_of_one_s_own_refuses(module, monkeypatch):
    """The frame of a compiled function is not there to be seen: which one was called, the source says."""
    own = Own.of(module)
    code = "def through(x): return lapack.solver(x)"
    path = own.root / "through.py"
    path.write_text(code)

    def solver(x):
        raise RuntimeError("expected square images")

    namespace = {"lapack": type("ext", (), {"solver": solver})}
    exec(compile(code, str(path), "exec"), namespace)
    try:
        namespace["through"](1)
    except RuntimeError as error:
        seen = error.with_traceback(error.__traceback__.tb_next)
        seen.__traceback__.tb_next = None
    assert not refused(seen, own)
    monkeypatch.setattr(solver, "__module__", "own_kernels")
    fake = type(sys)("own_kernels")
    fake.__file__ = str(own.root / "own_kernels.cpython-311-x86_64-linux-gnu.so")
    monkeypatch.setitem(sys.modules, "own_kernels", fake)
    assert refused(seen, own)
    other = ValueError("an error of the same call that is no check")
    assert not refused(other.with_traceback(seen.__traceback__), own)


SQUARE = """
    import numpy as np
    {declared}
    def relu(Z):
        if Z.shape[1] != Z.shape[2]:
            {refuse}
        return np.maximum(Z, 0), Z
"""
TALL = Case.parse("relu:f32:m2h3w4c5:normal:0")
EVEN = Case.parse("relu:f32:m2h4w4c5:normal:0")


def judged(tmp_path, case, declared="", refuse="raise ValueError('square')"):
    path = tmp_path / "square.py"
    path.write_text(textwrap.dedent(SQUARE).format(declared=declared, refuse=refuse))
    (record,) = Judge(load(str(path)))(case)
    return record.status, record.reason


def test_a_case_that_is_refused_is_neither_absent_nor_failed(tmp_path):
    assert judged(tmp_path, TALL) == ("refused", "refused: ValueError: square")
    assert judged(tmp_path, EVEN)[0] == "passed"
    assert judged(tmp_path, TALL, refuse="Z = Z @ Z")[0] == "failed"


def test_what_is_declared_is_not_asked_and_may_not_be_refused(tmp_path):
    status, reason = judged(tmp_path, TALL, 'accepts = "square"')
    assert (status, reason) == ("absent", "not implemented: declares square alone")
    assert judged(tmp_path, EVEN, 'accepts = "square"')[0] == "passed"
    status, reason = judged(tmp_path, TALL, 'accepts = {"relu*": ("channels>=5", "f32")}')
    assert status == "failed"
    assert reason == 'raised ValueError: square, though it declares to answer "channels>=5 and f32"'
    assert judged(tmp_path, TALL, 'accepts = {"conv_*": "stride=1"}')[0] == "refused"


@pytest.mark.parametrize(
    "declared", ['"oblong"', '{"conv3d": "square"}', "7", '"channels>=four"', '"mode=sum"']
)
def test_what_nobody_can_mean_is_said(tmp_path, declared):
    path = tmp_path / "square.py"
    path.write_text(textwrap.dedent(SQUARE).format(declared=f"accepts = {declared}", refuse="pass"))
    with pytest.raises(LoadError, match="accepts"):
        load(str(path))
