"""Normalizations: mean and variance by every way that is stable, forms of the rest; PReLU by such sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.kernel import Arrays, Kernel, Outputs
from conformance.cases.case import Case
from conformance.operations.batch_norm import epsilon_of, momentum_of

Array = NDArray[Any]
#: The sum over the first axis of an array of values by channels.
Sum = Callable[[Array], Array]
Statistics = tuple[Array, Array]


def one_by_one(x: Array) -> Array:
    """In the order of memory."""
    return np.asarray(np.add.accumulate(x, 0, x.dtype)[-1])


def numpys(x: Array) -> Array:
    """NumPy's, eight lanes and pairwise where it can."""
    return np.asarray(np.ascontiguousarray(x.T).sum(1, x.dtype))


def in_chunks(x: Array) -> Array:
    """Chunks of 64, then those."""
    return one_by_one(np.stack([one_by_one(x[k : k + 64]) for k in range(0, len(x), 64)]))


def in_double(x: Array) -> Array:
    """Exact, but for one rounding."""
    return np.asarray(x.astype(np.float64).sum(0).astype(x.dtype))


SUMS: tuple[Sum, ...] = (one_by_one, numpys, in_chunks, in_double)


def two_passes(x: Array, add: Sum) -> Statistics:
    """The mean, then that of the squared differences."""
    n = x.dtype.type(len(x))
    mean = add(x) / n
    return mean, add((x - mean) * (x - mean)) / n


def corrected(x: Array, add: Sum) -> Statistics:
    """Two passes and the correction of the mean's own error (Neely, Chan)."""
    n = x.dtype.type(len(x))
    mean = add(x) / n
    apart = x - mean
    return mean, (add(apart * apart) - add(apart) * add(apart) / n) / n


def shifted(x: Array, add: Sum) -> Statistics:
    """The difference of two means of the values less the first one."""
    n = x.dtype.type(len(x))
    apart = x - x[0]
    mean = add(apart) / n
    return x[0] + mean, np.maximum(add(apart * apart) / n - mean * mean, x.dtype.type(0))


def welford(x: Array, add: Sum) -> Statistics:
    """Value by value."""
    mean, rest = x[0].copy(), np.zeros_like(x[0])
    for k in range(1, len(x)):
        apart = x[k] - mean
        mean = mean + apart / x.dtype.type(k + 1)
        rest = rest + apart * (x[k] - mean)
    return mean, rest / x.dtype.type(len(x))


def merged(x: Array, add: Sum) -> Statistics:
    """Chunks of 32 values by themselves, merged as Chan, Golub and LeVeque do."""
    t = x.dtype.type
    count, mean, rest = 0, np.zeros_like(x[0]), np.zeros_like(x[0])
    for k in range(0, len(x), 32):
        part = x[k : k + 32]
        own, variance = two_passes(part, one_by_one)
        both = count + len(part)
        apart = own - mean
        mean = mean + apart * t(len(part) / both)
        rest = rest + variance * t(len(part)) + apart * apart * t(count * len(part) / both)
        count = both
    return mean, rest / t(count)


MOMENTS = (two_passes, corrected, shifted, welford, merged)


def _given(case: Case, a: Arrays, moments: Any, add: Sum) -> Statistics:
    x = a["A_prev"].reshape(-1, case["c"])
    if case.word("statistics") == "training" and x.size:
        mean, variance = moments(x, add)
        return mean, variance
    return a["running_mean"].reshape(-1), a["running_var"].reshape(-1)


def _root(case: Case, variance: Array) -> Array:
    return 1 / np.sqrt(variance + variance.dtype.type(epsilon_of(case)))


def difference(a: Arrays, mean: Array, r: Array) -> Array:
    """``gamma ((x - mean) r) + beta``."""
    return a["gamma"] * ((a["A_prev"] - mean) * r) + a["beta"]


def affine(a: Arrays, mean: Array, r: Array) -> Array:
    """``x alpha + (beta - mean alpha)``."""
    alpha = a["gamma"].reshape(-1) * r
    return a["A_prev"] * alpha + (a["beta"].reshape(-1) - mean * alpha)


def _forward(moments: Any, add: Sum, form: Any) -> Callable[[Case, Arrays], Outputs]:
    def answer(case: Case, a: Arrays) -> Outputs:
        if not a["A_prev"].size:
            return {}
        mean, variance = _given(case, a, moments, add)
        outputs = {"A": form(a, mean, _root(case, variance))}
        n, t = a["A_prev"].size // max(case["c"], 1), case.working_dtype.type
        kept = a["running_mean"], a["running_var"]
        if case.word("statistics") == "training" and n:
            new = mean, variance * t(n) / t(n - 1) if n > 1 else variance
            momentum = momentum_of(case)
            kept = tuple(t(1 - momentum) * old + t(momentum) * v for old, v in zip(kept, new, strict=True))
        return {**outputs, "running_mean": kept[0], "running_var": kept[1]}

    return answer


def _backward(moments: Any, add: Sum, whole: bool) -> Callable[[Case, Arrays], Outputs]:
    def answer(case: Case, a: Arrays) -> Outputs:
        c, t = case["c"], case.working_dtype.type
        if not a["A_prev"].size:
            return {}
        x, g = (a[name].reshape(-1, c) for name in ("A_prev", "dA"))
        mean, variance = _given(case, a, moments, add)
        r, n = _root(case, variance), t(max(len(x), 1))
        normal = (x - mean) * r
        dbeta, dgamma = add(g), add(g * normal) if whole else add(g * (x - mean)) * r
        gamma = a["gamma"].reshape(-1)
        if case.word("statistics") != "training":
            dx = g * (gamma * r)
        elif whole:
            dx = gamma * r * (g - dbeta / n - normal * (dgamma / n))
        else:  # PyTorch's: the projection on x - mean
            k = add(g * (x - mean)) * r * r / n
            dx = (g - dbeta / n - (x - mean) * k) * (r * gamma)
        shape = (1, 1, 1, c)
        return {
            "dA_prev": dx.reshape(a["dA"].shape),
            "dgamma": dgamma.reshape(shape),
            "dbeta": dbeta.reshape(shape),
        }

    return answer


def _prelu(case: Case, a: Arrays) -> Outputs:
    zero = a["Z"].dtype.type(0)
    return {"A": np.maximum(a["Z"], zero) + a["slopes"] * np.minimum(a["Z"], zero)}


def _prelu_backward(add: Sum, later: bool) -> Callable[[Case, Arrays], Outputs]:
    """`later`: the channels of one slope are summed by themselves first."""

    def answer(case: Case, a: Arrays) -> Outputs:
        if not a["Z"].size:
            return {}
        z, g = a["Z"], a["dA"]
        terms = np.where(z > 0, z.dtype.type(0), g * z)
        sums = add(terms.reshape(-1, case["c"] if later else a["slopes"].shape[3]))
        if sums.size > a["slopes"].size:
            sums = add(sums.reshape(-1, 1))
        return {"dZ": np.where(z > 0, g, a["slopes"] * g), "dslopes": sums.reshape(a["slopes"].shape)}

    return answer


def _of_pixels(moments: Any, add: Sum, form: str) -> Callable[[Case, Arrays], Outputs]:
    """Layer norm, its gradient where it is asked for; its rows are what `moments` takes for channels."""

    def answer(case: Case, a: Arrays) -> Outputs:
        if not a["A_prev"].size:
            return {}
        shape, t = a["A_prev"].shape, case.working_dtype.type
        x = np.ascontiguousarray(a["A_prev"].reshape(-1, shape[3]).T)
        gamma, (mean, variance) = a["gamma"].reshape(-1, 1), moments(x, add)
        r, n = _root(case, variance), t(shape[3])
        normal = (x - mean) * r if form == "difference" else x * r + -mean * r
        if "dA" not in a:
            return {"A": (gamma * normal + a["beta"].reshape(-1, 1)).T.reshape(shape)}
        g = np.ascontiguousarray(a["dA"].reshape(-1, shape[3]).T)
        h = g * gamma
        if form == "difference":
            dx = r * (h - add(h) / n - normal * (add(h * normal) / n))
        else:  # PyTorch's: of the sums of h x and h
            k = (add(h) * mean - add(h * x)) * r * r * r / n
            dx = r * h + k * x + (-k * mean - add(h) * r / n)
        sums = (add(np.ascontiguousarray(v.T)).reshape(a["gamma"].shape) for v in (g * normal, g))
        return {"dA_prev": dx.T.reshape(shape), **dict(zip(("dgamma", "dbeta"), sums, strict=True))}

    return answer


def _by_root(add: Sum, form: str) -> Callable[[Case, Arrays], Outputs]:
    """RMS norm, its gradient where it is asked for."""

    def answer(case: Case, a: Arrays) -> Outputs:
        if not a["A_prev"].size:
            return {}
        shape, n = a["A_prev"].shape, case.working_dtype.type(a["A_prev"].shape[3])
        x = np.ascontiguousarray(a["A_prev"].reshape(-1, shape[3]).T)
        gamma, r = a["gamma"].reshape(-1, 1), _root(case, add(x * x) / n)
        normal = x * r
        if "dA" not in a:
            return {"A": (gamma * normal if form == "normalized" else gamma * r * x).T.reshape(shape)}
        g = np.ascontiguousarray(a["dA"].reshape(-1, shape[3]).T)
        h = g * gamma
        if form == "normalized":
            dx = r * (h - normal * (add(h * normal) / n))
        else:
            dx = r * h - x * (add(h * x) * r * r * r / n)
        dgamma = add(np.ascontiguousarray((g * normal).T)).reshape(a["gamma"].shape)
        return {"dA_prev": dx.T.reshape(shape), "dgamma": dgamma}

    return answer


def kernels() -> Iterator[Kernel]:
    """Every way to the statistics in every order, with either form."""
    yield Kernel("max + slope min", "prelu", _prelu)
    for add in SUMS:
        for later in (True, False):
            name = f"{add.__name__}{', then over channels' if later else ''}".replace("_", " ")
            yield Kernel(name, "prelu_backward", _prelu_backward(add, later))
        for form in ("normalized", "scaled"):
            for op in ("rms_norm_forward", "rms_norm_backward"):
                yield Kernel(f"{add.__name__}, {form}".replace("_", " "), op, _by_root(add, form))
    for moments in MOMENTS:
        for add in SUMS if moments in (two_passes, corrected, shifted) else (one_by_one,):
            how = f"{moments.__name__}, {add.__name__}".replace("_", " ")
            for form in (difference, affine):
                yield Kernel(f"{how}, {form.__name__}", "batch_norm_forward", _forward(moments, add, form))
            for way in ("difference", "affine"):
                for op in ("layer_norm_forward", "layer_norm_backward"):
                    yield Kernel(f"{how}, {way}", op, _of_pixels(moments, add, way))
            for whole in (True, False):
                name = f"{how}, {'normalized' if whole else 'projected'}"
                yield Kernel(name, "batch_norm_backward", _backward(moments, add, whole))
