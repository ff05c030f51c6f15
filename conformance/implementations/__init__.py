"""The module under test: how it is found and called, in which dialect, and what it declares of itself."""

from __future__ import annotations

from pathlib import Path

#: How the reason begins of what was not called because the implementation does not declare it.
UNDECLARED = "not implemented: declares "

#: How it begins where a function's signature has no place for what the case needs.
LACKING = "not implemented: takes no "

#: How it ends where the case is outside of what the implementation says it answers (`accepts`).
ALONE = " alone"
#: How the reason begins of what was not called because the call would take too long.
LEFT_OUT = "left out: "


def adapters() -> list[str]:
    """The short names of the adapters that come with the suite."""
    folder = Path(__file__).parents[1] / "adapters"
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
