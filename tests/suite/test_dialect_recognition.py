"""Which dialect a file is in, and what is said where that cannot be told; the examples of the page."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations.implementation import LoadError, load
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## ([\w-]+)\n\n```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
DIALECTS = ("torch", "torch-modules", "cs231n", "layers", "jax")


def written(tmp_path, source, name="kernels.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(source))
    return str(path)


def refused(path, **settings):
    with pytest.raises(LoadError) as caught:
        load(path, Settings(**settings))
    return str(caught.value)


def test_the_page_has_an_example_for_each_dialect():
    assert tuple(EXAMPLES) == DIALECTS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_example_of_a_dialect_is_recognised_and_passes(dialect, tmp_path):
    if dialect == "jax":
        pytest.importorskip("jax")
    implementation = load(written(tmp_path, EXAMPLES[dialect]))
    assert implementation.dialect == dialect
    judge = Judge(implementation)
    judged = [op for op in OPERATIONS.values() if implementation.has(op.name)]
    assert len(judged) >= 2
    for op in judged:
        # XLA on the CPU flushes subnormal numbers to zero, and its NaN has no gradient.
        cases = [c for c in generate([op], ["f32"], 10, 0) if dialect != "jax" or c.family == "normal"]
        for record in (record for case in cases for record in judge(case)):
            # A size is left out where the machine is too busy for it.
            left_out = record.reason.startswith(("not implemented: declares", "left out: size-"))
            assert record.status == "passed" or left_out, record


def test_only_what_a_module_defines_or_lists_counts(tmp_path):
    said = refused(written(tmp_path, "from numpy import tanh\ndef helper(x): return x\n"))
    assert "none of the" in said
    assert "tanh: imported, which does not count; list it in __all__" in said
    source = "from conformance.adapters.numpy_loops import tanh\n__all__ = ['tanh']\n"
    assert load(written(tmp_path, source)).dialect == "contract"


def test_what_is_seen_is_said_with_what_it_is_close_to_and_what_would_make_it_work(tmp_path):
    source = "def cnn_max_pool2d_fwd(images, size): return images\nclass Trainer: pass\n"
    said = refused(written(tmp_path, source))
    assert "cnn_max_pool2d_fwd(images, size)" in said
    assert "Trainer" in said
    assert "cnn_max_pool2d_fwd is close to max_pool2d, dialect torch" in said
    assert "dialect = 'torch'" in said
    lines = 'dialect = \'torch\'\nfunctions = {"max_pool2d": "cnn_max_pool2d_fwd"}\n'
    assert lines.splitlines()[1] in said
    assert load(written(tmp_path, source + lines)).has("pool_forward")


def test_where_two_dialects_fit_the_line_to_add_is_said(tmp_path):
    source = """
        import numpy as np
        def affine_forward(rows, matrix, offset):
            return rows.reshape(len(rows), -1) @ matrix + offset, (rows, matrix)
        def affine_backward(gradient, cache):
            rows, matrix = cache
            return gradient @ matrix.T, rows.T @ gradient, gradient.sum(0)
    """
    said = refused(written(tmp_path, source))
    assert "it may be contract or cs231n (affine_forward)" in said
    assert "dialect = 'contract'" in said
    path = written(tmp_path, source)
    assert load(path, Settings(dialect="cs231n")).dialect == "cs231n"
    assert load(written(tmp_path, "dialect = 'cs231n'\n" + textwrap.dedent(source))).dialect == "cs231n"


@pytest.mark.parametrize(("names", "dialect"), [("A_prev, W, b", "contract"), ("x, w, b", "cs231n")])
def test_where_two_dialects_fit_the_names_of_parameters_tell(names, dialect, tmp_path):
    x, w, _ = names.split(", ")
    path = written(tmp_path, f"def affine_forward({names}): return {x} @ {w} + b, ({names})\n")
    assert load(path).dialect == dialect


def test_a_shared_name_is_tried(tmp_path):
    # Both dialects have a conv_forward; this one is called as CS231n calls it.
    source = """
        import numpy as np
        def conv_forward(x, w, b, conv_param):
            assert w.shape[2] == 3 and x.shape[1] == w.shape[1]
            return np.zeros((x.shape[0], w.shape[0], *x.shape[2:])), None
        def conv_backward(dout, cache): raise NotImplementedError
    """
    assert load(written(tmp_path, source)).dialect == "cs231n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("dialect = 'chainer'\n", "dialect is 'chainer', expected one of contract, torch"),
        ("dialect = 'torch'\ndevice = 'meta'\ndef relu(x): return x\n", "device 'meta' computes no values"),
        ("dialect = 'torch'\ndevice = 'abacus'\ndef relu(x): return x\n", "device 'abacus'"),
        ("dialect = 'torch'\nfunctions = {'relu': 'rectify'}\n", "relu is 'rectify', which is not there"),
        (
            "def relu_naive(x): return x\ndef relu_fast(x): return x\n",
            "relu_fast, relu_naive may all be relu",
        ),
    ],
)
def test_what_cannot_be_is_refused(source, said, tmp_path):
    assert said in refused(written(tmp_path, source))


def test_a_device_is_no_matter_of_arrays(tmp_path):
    path = written(tmp_path, EXAMPLES["cs231n"])
    assert "--device cuda: dialect cs231n computes on NumPy arrays" in refused(path, device="cuda")


def test_numpy_functions_named_as_torch_s_are_not_taken_for_torch_s(tmp_path):
    said = refused(
        written(tmp_path, "import numpy as np\ndef linear(x, w, b):\n    return np.add(x @ w.T, b)\n")
    )
    assert "linear: no function of it answers tensors" in said
    assert "kernels.py, line 3" in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import cv3\n", "it imports 'cv3', which is not installed"),
        ("import numpy as np\nx = np.float\n", "write float, or np.float64"),
        ("import collections\ncollections.Hashable\n", "from collections.abc import Hashable"),
        ("from collections import Mapping\n", "from collections.abc import Mapping"),
        ("x = 1\ny = [\n", "kernels.py, line 2"),
        ("def f():\n    return 1 / 0\n\nf()\n", "kernels.py, line 2, in f"),
        ("from . import other\n", "it is part of a package"),
        ("import cPickle\n", "cPickle is a module of Python 2: Python 3 has pickle"),
        ("import urllib2\n", "Python 3 has urllib.request"),
        ("from itertools import izip\n", "izip is a name of Python 2: Python 3 has zip"),
        ("x = xrange(3)\n", "xrange is a name of Python 2: Python 3 has range"),
        ("def f():\n    print 'x'\n", "it is written in Python 2"),
        ("raise ValueError, 'x'\n", "it is written in Python 2"),
        ("import src.layers\n", "src is of the project that this file is from"),
    ],
)
def test_what_fails_in_loading_is_shown_where_it_fails_with_what_helps(source, said, tmp_path):
    text = refused(written(tmp_path, source))
    assert said in text
    assert "kernels.py, line" in text


def test_a_package_beside_the_file_is_found_by_name(tmp_path):
    (tmp_path / "src").mkdir()
    path = written(tmp_path / "src", "import src.layers\n")
    assert f"src is in {tmp_path}: go there, and give --impl src.kernels" in refused(path)


def test_a_module_in_a_folder_beside_the_file_is_advised_as_a_path(tmp_path):
    for folder in ("examples", "lib"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib" / "im2col.py").write_text("")
    said = refused(written(tmp_path / "examples", "import im2col\n"))
    assert f"im2col is in {tmp_path / 'lib'}: put that on the path, PYTHONPATH={tmp_path / 'lib'}" in said
    assert "pip install" not in said


def test_an_exception_of_a_call_is_shown_at_its_line(tmp_path):
    source = """
        def relu(Z):
            shape = Z.shape
            return Z.reshape(-1, 1000003), Z

        def relu_backward(dA, cache):
            return dA
    """
    judge = Judge(load(written(tmp_path, source)))
    (record,) = judge(next(iter(generate([OPERATIONS["relu"]], ["f32"], 1, 0))))
    head, place, *lines = record.reason.splitlines()
    assert head.startswith("raised ValueError: cannot reshape")
    assert place == "  kernels.py, line 4, in relu"
    assert [line.split()[-1] for line in lines] == ["Z.shape", "Z"]
    assert lines[1].startswith("  >    4")
    assert record.diagnosis == "raised-ValueError"
