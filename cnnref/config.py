"""What this build runs on."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy

from cnnref._dispatch import ISA, available
from cnnref._processor import compiler, openmp
from cnnref.kernels.base.caches import taken
from cnnref.threads import get_num_threads

try:
    __version__ = version("cnnref")  # pyproject.toml has it
except PackageNotFoundError:  # built in place, not installed
    __version__ = "unknown"


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show threads, instruction set, compiler and versions.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Print the configuration, or return it as a dictionary.

    Returns
    -------
    dict or None
        The configuration for ``mode="dicts"``, else None.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> cnnref.show_config("dicts")["threads"] == cnnref.get_num_threads()
    True
    """
    if not isinstance(mode, str) or mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode must be 'stdout' or 'dicts', got {mode!r}")
    date = openmp()
    config = {
        "cnnref": __version__,
        "threads": get_num_threads(),
        "openmp": date or None,
        "instruction_set": ISA,
        "instruction_sets": list(available()),
        "caches": dict(zip(("second_level", "last_level"), taken(), strict=True)),
        "compiler": compiler(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "platform": platform.platform(),
    }
    if mode == "dicts":
        return config
    print(json.dumps(config | {"openmp": date or "not in this build: one thread"}, indent=2))
    return None
