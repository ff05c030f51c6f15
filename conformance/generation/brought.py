"""The cases of a file of tensors (`given`): what its arrays, their shapes and the numbers beside them say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import FILE, Case
from conformance.cases.operation import WORDS
from conformance.cases.options import Value
from conformance.generation import feasible
from conformance.generation.given import GivenError, bare, contents, of
from conformance.operations import OPERATIONS
from conformance.operations.entry import Entry

Array = NDArray[Any]

#: Extents that no two parameters have in common, from which it is told which axis is which.
_PRIMES = {"m": 2, "h": 101, "w": 103, "c": 7, "k": 11, "i": 13, "o": 19, "n": 23, "s": 1, "p": 17}
_SIDES = (29, 31)

#: What the contract calls parameters that are one letter here.
_KEYS = {"stride": "s", "pad": "p"}

#: How the contract hands over words that are yes or no.
_SWITCHES: Mapping[str, tuple[str, str]] = {
    "ceil_mode": ("floor", "ceil"),
    "count_include_pad": ("exclude", "include"),
    "training": ("inference", "training"),
}


def listed(path: str, operations: Sequence[str], dtypes: Sequence[str], alone: bool) -> list[Case]:
    """The cases of a file: one for each operation and dtype whose arrays are there.

    Parameters
    ----------
    path : str
        The file.
    operations, dtypes : sequence of str
        Those asked for.
    alone : bool
        Whether arrays without an operation before their name are taken for those of the operation asked for.

    Raises
    ------
    GivenError
        If the file cannot be read, or an array has another shape than the others say.
    """
    names = contents(path)
    ops = [op for op in operations if any(name.startswith(f"{op}/") for name in names)]
    plain = [name for name in names if "/" not in name]
    unknown = sorted({name.partition("/")[0] for name in names if "/" in name} - OPERATIONS.keys())
    if unknown:
        raise GivenError(f"{path}: {unknown[0]!r} is no operation; `conformance list` shows them")
    if plain and alone:
        ops = list(dict.fromkeys([*ops, *operations]))
    elif plain:
        raise GivenError(
            f"{path}: {plain[0]!r} is of no operation: name one with --ops, or write OP/{plain[0]}"
        )
    if not ops:
        raise GivenError(f"{path}: no array of an operation asked for; expected ARRAY or OP/ARRAY")
    return [_case(path, OPERATIONS[op], dtype) for op in ops for dtype in dtypes]


def _case(path: str, entry: Entry, dtype: str) -> Case:
    given = of(path, entry.name)
    expected = ", ".join(entry.arrays)
    missing = [name for name in entry.arrays if name not in given]
    if missing:
        raise GivenError(f"{path}: {entry.name}: no array {missing[0]}; expected {expected}")
    values = dict(_parameters(path, entry, given))
    for name, (array, axis) in _axes(entry).items():
        shape = given[array].shape
        if name in values or len(shape) < -min(axis):
            continue
        sides = tuple(int(shape[a]) for a in axis)
        values[name] = sides if len(set(sides)) > 1 else sides[0]
    values = {"s": values.get("f", 1) if "mode" in entry.parameters else 1, "p": 0} | values
    for name in entry.parameters:
        if name in WORDS and name not in values:
            values[name] = WORDS[name][0]
        if name not in values:
            raise GivenError(f"{path}: {entry.name}: {_long(entry, name)} is not known: add it as a number")
    try:
        case = Case.parse(str(Case.of(entry.name, dtype, values, FILE, 0, path)))
        feasible.check(case)
    except (ValueError, TypeError) as error:
        raise GivenError(f"{path}: {entry.name}: {error}") from None
    for name in entry.arrays:
        wanted = entry.shape(case, name)
        if bare(given[name].shape) != bare(wanted):
            raise GivenError(f"{path}: {entry.name}: {name} is {given[name].shape}, expected {wanted}")
        _checked(path, case, name, given[name])
    return case


def _checked(path: str, case: Case, name: str, values: Array) -> None:
    """Refuse values that no right implementation could answer."""
    where = f"{path}: {case.op}: {name}"
    if name == "Y":
        if values.dtype.kind not in "iu":
            raise GivenError(f"{where} is {values.dtype}, expected whole numbers")
        wrong = values[((values < 0) | (values >= case["n"])) & (values != case.get("ignore", "none"))]
        if wrong.size:
            raise GivenError(f"{where} has the label {wrong[0]}, expected 0 to {case['n'] - 1}")
        return
    if values.dtype.kind not in "fiu":
        raise GivenError(f"{where} is {values.dtype}, expected numbers")
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(case.numpy_dtype).astype(np.float64))
    if not finite.all():
        place = [int(i) for i in np.argwhere(~finite)[0]]
        raise GivenError(f"{where}{place} is {values[tuple(place)]}, expected finite numbers in {case.dtype}")


def _parameters(path: str, entry: Entry, given: Mapping[str, Array]) -> Iterator[tuple[str, Value]]:
    """The parameters and options that stand in the file beside the arrays."""
    known = {name: name for name in entry.parameters} | {o.key: name for name, o in entry.option.items()}
    known |= {key: name for key, name in _KEYS.items() if name in entry.parameters}
    known |= {"training": "statistics"} if "statistics" in entry.parameters else {}
    for key, values in given.items():
        if key in entry.arrays:
            continue
        name = known.get(key)
        if name is None:
            raise GivenError(
                f"{path}: {entry.name} has no {key!r}; expected {', '.join((*entry.arrays, *known))}"
            )
        if values.size > 4 or values.dtype.kind not in "biufU":
            raise GivenError(f"{path}: {entry.name}: {key} is no number and no word")
        items = [item.item() for item in values.reshape(-1)]
        value: Any = items[0] if len(items) == 1 else tuple(items)
        yield name, _SWITCHES[key][bool(value)] if key in _SWITCHES and value in (True, False) else value


def _axes(entry: Entry) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Of each parameter that a shape tells: the array and its axes, counted from the end."""
    values: dict[str, Value] = {n: WORDS[n][0] if n in WORDS else _PRIMES.get(n, 3) for n in entry.parameters}
    if "f" in values and "f" in entry.option:
        values["f"] = _SIDES
    probe = Case.of(entry.name, "f32", values, "normal", 0)
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for array in entry.arrays:
        shape = entry.shape(probe, array)
        for name, value in values.items():
            wanted = value if isinstance(value, tuple) else (value,)
            if not isinstance(value, str) and set(wanted) <= set(shape):
                axes = tuple(shape.index(n) - len(shape) for n in wanted if isinstance(n, int))
                found.setdefault(name, (array, axes))
    return {name: where for name, where in found.items() if name not in ("s", "p")}


def _long(entry: Entry, name: str) -> str:
    return f"{name} ({entry.option[name].key})" if name in entry.option else name
