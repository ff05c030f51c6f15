"""The module under test: how it is found and called, in which dialect, and what it declares of itself."""

from __future__ import annotations

#: How the reason begins of what was not called because the implementation does not declare it.
UNDECLARED = "not implemented: declares "
