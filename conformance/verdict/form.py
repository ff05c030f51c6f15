"""The form of an answer, read apart from its values: type, shape and dtype.

Whatever of it can be put right without a doubt is, so that the values are judged as those that were asked
for. What was put right is a remark where nobody is misled (a NumPy scalar for a Python float, a mask of
booleans, either float for a value that is spread), and else one fault of the module: another dtype, another
shape of the same elements in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.cases.dtypes import KNOWN

#: The faults of form, and how a remark begins. A form is one of these, a colon and what was seen.
DTYPE, SHAPE, REMARK = "dtype-not-kept", "shape-flattened", "remark"

_DTYPES = frozenset(np.dtype(kind) for kind in KNOWN.values())


@dataclass(frozen=True)
class Form:
    """How an answer was read.

    Attributes
    ----------
    value : object
        The answer, of the type, shape and dtype asked for where it can be put so.
    said : str
        What was put right: ``dtype-not-kept: is float64, expected float32``; empty if nothing was.
    wrong : str
        Why it cannot be read at all; empty if it can.
    """

    value: Any
    said: str = ""
    wrong: str = ""

    @property
    def fault(self) -> str:
        """The fault of form; empty for none, and for a remark."""
        return fault(self.said)


def fault(said: str | None) -> str:
    """The fault that a record's `form` names; empty for none, and for a remark."""
    name = (said or "").partition(":")[0]
    return name if name in (DTYPE, SHAPE) else ""


def read(
    got: Any, shape: tuple[int, ...], dtype: np.dtype[Any] | None, harmless: frozenset[str] = frozenset()
) -> Form:
    """Read an answer.

    Parameters
    ----------
    got : object
        What the implementation returned.
    shape : tuple of int
        The shape asked for.
    dtype : numpy dtype or None
        The dtype asked for; None for a Python float.
    harmless : frozenset of str
        The kinds of dtype (`numpy.dtype.kind`) that mislead nobody in place of that one.
    """
    if dtype is None:
        return _number(got)
    if isinstance(got, np.ndarray) and got.dtype == dtype and got.shape == shape:
        return Form(got)
    if isinstance(got, bool) or not isinstance(got, (np.ndarray, np.generic, float, int)):
        return Form(got, wrong=f"is a {_type(got)}, expected a NumPy array")
    array = np.asarray(got)  # of a subclass, what it holds
    if array.shape != shape and not _merged(array.shape, shape):
        return Form(got, wrong=f"shape is {array.shape}, expected {shape}")
    if array.dtype.kind not in "fiub" and array.dtype not in _DTYPES:
        return Form(got, wrong=f"dtype is {array.dtype}, expected {dtype}")
    said = []
    if array.dtype != dtype:
        kind = REMARK if array.dtype.kind in harmless else DTYPE
        said.append(f"{kind}: dtype is {array.dtype}, expected {dtype}")
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    if array.shape != shape:
        said.append(f"{SHAPE}: shape is {array.shape}, expected {shape}")
        array = array.reshape(shape)
    said.sort(key=lambda text: text.startswith(REMARK))  # a fault goes before a remark
    return Form(array, "; ".join(said))


def _number(got: Any) -> Form:
    """An answer in place of a Python float."""
    if isinstance(got, float):
        return Form(got)
    if isinstance(got, (bool, np.bool_)) or not isinstance(got, (np.ndarray, np.generic, int)):
        return Form(got, wrong=f"is a {_type(got)}, expected a Python float")
    array = np.asarray(got)
    if array.size != 1 or (array.dtype.kind not in "fiu" and array.dtype not in _DTYPES):
        return Form(got, wrong=f"is a {_type(got)} of shape {array.shape}, expected a Python float")
    return Form(float(array.reshape(())), f"{REMARK}: is a {_type(got)}, expected a Python float")


def _merged(got: tuple[int, ...], asked: tuple[int, ...]) -> bool:
    """Whether axes were merged, or ones left out or added: the same elements in the same order."""
    bare, left = [n for n in asked if n != 1], [n for n in got if n != 1]
    if 0 in asked or 0 in got or len(got) == len(asked):  # as many axes: they are exchanged
        return False
    for extent in left:
        size = 1
        while size < extent and bare:
            size *= bare.pop(0)
        if size != extent:
            return False
    return not bare


def _type(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
