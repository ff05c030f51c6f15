"""An implementation of another dialect as one of the contract's form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Adapted:
    """The contract's functions over a module of a dialect, arrays in NHWC; the rest is what the module says.

    Attributes
    ----------
    dialect : str
        The dialect.
    layout : str
        That of the contract.
    options, dtypes : tuple of str
        What it takes beyond the plain calls.
    covers : dict of str to str
        Of each of the contract's functions what it is called there.
    remarks : dict of str to int
        What was noticed that is no fault, and how often.
    compiled : callable or None
        Gives what a call gives if the framework compiles what it calls.
    """

    layout = "NHWC"

    def __init__(
        self,
        target: Any,
        dialect: str,
        functions: Mapping[str, Callable[..., Any]],
        covers: Mapping[str, str],
        options: tuple[str, ...] = (),
        dtypes: tuple[str, ...] = ("f32", "f64"),
        remarks: dict[str, int] | None = None,
    ) -> None:
        self._target, self.dialect = target, dialect
        self.functions, self.covers = dict(functions), dict(covers)
        self.options: Any = getattr(target, "options", options)
        self.dtypes: Any = getattr(target, "dtypes", dtypes)
        self.remarks = {} if remarks is None else remarks
        self.compiled: Callable[[Callable[[], Any]], Any] | None = None

    def __getattr__(self, name: str) -> Any:
        """One of the contract's functions, or what the module says of itself."""
        functions = self.__dict__.get("functions", {})
        if name in functions:
            return functions[name]
        if name in _SAID and hasattr(self.__dict__.get("_target"), name):
            return getattr(self._target, name)
        raise AttributeError(f"{self.__dict__.get('dialect')} module has no {name}")


#: What a module may say of itself in any dialect.
_SAID = frozenset(
    ("differs", "conventions", "precision", "algorithm", "accepts", "__version__", "__file__", "__name__")
)
