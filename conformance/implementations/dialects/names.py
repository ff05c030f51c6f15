"""Which functions of a module have names of PyTorch's: told without torch, which takes seconds to load."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from conformance.implementations.dialects.own import own, spelled
from conformance.implementations.dialects.table import ROWS

#: Other names of the dialect's functions.
NAMES = {row.name: row.also for row in ROWS}


def is_plain(value: Any) -> bool:
    """Whether it is a function, where torch is not loaded: then no class is a `torch.autograd.Function`."""
    return callable(value) and not inspect.isclass(value)


def claimed(target: Any, is_function: Callable[[Any], bool] = is_plain) -> dict[str, str]:
    """Of what a module defines itself the functions of the dialect ``torch``."""
    there = own(target)
    alike = {spelled(n): row.name for row in ROWS for n in (row.name, *row.also)}
    declared = getattr(target, "functions", None)
    every = {str(other): str(name) for name, other in dict(declared or {}).items()}
    found = {
        name: alike[spelled(name)] for name, x in there.items() if is_function(x) and spelled(name) in alike
    }
    return found | {name: row for name, row in every.items() if row in NAMES}
