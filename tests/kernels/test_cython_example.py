"""Another Cython package cimports kernels of the installed cnnref: it builds, runs and is right."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cnnref

EXAMPLE = Path(__file__).parents[2] / "examples" / "cython_kernel"


@pytest.fixture(scope="module")
def swish(tmp_path_factory):
    """The example, built where it can see cnnref only as it is installed."""
    place = tmp_path_factory.mktemp("cython_kernel")
    for path in EXAMPLE.iterdir():
        if path.is_file():
            (place / path.name).write_text(path.read_text())
    # Cython looks along sys.path, which a tree built in place is not on where it is installed as editable.
    environment = os.environ | {"PYTHONPATH": str(Path(cnnref.__file__).parents[1])}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    sys.path.insert(0, str(place))
    try:
        import swish
    finally:
        sys.path.remove(str(place))
    return swish


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_agrees_with_pytorch(swish, dtype):
    Z = np.random.default_rng(0).standard_normal(100_003).astype(dtype) * 20
    dA = np.random.default_rng(1).standard_normal(Z.shape).astype(dtype)
    wanted = torch.tensor(Z, dtype=torch.float64, requires_grad=True)
    value = torch.nn.functional.silu(wanted)
    value.backward(torch.tensor(dA, dtype=torch.float64))
    A, dZ = np.empty_like(Z), np.empty_like(Z)
    swish.swish(Z, A)
    swish.swish_backward(dA, Z, dZ)
    # A product, a quotient, a sum and the exponential's 2 ulp: at most 8 roundings of the value. In the
    # gradient each of the two terms has as many, and 1 - s one more of the size of 1.
    u = np.finfo(dtype).eps / 2
    reference = value.detach().numpy()
    assert np.all(np.abs(A - reference) <= 8 * u * np.abs(reference))
    size = np.abs(dA) * (1 + np.abs(Z))
    assert np.all(np.abs(dZ - wanted.grad.numpy()) <= 16 * u * size)
    assert np.abs(A).max() > 1
    assert np.abs(dZ).max() > 1


def test_its_bits_do_not_depend_on_threads(swish):
    Z = np.random.default_rng(2).standard_normal(300_007).astype(np.float32)
    before, results = cnnref.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            cnnref.set_num_threads(threads)
            A = np.empty_like(Z)
            swish.swish(Z, A)
            results.append(A.tobytes())
    finally:
        cnnref.set_num_threads(before)
    assert len(set(results)) == 1
