"""Where an implementation says that it differs, each sentence tied to exactly what it explains.

A module declares ``differs = {OPERATION: {WHAT: SENTENCE}}``. WHAT is a diagnosis (``"subnormals-flushed"``),
a convention (``"pool-nan=ignored"``: the output is right under it), or a function of `Seen` that says which
elements, or whether all of them, are accounted for. Nothing else of the operation is excused: a failure
that no WHAT explains is one that is not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.operations import OPERATIONS

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Seen:
    """A failed output, as a declared difference sees it: `got` is None where there is none of that shape."""

    case: Case
    output: str
    arrays: Arrays | None = None
    expected: NDArray[np.float64] | None = None
    got: NDArray[np.float64] | None = None
    limit: NDArray[np.float64] | None = None


#: Which elements are accounted for, or whether the whole output is.
Explains = Callable[[Seen], Any]
Declared = Mapping[str, Mapping[str | Explains, str]]


def read(declared: Any, is_explanation: Callable[[str], bool]) -> Declared:
    """Check what a module declares; `is_explanation` knows the diagnoses and conventions.

    Raises
    ------
    ValueError
        If it does not have the form above, or names what does not exist.
    """
    form = "differs is {OPERATION: {DIAGNOSIS or CONVENTION=VALUE or function: SENTENCE}}"
    if not isinstance(declared, Mapping):
        raise ValueError(f"{form}, got a {type(declared).__name__}")
    for op, entries in declared.items():
        if op not in OPERATIONS:
            raise ValueError(f"differs names {op!r}, which is no operation")
        if not isinstance(entries, Mapping) or not all(isinstance(v, str) and v for v in entries.values()):
            raise ValueError(f"{form}; that of {op} is tied to nothing")
        for what in entries:
            if isinstance(what, str) and not is_explanation(what):
                raise ValueError(f"differs[{op!r}] names {what!r}, which is no diagnosis and no convention")
            elif not isinstance(what, str) and not callable(what):
                raise ValueError(f"{form}, got {what!r} for {op}")
    return declared
