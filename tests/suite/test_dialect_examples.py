"""The files of examples/kernels are recognised, and what is wrong in them is found as their README says."""

from __future__ import annotations

import ast
import shutil
from collections import Counter
from pathlib import Path

import pytest

from conformance.generation.generate import generate
from conformance.implementations.dialects import model_pair, model_run, reference
from conformance.implementations.dialects.own import DialectError
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge

ROOT = Path(__file__).parents[2] / "examples" / "kernels"
README = (ROOT / "README.md").read_text(encoding="utf-8")

#: Of each file its dialect, what it needs, and what fails with which diagnosis.
FILES = {
    "cs231n_layers.py": (
        "cs231n",
        "",
        {
            "conv_forward": "conv-bias-per-tap",
            "affine_backward": "gradient-divided-by-m",
            "relu_backward": "relu-gradient-at-zero",
            "softmax_cross_entropy_backward": "loss-not-divided-by-m",
        },
    ),
    "autograd_function.py": ("torch", "", {"pool_backward": "average-not-divided"}),
    "model_new.py": ("torch-modules", "", {"affine_forward": "inputs-bfloat16"}),
    "numba_kernels.py": ("contract", "numba", {}),
    "jax_functions.py": ("jax", "jax", {}),
    "triton_relu.py": ("torch", "triton", {}),
    "cpp_extension/relu.py": ("torch", "ninja", {"relu_backward": None}),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_in_an_example_is_found(name, monkeypatch, tmp_path):
    dialect, needs, wrong = FILES[name]
    if needs == "ninja":
        if shutil.which("ninja") is None or shutil.which("c++") is None:
            pytest.skip("there is no C++ compiler, or no ninja")
        monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    elif needs:
        pytest.importorskip(needs)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    implementation = load(str(ROOT / name), time_limit=240.0)  # a compiler may be at work
    assert implementation.dialect == dialect
    judge, found = Judge(implementation), {}
    for op in (op for op in OPERATIONS.values() if implementation.has(op.name)):
        records = [
            record
            for case in generate([op], ["f32"], 8 if dialect == "jax" else 16, 0)
            for record in judge(case)
        ]
        assert any(record.status == "passed" for record in records) or op.name in wrong
        names = Counter(record.diagnosis for record in records if record.status == "failed")
        if names:
            found[op.name] = names.most_common(1)[0][0]
    if name == "model_new.py":
        found = {"affine_forward": found["affine_forward"]}
    assert found.keys() == wrong.keys()
    assert all(why in (None, found[op]) for op, why in wrong.items())


def test_the_readme_tells_of_every_file():
    for name, (dialect, _, wrong) in FILES.items():
        assert f"| `{name}` | {dialect} |" in README
        assert f"--impl examples/kernels/{name}" in README
        assert all(f"`{why}`" in README for why in wrong.values() if why)


def test_the_triton_kernel_is_python_where_triton_is_not_installed():
    tree = ast.parse((ROOT / "triton_relu.py").read_text(encoding="utf-8"))
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] == ["kernel", "relu"]


@pytest.mark.parametrize(
    ("forward", "row"),
    [
        ("torch.nn.functional.conv2d(x, x[:, :, :3, :3], stride=2)", "conv2d"),
        ("torch.nn.functional.conv_transpose2d(x, x[:, :, :3, :3])", "conv_transpose2d"),
        ("torch.softmax(x.reshape(4, -1).t(), 1)", "softmax"),
        ("torch.relu(torch.nn.functional.max_pool2d(x, 2))", "Model computes max_pool2d_with_indices, relu"),
        ("x.cumsum(0)", "Model computes cumsum"),
    ],
)
def test_what_a_model_computes_is_told_by_running_it(forward, row, tmp_path):
    path = tmp_path / "pair.py"
    path.write_text(
        "import torch\n"
        "class Model(torch.nn.Module):\n"
        f"    def forward(self, x): return {forward}\n"
        "def get_inputs(): return [torch.rand(4, 4, 8, 8)]\n"
    )
    called = model_run.asked(reference.names_of(str(path)))
    if " " not in row:
        assert model_pair.named(called) == row
        return
    with pytest.raises(DialectError, match=row):
        model_pair.named(called)
