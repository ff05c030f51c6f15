"""``repro --script``: a script that shows the failure without this package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conformance.cases.case import Case
from conformance.commands import cli
from conformance.diagnosis import script
from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Trial

WRONG = """
import numpy as np
def relu(Z):
    return np.maximum(Z, 0), Z
def relu_backward(dA, cache):
    return dA * (cache >= 0)
def affine_backward(dZ, cache):
    A, W, b = cache
    return dZ @ W.T, A.T @ dZ / len(A), dZ.sum(0)
"""


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(WRONG)
    return path


def executed(path, folder):
    """Run a script where the package cannot be imported."""
    code = (
        "import sys, runpy\n"
        "class No:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('conformance', 'torch'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        f"runpy.run_path({str(path)!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_repro_writes_a_script_of_the_smallest_case(wrong, tmp_path, capsys):
    out = tmp_path / "shows.py"
    arguments = ["repro", "relu_backward:f32:m2h3w5c4:zeros:3", "--impl", str(wrong), "--script", str(out)]
    assert cli.main(arguments) == 1
    shown = capsys.readouterr().out
    assert "smallest case: relu_backward:f32:m1h1w1c1:zeros:" in shown
    done = executed(out, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "dZ: 1 of 1 elements wrong" in done.stdout
    wrong.write_text(WRONG.replace(">= 0", "> 0"))  # mended, the same script passes
    assert executed(out, tmp_path).returncode == 0


def test_a_wrong_shape_shows(wrong, tmp_path):
    trial = Trial(load(str(wrong)), Case.parse("affine_backward:f64:m3i4o2:normal:1"))
    out = tmp_path / "shows.py"
    out.write_text(script.write(trial, trial.records(None), str(wrong)))
    done = executed(out, tmp_path)
    assert done.returncode == 1
    assert "db: shape and dtype are" in done.stdout
    assert "dA_prev: 0 of 12 elements wrong" in done.stdout


@pytest.mark.parametrize("op", OPERATIONS)
def test_a_right_kernel_passes_its_script_with_data_of_any_size(op, tmp_path):
    pytest.importorskip("cnnref")
    spec = "cnnref"
    implementation = load(spec)
    case = list(generate([OPERATIONS[op]], ["f32"], 60, 3))[-1]
    trial = Trial(implementation, case)
    text = script.write(trial, trial.records(None), spec)
    namespace = {"__name__": "__main__"}
    with pytest.raises(SystemExit) as ended:
        exec(compile(text, "script", "exec"), namespace)
    assert ended.value.code == 0
    for name, array in trial.arrays.items():
        assert namespace[name].tobytes() == array.tobytes() if name not in case.operation.outputs else True


#: An implementation in NCHW of gradients alone, its hyperparameters one by one.
OWN_FORM = """
import numpy as np
from cnnref import arr2col as flattened, conv_backward as gradients, pool_backward as pooled
from cnnref import affine_activation_backward, batch_norm_backward, gelu_backward, leaky_relu_backward
layout = "NCHW"
options = "*"
def there(x, axes=(0, 2, 3, 1)):
    return np.ascontiguousarray(x.transpose(axes))
def back(x):
    return there(x, (0, 3, 1, 2))
def arr2col(X):
    return flattened(X)
def conv_backward(dZ, cache, stride, pad):
    A_prev, W, b = cache.A_prev, cache.W, cache.b
    given = there(A_prev), there(W, (2, 3, 1, 0)), there(b), {"stride": stride, "pad": pad}
    dA_prev, dW, db = gradients(there(dZ), given)
    return {"dA_prev": back(dA_prev), "dW": there(dW, (3, 2, 0, 1)), "db": back(db)}
def pool_backward(dA, cache, mode):
    return back(pooled(there(dA), (there(cache.A_prev), cache.hparameters), mode))
"""

#: One of its functions, off by one.
OFF = """
right = {op}
def {op}(*given, **named):
    found = right(*given, **named)
    first = found["dW"] if isinstance(found, dict) else found
    first = first[0] if isinstance(first, tuple) else first
    first += 1
    return found
"""


@pytest.mark.parametrize(
    ("case", "part"),
    [
        ("arr2col:f32:m2h3w4c5:normal:1", "arr2col(X)"),
        ("conv_backward:f32:m2h5w4c3_f2k4_s2p1:normal:1", "(dZ, namedtuple("),
        ("pool_backward:f32:m2h9w7c3_f2s2_max_p1_ceil:ties:4", "'ceil_mode': True"),
        ("affine_activation_backward:f32:m2i3o4_sigmoid:normal:1", "'sigmoid')"),
        ("leaky_relu_backward:f32:m2h3w4c5_a0.25:normal:1", "0.25)"),
        ("gelu_backward:f32:m2h3w4c5_tanh:normal:1", "'tanh')"),
    ],
)
def test_the_form_of_the_implementation_is_kept(case, part, tmp_path):
    pytest.importorskip("cnnref")
    path = tmp_path / "own_form.py"
    path.write_text(OWN_FORM)
    trial = Trial(load(str(path)), Case.parse(case))
    records = trial.records(None)
    assert {record.status for record in records} == {"passed"}, records
    out = tmp_path / "shows.py"
    out.write_text(script.write(trial, records, str(path)))
    assert part in out.read_text()
    done = executed(out, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    # A result that is off shows.
    path.write_text(OWN_FORM + OFF.format(op=trial.case.op))
    assert executed(out, tmp_path).returncode == 1


def test_a_case_that_is_not_taken_has_no_script(tmp_path, capsys):
    path, out = tmp_path / "kernels.py", tmp_path / "x.py"
    path.write_text("def pool_forward(A_prev, f, stride):\n    raise AssertionError\n")
    arguments = ["repro", "pool_forward:f32:m1h4w4c1_f2s2_average:normal:0", "--impl", str(path)]
    assert cli.main([*arguments, "--script", str(out)]) == 1
    assert "no script: not implemented: takes no mode" in capsys.readouterr().out
    assert not out.exists()


def test_a_program_has_no_script(tmp_path, capsys):
    arguments = ["repro", "relu:f32:m1h1w1c1:normal:0", "--impl", "exec:./k"]
    assert cli.main([*arguments, "--script", str(tmp_path / "x.py")]) == 2
    assert "is a program" in capsys.readouterr().err
