"""The peers, one file each.

A peer module has ``start(threads)``, called once before anything else, ``prepare(row, arrays)``, which
returns the call to be timed or None where the peer has no such function, ``arrays(row, result)``, the outputs
as NumPy arrays in the contract's layout, and ``version()``.
"""

from __future__ import annotations

#: Module, name in the table. The first two are measured on every row.
PEERS = {
    "cnnref": "cnnref",
    "pytorch": "PyTorch",
    "jax": "JAX",
    "onnxruntime": "ONNX Runtime",
    "numpy": "NumPy im2col",
}
