"""How activations with options, batch normalization and global pooling are called; see `calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.operations.norm import EPSILON, MOMENTUM

Arrays = dict[str, NDArray[Any]]


class BatchNorm(NamedTuple):
    """The cache of batch_norm_forward."""

    A_prev: Any
    gamma: Any
    mean: Any
    variance: Any
    running_mean: Any
    running_var: Any
    hparameters: Any


def arguments(case: Case) -> tuple[Any, ...]:
    """What an activation is handed beside its arrays: the form of a gelu, the slope of a leaky ReLU."""
    if case.op.startswith("gelu"):
        return (case.word("approximate"),)
    return (case.value("a"),) if case.op.startswith("leaky_relu") else ()


def loss_arguments(case: Case) -> dict[str, Any]:
    """The options of a cross-entropy, those that the case gives."""
    given = dict(case.params)
    return {option.key: given[option.name] for option in case.operation.options if option.name in given}


def norm_hyper(case: Case) -> dict[str, Any]:
    """The ``hparameters`` of a batch normalization."""
    training = case.word("statistics") == "training"
    return {"epsilon": EPSILON, "momentum": MOMENTUM, "training": training}


def norm_arguments(case: Case, a: Arrays) -> tuple[Any, ...]:
    """The arguments of batch_norm_forward."""
    arrays = (a[name] for name in ("A_prev", "gamma", "beta", "running_mean", "running_var"))
    return (*arrays, norm_hyper(case))


def norm_cache(case: Case, a: Arrays) -> BatchNorm:
    """The cache by hand; the backward function needs no running statistics in training.

    The statistics have the dtype that sums are computed in, which the bound allows for: half images have
    them in float32. In float64 they would make the gradients of a kernel in plain NumPy float64.
    """
    form = case.working_dtype
    mean, variance = (np.asarray(a[name], form) for name in ("running_mean", "running_var"))
    if case.word("statistics") == "training":
        wide = np.asarray(a["A_prev"], np.float64)
        mean, variance = (np.asarray(f(wide, axis=(0, 1, 2), keepdims=True), form) for f in (np.mean, np.var))
    old = a["running_mean"], a["running_var"]
    return BatchNorm(a["A_prev"], a["gamma"], mean, variance, *old, norm_hyper(case))


def running(cache: Any) -> dict[str, Any]:
    """The new running statistics in a cache of batch_norm_forward: by name or place.

    Raises
    ------
    ValueError
        If they are not in it.
    """
    found = {}
    for name in ("running_mean", "running_var"):
        if isinstance(cache, Mapping) and name in cache:
            found[name] = cache[name]
        elif hasattr(cache, name):
            found[name] = getattr(cache, name)
        elif isinstance(cache, tuple) and len(cache) == len(BatchNorm._fields):
            found[name] = cache[BatchNorm._fields.index(name)]
        else:
            raise ValueError(f"returned a cache without {name}")
    return found
