"""Implementations to test or to compare with, one small module each.

An adapter is a module with some of the contract's functions under their names; ``--impl`` takes its
short name (``numpy_loops``) or its full one (``conformance.adapters.numpy_loops``).
"""

from __future__ import annotations

from pathlib import Path


def names() -> list[str]:
    """The short names of the adapters that this package has."""
    return sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
