"""Functions of a module that say which differences it declares: called where no case is answered.

Such a function is shown what is right. The process that answers never is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from conformance.implementations.child import Child, LostError
from conformance.implementations.loading import LoadError
from conformance.implementations.program import TIME_LIMIT

if TYPE_CHECKING:
    from conformance.implementations.declared import Seen


class Witness:
    """The process, started when it is asked for the first time.

    Parameters
    ----------
    spec : str
        The module, as ``--impl`` names it.
    wrapped : sequence of str
        A command in front of the process's own, which makes a sandbox.
    """

    def __init__(self, spec: str, wrapped: Sequence[str]) -> None:
        self._spec, self._wrapped = spec, wrapped
        self._child: Child | None = None

    def of(self, op: str, index: int) -> Callable[[Seen], Any]:
        """The function with that place in what the module declares of an operation."""
        return lambda seen: self._asked(op, index, seen)

    def _asked(self, op: str, index: int, seen: Seen) -> Any:
        """Its answer; False, nothing is accounted for, if there is none."""
        shown = {f"arrays.{name}": array for name, array in (seen.arrays or {}).items()}
        fields = {name: getattr(seen, name) for name in ("expected", "got", "limit")}
        shown |= {name: array for name, array in fields.items() if array is not None}
        try:
            if self._child is None:
                self._child = Child(self._spec, (), TIME_LIMIT, wrapped=self._wrapped)
            return self._child.explain(op, index, str(seen.case), seen.output, shown)
        except (LostError, LoadError):
            return False
