"""Versions of what decides the results of a run."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np


def versions(implementation: str, version: str | None) -> dict[str, str]:
    """Versions of Python, of what computes and of the implementation, for the report."""
    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": installed("torch"),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if version:
        found[implementation] = version
    return found


def installed(package: str) -> str:
    """The version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
