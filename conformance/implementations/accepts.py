"""What a module says it answers alone: ``accepts = "square"``, or of some operations ``{"pool_*": "tiles"}``.

A case outside is not asked, and no such case is counted against the module; a refusal inside is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from conformance.cases.case import Case
from conformance.generation.rules import Rule, parse, said
from conformance.implementations import ALONE, UNDECLARED
from conformance.operations import OPERATIONS

#: The rules of each operation that a module has any of.
Accepts = Mapping[str, tuple[Rule, ...]]


def read(declared: Any) -> Accepts:
    """Check what a module declares.

    Raises
    ------
    ValueError
        If it is not of the form above, or of an unknown word.
    """
    if not isinstance(declared, Mapping):
        declared = {"*": declared}
    found: dict[str, tuple[Rule, ...]] = {}
    for pattern, words in declared.items():
        rules = tuple(map(parse, _words(words)))
        names = [name for name in OPERATIONS if fnmatchcase(name, str(pattern))]
        if not names:
            raise ValueError(f"accepts names {pattern!r}, which is no operation")
        for name in names:
            fitting = tuple(rule for rule in rules if rule.applies(OPERATIONS[name]))
            if fitting:
                found[name] = (*found.get(name, ()), *fitting)
    return found


def _words(declared: Any) -> list[str]:
    if isinstance(declared, str):
        return [word for part in declared.split(",") for word in part.split(" and ") if word.strip()]
    if isinstance(declared, Iterable):
        return [str(word) for word in declared]
    raise ValueError(
        f'accepts is {declared!r}, expected a word such as "square", several, or one an operation'
    )


def outside(accepts: Accepts, case: Case) -> str | None:
    """Why the module is not asked `case`; None if it is."""
    rules = accepts.get(case.op, ())
    if all(rule.admits(case) for rule in rules):
        return None
    return f"{UNDECLARED}{said(rules)}{ALONE}"


def inside(accepts: Accepts, op: str) -> str:
    """What is added to the reason of a refusal that contradicts what the module declares; or nothing."""
    rules = accepts.get(op, ())
    return f', though it declares to answer "{said(rules)}"' if rules else ""
