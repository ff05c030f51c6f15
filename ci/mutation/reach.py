"""What a module of the package can change: the operations that it computes, and the tests of its kernels."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from ci.mutation.build import PACKAGE, ROOT


def _rows() -> dict[str, str]:
    """The package's own table, read without loading the package: the judge's children do that."""
    (table,) = (
        node.value
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_OPERATIONS"
    )
    return {module: " ".join(names) for module, names in ast.literal_eval(table).items()}


#: The operations that a module computes, by shell pattern: those of its row in `cnnref._OPERATIONS`, and what
#: no row says. A module that is not here reaches all of them.
OPERATIONS = _rows() | {
    "affine": "affine_*",
    "window_pool": "pool_*",
    "loss": "*cross_entropy*",
    **{name: f"{name} {name}_backward softmax_cross_entropy*" for name in ("softmax", "log_softmax")},
    "activation": "sigmoid* relu relu_backward affine_activation_*",
    "elementary": "",  # shows the functions of kernels/vmath/scalar.pxd to their tests
    "plan": "",  # says which kernel, and computes nothing
    "checks.hyper": "conv_* pool_*",
}
#: The tests of its kernels, beside the cases of `tests/bits_table.py`.
TESTS = {
    "conv": "test_conv_windows test_conv_tiles test_conv_threads test_conv_transpose test_kernel_for",
    "pool": "test_pool test_pool_options",
    "window_pool": "test_pool_options",
    "batch_norm": "test_batch_norm test_stream",
    "global_average_pool": "test_batch_norm",
    "row_norm": "test_row_norm",
    "activation": "test_activation",
    "linear_units": "test_linear_units",
    "exponential_units": "test_exponential_units",
    "rational_units": "test_rational_units",
    "prelu": "test_prelu",
    "softmax": "test_loss",
    "log_softmax": "test_loss",
    "loss": "test_loss",
    "element_loss": "test_element_loss",
    "elementary": "test_elementary",
    "reorder": "test_reorder",
    "mask": "test_reorder",
    "plan": "test_kernel_for",
    "checks.hyper": "test_hyper",
}


def operations_of(modules: Iterable[str]) -> list[str]:
    """The operations that any of the modules computes and the suite knows."""
    from conformance.operations import OPERATIONS as KNOWN

    patterns = [pattern for module in modules for pattern in OPERATIONS.get(module, "*").split()]
    return [name for name in KNOWN if any(fnmatchcase(name, pattern) for pattern in patterns)]


def tests_of(modules: Iterable[str]) -> list[Path]:
    """The files with tests of any of the modules."""
    names = dict.fromkeys(name for module in modules for name in TESTS.get(module, "").split())
    return [ROOT / "tests" / "kernels" / f"{name}.py" for name in names]
