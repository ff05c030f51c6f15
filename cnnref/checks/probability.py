"""The warning of `cross_entropy_cost` about values that are no probabilities."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

#: What rounding can make of 1: two of bfloat16's last places more; as in ``kernels/vmath/cross_entropy.pxd``.
_LARGEST = 1.015625


class ProbabilityWarning(UserWarning):
    """`cross_entropy_cost` was given values that are no probabilities: logits, most often.

    The loss is what the formula gives, as in PyTorch: below 0 for a probability above 1, NaN for one below 0.
    ``warnings.simplefilter("error", cnnref.ProbabilityWarning)`` makes an error of it.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     loss, cache = cnnref.cross_entropy_cost([[2.0, -1.0]], [0])
    >>> seen[0].category.__name__
    'ProbabilityWarning'
    """


def warn_of_no_probabilities(AL: np.ndarray, Y_index: np.ndarray, ignored: int | None) -> None:
    """Warn of the first value at a label that is no probability, or else of the first anywhere.

    Parameters
    ----------
    AL : ndarray, shape (m, n)
        As given.
    Y_index : ndarray, shape (m, 2)
        Rows and labels.
    ignored : int or None
        The label whose rows do not count.
    """
    rows, labels = Y_index[Y_index[:, 1] != ignored].T if ignored is not None else Y_index.T
    place = _first(AL[rows, labels])
    if place is not None:
        row, column = rows[place[0]], labels[place[0]]
    else:
        place = _first(AL[rows])
        if place is None:  # another thread has written there meanwhile
            return
        row, column = rows[place[0]], place[1]
    value = float(AL[row, column])
    warnings.warn(
        f"cross_entropy_cost: AL must hold probabilities, from 0 to 1, got AL[{row}, {column}] = {value:.9g};"
        " of logits X pass cnnref.softmax(X)[0], not X",
        ProbabilityWarning,
        stacklevel=_of_the_caller(),
    )


def _first(values: np.ndarray) -> tuple[Any, ...] | None:
    """The index of the first that is no probability."""
    values = values.astype(np.float64)
    outside = (values < 0) | (values > _LARGEST)
    return tuple(np.argwhere(outside)[0]) if outside.any() else None


def _of_the_caller() -> int:
    """The level, for `warn_of_no_probabilities`, of the code outside this package that called it."""
    level = 2
    while level < 16:
        try:
            name = sys._getframe(level).f_globals.get("__name__", "")
        except ValueError:
            break
        if name.partition(".")[0] != "cnnref":
            break
        level += 1
    return level
