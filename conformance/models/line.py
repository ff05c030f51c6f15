"""A case of a pair, as a line: ``ModelNew:f32:16x3x32x32:normal:7``; ``_`` stands between inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
        return f"{MODEL}:{self.dtype}:{written(self.shapes)}:{self.family}:{self.seed}"

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
        try:
            return cls(parts[0], shapes_of(parts[1]), parts[2], int(parts[3]))
        except ValueError as error:
            raise ValueError(f"case {text!r}: {error}") from None


def written(shapes: Sequence[Shape]) -> str:
    """Shapes as a word: ``16x3x32x32_16x10``."""
    return "_".join("x".join(map(str, shape)) or "scalar" for shape in shapes) or "none"


def shapes_of(word: str) -> tuple[Shape, ...]:
    """The shapes that `written` wrote.

    Raises
    ------
    ValueError
        If they are none.
    """
    words = [] if word == "none" else word.split("_")
    if not all(re.fullmatch("scalar|[0-9]{1,9}(x[0-9]{1,9})*", w) for w in words):
        raise ValueError(f"{word!r} are no shapes, expected 16x3x32x32 or so")
    return tuple(() if w == "scalar" else tuple(map(int, w.split("x"))) for w in words)


def lines(
    dtype: str, variants: Sequence[tuple[Shape, ...]], count: int, seed: int, own: Sequence[str] = ()
) -> Iterator[Line]:
    """The cases of a run: the user's shapes in every family, then each shape in each, then with other seeds.

    Parameters
    ----------
    dtype : str
        That of `Model`.
    variants : sequence of tuple
        The shapes that are drawn from.
    count : int
        How many are drawn.
    seed : int
        Of the first.
    own : sequence of str
        ``ModelNew:16x3x32x32``, as `conformance.commands.own_cases` writes them.
    """
    for text in own:
        for family in FAMILIES:
            yield Line(dtype, shapes_of(text.partition(":")[2]), family, seed)
    for number in range(count):
        turn, at = divmod(number, len(FAMILIES))
        yield Line(dtype, variants[(turn + at) % len(variants)], FAMILIES[at], (seed + number) % 10**9)
