"""A case of a pair, as a line: ``ModelNew:f32:16x3x32x32:normal:7``; ``_`` stands between inputs."""

from __future__ import annotations

import re
from typing import NamedTuple

from conformance.verdict.record import MODEL

#: The families of data that pairs are compared on (`conformance.generation.families`).
FAMILIES = ("normal", "small", "ties", "positive")
#: Dtypes by PyTorch's names.
DTYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16"}

Shape = tuple[int, ...]


class Line(NamedTuple):
    """A case of a pair."""

    dtype: str
    shapes: tuple[Shape, ...]
    family: str
    seed: int

    def __str__(self) -> str:
        shapes = "_".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes)
        return f"{MODEL}:{self.dtype}:{shapes or 'none'}:{self.family}:{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Line:
        """Read a case from its text.

        Raises
        ------
        ValueError
            If it is none.
        """
        op, _, rest = text.partition(":")
        parts = rest.split(":")
        if (
            op != MODEL
            or len(parts) != 4
            or parts[0] not in DTYPES.values()
            or parts[2] not in FAMILIES
            or not re.fullmatch("[0-9]{1,9}", parts[3])
        ):
            raise ValueError(f"case {text!r}: expected {MODEL}:DTYPE:SHAPES:FAMILY:SEED")
        words = [] if parts[1] == "none" else parts[1].split("_")
        if not all(re.fullmatch("scalar|[0-9]+(x[0-9]+)*", word) for word in words):
            raise ValueError(f"case {text!r}: {parts[1]!r} are no shapes, expected 16x3x32x32 or so")
        shapes = tuple(() if w == "scalar" else tuple(map(int, w.split("x"))) for w in words)
        return cls(parts[0], shapes, parts[2], int(parts[3]))
