"""The functions that the suite judges, a file for each family of them: everything the suite knows of them.

Every file of this folder that has `ENTRIES` is taken: a new operation is a new file, and one whose entry is
deleted is gone everywhere. Whatever depends on *which* function is under test is in its entry.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from importlib import import_module
from pkgutil import iter_modules

from conformance.operations.entry import TRAITS, Entry

#: The files in the contract's order; others follow.
_ORDER = (
    "pad3d", "conv", "conv_transpose", "pool", "windows", "columns", "affine", "affine_activation", "sigmoid",
    "relu", "tanh", "silu", "gelu", "leaky_relu", "hardtanh", "hardsigmoid", "hardswish", "softsign",
    "elu", "softplus", "mish", "prelu",
    "global_average_pool", "batch_norm", "row_norm", "softmax", "log_softmax", "cross_entropy", "mse_loss",
)  # fmt: skip


def _found() -> dict[str, Entry]:
    places = {name: place for place, name in enumerate(_ORDER)}
    names = sorted((m.name for m in iter_modules(__path__)), key=lambda n: (places.get(n, len(places)), n))
    modules = (import_module(f"{__name__}.{name}") for name in names)
    return {entry.name: entry for module in modules for entry in getattr(module, "ENTRIES", ())}


#: The operations by name, in the contract's order.
OPERATIONS: dict[str, Entry] = _found()

#: What an implementation may have: the operations, and what gives the cache of two of them at once.
FUNCTIONS = (*OPERATIONS, *dict.fromkeys(e.call.fused for e in OPERATIONS.values() if e.call.fused))


def having(*traits: str) -> tuple[str, ...]:
    """The names of the operations that have one of these traits."""
    unknown = set(traits) - TRAITS.keys()
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is no trait; TRAITS lists them")
    return tuple(name for name, entry in OPERATIONS.items() if not entry.traits.isdisjoint(traits))


def select(patterns: list[str] | None) -> list[Entry]:
    """Return the operations that match any of the shell patterns, in the contract's order.

    Raises
    ------
    ValueError
        If a pattern matches nothing.
    """
    if not patterns:
        return list(OPERATIONS.values())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in OPERATIONS):
            raise ValueError(
                f"no operation matches {pattern!r}; `conformance list` shows the {len(OPERATIONS)} names"
            )
    return [o for o in OPERATIONS.values() if any(fnmatchcase(o.name, pattern) for pattern in patterns)]
