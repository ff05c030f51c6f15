"""``conformance explain CASE``: what the line of a case says, part by part, and the arrays it stands for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.cases.case import Case
from conformance.cases.option_table import PARAMETERS
from conformance.cases.options import written
from conformance.commands.terminal import wrapped
from conformance.commands.usage import UsageError
from conformance.generation.arrays import draw
from conformance.generation.corners import corner_of
from conformance.generation.families import FAMILIES

#: Elements of an array that are shown.
_FEW = 8


def of_case(text: str) -> list[str]:
    """What a case is.

    Parameters
    ----------
    text : str
        Its line, ``operation:dtype:parameters:family:seed``.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    try:
        case = Case.parse(text)
        arrays = draw(case)
    except ValueError as error:
        raise UsageError(str(error)) from error
    corner = corner_of(case)
    kind = f"a case, the corner case {corner}" if corner else "a case"
    rows = [f"{case} ({kind})", f"  {case.op} in {case.numpy_dtype}", *_parameters(case)]
    rows += wrapped(f"  {case.family}, seed {case.seed}: {FAMILIES[case.family].description}", "    ")
    rows += ["", "  Its arrays:"]
    for name, values in arrays.items():
        with np.printoptions(precision=6, suppress=False):
            few = np.array2string(values.reshape(-1)[:_FEW], separator=", ", max_line_width=200)
        rest = f" and {values.size - _FEW} more" if values.size > _FEW else ""
        rows += wrapped(f"    {name} {values.shape}: {few}{rest}", "      ")
    return [*rows, "", f"  conformance repro '{case}' --impl MODULE"]


def _parameters(case: Case) -> Iterator[str]:
    """A line for each parameter."""
    for name, value in case.params:
        yield from wrapped(f"    {name} = {written(value)}: {PARAMETERS[name]}", "      ")
