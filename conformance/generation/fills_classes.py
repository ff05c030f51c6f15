"""How probabilities and labels of a family are filled; see `conformance.generation.fills`."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.generation.fills import SMALLEST, Array, Drawn
from conformance.generation.random import Shape, Stream, normalised

_DOUBLE = np.dtype(np.float64)


def stochastic(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Rows of positive probabilities that sum to one as nearly as the dtype can."""
    return normalised(stream.integers(1 << 20, 1 << 40, shape), case.numpy_dtype)


def uneven(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Rows of probabilities between about 2**-26 and 1."""
    return normalised(np.abs(stream.magnitudes(shape, _DOUBLE)), case.numpy_dtype)


def tiny(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Probabilities far below 1, some subnormal: their logarithms are ordinary numbers."""
    lowest = SMALLEST[case.dtype]
    exponent = stream.integers(lowest + 4, -20, shape).astype(np.int32)
    return np.array(np.ldexp(stream.uniform(shape, _DOUBLE, 1, 2), exponent), case.numpy_dtype)


def certain(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Rows with a single one: the logarithm is zero."""
    return np.eye(shape[1])[stream.integers(0, shape[1] - 1, shape[:1])]


def labels(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Any class."""
    return stream.integers(0, case["n"] - 1, shape)


def few_labels(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Class 0 and every other even class missing: a label's rank among those present is not the label."""
    return 2 * stream.integers(0, case["n"] // 2 - 1, shape) + 1


def likeliest(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The class of the largest probability."""
    return np.array(np.argmax(drawn["AL"], axis=1))


def unlikeliest(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The first row's label has probability zero, the others have theirs."""
    return np.concatenate([np.argmin(drawn["AL"][:1], axis=1), np.argmax(drawn["AL"][1:], axis=1)])


def with_ignored(stream: Stream, labels: Array, case: Case) -> Array:
    """The labels with ignored ones among them, where the case has any; of several rows one counts."""
    ignored = case.value("ignore") if "ignore" in case.operation.option else "none"
    if not isinstance(ignored, int) or len(labels) < 2:
        return labels
    chosen = stream.integers(0, 2, labels.shape) == 0
    chosen[-1] = True
    chosen[0] = False
    labels = np.where(chosen, ignored, labels)
    if labels[0] == ignored:
        labels[0] = (ignored + 1) % max(case["n"], 1)
    return labels
