"""The dtypes of a case: what its arrays are stored in, and what sums of them are computed in.

Half arrays (float16, bfloat16) are stored as they are and computed in float32; each result is rounded once,
at the end. bfloat16 is that of `ml_dtypes`, where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

try:
    import ml_dtypes
except ImportError:  # float16 is NumPy's own
    ml_dtypes = None  # type: ignore[assignment]

#: The dtypes of a run that says nothing else; every implementation takes them.
DTYPES: Mapping[str, type[Any]] = MappingProxyType({"f32": np.float32, "f64": np.float64})

#: Those that an implementation has to declare: ``dtypes = ("f32", "f64", "f16")``.
HALF: Mapping[str, type[Any]] = MappingProxyType(
    {"f16": np.float16, **({"bf16": ml_dtypes.bfloat16} if ml_dtypes else {})}
)

#: All that a case can have.
KNOWN: Mapping[str, type[Any]] = MappingProxyType({**DTYPES, **HALF})

#: As people write them.
NAMES: Mapping[str, str] = MappingProxyType(
    {name: name for name in KNOWN} | {np.dtype(kind).name: name for name, kind in KNOWN.items()}
)


def finfo(dtype: Any) -> Any:
    """`numpy.finfo`, for bfloat16 too."""
    find: Any = np.finfo if np.dtype(dtype).kind == "f" else ml_dtypes.finfo
    return find(dtype)


def working(name: str) -> np.dtype[np.floating[Any]]:
    """The dtype that sums are computed in."""
    return np.dtype(np.float32 if name in HALF else DTYPES[name])
