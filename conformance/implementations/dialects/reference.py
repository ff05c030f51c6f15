"""Of a file with `Model` and `ModelNew` what `Model` needs, and nothing else that is in it.

What runs the reference must not be changed by the replacement beside it: statements that bind no name which
`Model`, `get_inputs` or `get_init_inputs` come to (a patch of PyTorch, say, or a kernel built on import) are
left out.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

#: What is run of a file.
ROOTS = ("Model", "get_inputs", "get_init_inputs")
NEW = "ModelNew"


class DependentError(ValueError):
    """There is no reference that stands by itself; the message says why."""


def is_pair(spec: str) -> bool:
    """Whether that is a file with a `ModelNew` beside a `Model`; it is read, and not run."""
    if not spec.endswith(".py"):
        return False
    try:
        tree = ast.parse(Path(spec).read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return False
    there = {name for statement in tree.body for name in _bound(statement)}
    return {NEW, "Model", "get_inputs"} <= there


def names_of(place: str) -> dict[str, Any]:
    """Run what the reference of a file needs; returns its names.

    Raises
    ------
    DependentError
        If `Model` is made of `ModelNew`.
    """
    tree = ast.parse(Path(place).read_bytes())
    needed, kept = set(ROOTS), set[int]()
    changed = True
    while changed:
        changed = False
        for number, statement in enumerate(tree.body):
            if number not in kept and not _bound(statement).isdisjoint(needed):
                kept.add(number)
                needed |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
                changed = True
    if NEW in needed:
        raise DependentError("Model, or what it needs, uses ModelNew: it is no reference")
    tree.body = [s for number, s in enumerate(tree.body) if number in kept or _future(s)]
    found: dict[str, Any] = {"__name__": "reference", "__file__": place}
    exec(compile(tree, place, "exec"), found)
    return found


def built(names: dict[str, Any], kind: str) -> Any:
    """A model of a file, as its `get_init_inputs` says."""
    sizes = names["get_init_inputs"]() if "get_init_inputs" in names else []
    return names[kind](**sizes) if isinstance(sizes, dict) else names[kind](*sizes)


def _future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement binds; ``import *`` may bind any."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        names = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
        return set(ROOTS) if "*" in names else names
    if isinstance(statement, (ast.If, ast.Try, ast.With)):
        inner = [s for s in ast.walk(statement) if isinstance(s, ast.stmt) and s is not statement]
        return {name for s in inner for name in _bound(s)}
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {
            node.id
            for target in targets
            for node in ast.walk(target)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    return set()
