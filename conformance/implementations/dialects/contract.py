"""The dialect ``contract``: the functions of the contract themselves, which are called as they stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conformance.implementations.dialects.own import own

NAME = "contract"


def claimed(target: Any, names: Iterable[str]) -> dict[str, str]:
    """Of what a module defines itself the contract's functions."""
    there = own(target)
    return {name: name for name in names if callable(there.get(name))}


def adapted(target: Any) -> Any:
    """The module as it is."""
    return target
