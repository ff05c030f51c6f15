"""Dialects: implementations as their authors wrote them, each read by a module of its own.

`adapted` makes of a module of any dialect an object with the contract's functions. It imports nothing of
what the judge knows (operations, oracle, bounds): what it makes lives where the implementation does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.recognise import DIALECTS, reader, recognised

__all__ = ["DIALECTS", "DialectError", "Reading", "adapted"]


class Reading(NamedTuple):
    """How a module is read, where it does not say so itself.

    Attributes
    ----------
    dialect : str or None
        The dialect; else what the module says (``dialect = "torch"``), else what it is recognised by.
    device : str or None
        Where tensors are; else what the module says (``device = "cuda"``), else the CPU.
    model : str or None
        What the `Model` beside a `ModelNew` computes; else a process of its own tells it.
    """

    dialect: str | None = None
    device: str | None = None
    model: str | None = None


#: As the module says.
_ITS_OWN = Reading()


def adapted(
    target: Any,
    names: Iterable[str],
    reading: Reading = _ITS_OWN,
    trying: Callable[[], None] | None = lambda: None,
) -> tuple[Any, str]:
    """An object with the contract's functions, and the dialect that the module is in.

    Parameters
    ----------
    target : object
        A module, or any object with functions or classes.
    names : iterable of str
        The contract's functions.
    reading : Reading, optional
        How it is read.
    trying : callable, optional
        Is called before the module's functions are, to tell its dialect; None where they may not be.

    Raises
    ------
    DialectError
        If there is no such dialect, none or several fit, or the device is not there.
    """
    dialect, device, model = reading
    said = dialect or getattr(target, "dialect", None)
    name = recognised(target, names, trying) if said is None else str(said)
    module = reader(name)
    if name == "contract":
        return target, name
    more = {} if device is None else {"device": device}
    if more and not getattr(module, "DEVICES", False):
        raise DialectError(f"--device {device}: dialect {name} computes on NumPy arrays")
    if model is not None and name == "torch-modules":
        more["model"] = model
    return module.adapted(target, **more), name
