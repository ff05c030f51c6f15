"""Cases in which slips show, for the tests of the catalogue and of the diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from conformance.cases.case import Case
from conformance.cases.operation import WORDS
from conformance.faults.further import further
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS


def cases(op: str, count: int = 30, dtype: str = "f32") -> list[Case]:
    """Cases of an operation in every mode and through all its families."""
    operation = OPERATIONS[op]
    words = [name for name in operation.parameters if name in WORDS]
    found: list[Case] = []
    for choice in product(*(WORDS[name] for name in words)):
        values = {**dict.fromkeys(operation.parameters, 3), **dict(zip(words, choice, strict=True))}
        family = next(f.name for f in FAMILIES.values() if op in f.operations)
        found += further(Case(op, dtype, tuple(values.items()), family, 1), count)
    return found


def doubles(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: a if name == "Y" else a.astype(np.float64) for name, a in arrays.items()}
