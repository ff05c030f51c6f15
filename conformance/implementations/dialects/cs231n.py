"""The dialect ``cs231n``: ``NAME_forward(x, ..., param) -> (out, cache)`` and ``NAME_backward(dout, cache)``.

NumPy; images NCHW, filters ``(F, C, HH, WW)``, biases ``(F,)``; hyperparameters in a dictionary of their own;
``softmax_loss(x, y) -> (loss, dx)``. With and without ``_naive``, ``_im2col``, ``_fast``: the first of these
is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from conformance.implementations.dialects import trials
from conformance.implementations.dialects.arrays import Array, Given, outward
from conformance.implementations.dialects.contract_form import functions
from conformance.implementations.dialects.facade import Adapted
from conformance.implementations.dialects.own import DialectError, own
from conformance.implementations.dialects.table import ROWS, UNITS, Row
from conformance.implementations.signature import LackingError

NAME = "cs231n"

#: Of each row the stems of its two functions, the likeliest first.
STEMS: Mapping[str, tuple[str, ...]] = {
    "conv2d": ("conv",),
    "max_pool2d": ("max_pool",),
    "avg_pool2d": ("avg_pool", "average_pool"),
    "linear": ("affine", "fc"),
    "batch_norm": ("spatial_batchnorm", "batchnorm"),
    "layer_norm": ("layernorm", "layer_norm"),
    **{name: (name,) for name in (*UNITS, "prelu", "softmax")},
}
#: Those that take pixels as rows.
_FLAT = ("batchnorm", *STEMS["layer_norm"])
_LOSS = "softmax_loss"
SUFFIXES = ("", "_naive", "_im2col", "_fast")
#: Its dictionaries have no other hyperparameters than these.
_OPTIONS = frozenset(("f", "stride", "pad"))


class Pair(NamedTuple):
    """The functions of a row, and the stem of their names."""

    stem: str
    forward: Callable[..., Any] | None
    backward: Callable[..., Any] | None


class Kept(NamedTuple):
    """What the gradient is computed from; `running_mean` and `running_var` are outputs of a normalization."""

    row: Row
    shape: tuple[int, ...]
    cache: Any
    running_mean: Any = None
    running_var: Any = None
    inference: bool = False


def claimed(target: Any, names: Iterable[str]) -> dict[str, str]:
    """Of what a module defines itself the functions of the dialect."""
    every = {
        f"{stem}_{way}{suffix}": row
        for row, stems in STEMS.items()
        for stem in stems
        for way in ("forward", "backward")
        for suffix in SUFFIXES
    }
    there = {name: value for name, value in own(target).items() if callable(value)}
    return {name: row for name, row in {**every, _LOSS: "cross_entropy"}.items() if name in there}


def found(target: Any) -> dict[str, Pair]:
    """Of the rows those of which a module has a function.

    Raises
    ------
    DialectError
        If its ``functions`` names what is not there.
    """
    there = {name: value for name, value in own(target).items() if callable(value)}
    declared = getattr(target, "functions", {})
    for name, other in declared.items() if isinstance(declared, Mapping) else ():
        if not hasattr(target, str(other)):
            raise DialectError(f"functions says that {name} is {other!r}, which is not there")
        there[str(name)] = getattr(target, str(other))
    pairs: dict[str, Pair] = {}
    for row, stems in STEMS.items():
        for stem in stems:
            forward, backward = (_first(there, f"{stem}_{way}") for way in ("forward", "backward"))
            if (forward or backward) and row not in pairs:
                pairs[row] = Pair(stem, forward, backward)
    if _LOSS in there:
        pairs["cross_entropy"] = Pair(_LOSS, there[_LOSS], there[_LOSS])
    return pairs


def _first(there: Mapping[str, Any], name: str) -> Any:
    return next((there[name + suffix] for suffix in SUFFIXES if name + suffix in there), None)


def adapted(target: Any) -> Adapted:
    """The contract's functions over a module of the dialect."""
    pairs = found(target)
    rows = [row for row in ROWS if row.name in pairs]
    engine = _Pairs(pairs)
    tried = trials.Trials(lambda *case: engine.forward(*case)[0])
    options = tried.options([row for row in rows if engine.answers(row)], _OPTIONS)
    covers = {row.forward: pairs[row.name].stem for row in rows}
    return Adapted(target, NAME, functions(engine, rows), covers, options)


class _Pairs:
    """An engine of `contract_form`."""

    def __init__(self, pairs: Mapping[str, Pair]) -> None:
        self._pairs = pairs

    def answers(self, row: Row) -> bool:
        """Whether there is the function itself."""
        return self._pairs[row.name].forward is not None

    def differentiates(self, row: Row) -> bool:
        """Whether there is its gradient."""
        return self._pairs[row.name].backward is not None

    def forward(self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> tuple[Any, Kept]:
        """The output of the function, and the cache."""
        pair = self._pairs[row.name]
        assert pair.forward is not None
        given, shape = Given(arrays, _kinds(row, pair)), arrays["input"].shape
        values = [given.values[name] for name in row.leaves]
        if row.name == "cross_entropy":
            if options.get("label_smoothing") or options.get("ignore_index") is not None:
                raise LackingError("softmax_loss has no options")
            output, cache = _two(pair, pair.forward(*values, given.values["target"]))
            given.show_changes()
            return (float(output) if np.ndim(output) == 0 else output), Kept(row, shape, cache)
        dictionary = _dictionary(row, pair, given.values, options)
        output, cache = _two(pair, pair.forward(*values, *(() if dictionary is None else (dictionary,))))
        given.show_changes("running_mean", "running_var")
        kept = Kept(row, shape, cache)
        if row.name == "batch_norm" and dictionary is not None:
            found = _statistics(dictionary, shape)
            kept = Kept(row, shape, cache, **found, inference=not options["training"])
        return _like(pair, shape, outward(row.output, output)), kept

    def backward(self, kept: Any, upstream: Array | None) -> tuple[Any, ...]:
        """The gradients, in the order of the arguments."""
        if not isinstance(kept, Kept):
            raise LackingError("a gradient without its function is given no cache of its own form")
        row = kept.row
        pair = self._pairs[row.name]
        if row.name == "cross_entropy" or upstream is None:
            return (kept.cache,)
        if kept.cache is None or kept.inference:
            raise LackingError(f"{pair.stem}_backward is the gradient in training")
        assert pair.backward is not None
        kinds = _kinds(row, pair)
        given = Given({"upstream": upstream}, {"upstream": "pixels" if pair.stem in _FLAT else row.output})
        result = pair.backward(given.values["upstream"], kept.cache)
        given.show_changes()
        values = result if isinstance(result, tuple) else (result,)
        if len(values) != len(row.leaves):
            raise ValueError(
                f"{pair.stem}_backward returned {len(values)} values, expected {len(row.leaves)}"
            )
        found = [outward(kinds[name], value) for name, value in zip(row.leaves, values, strict=True)]
        return (_like(pair, kept.shape, found[0]), *found[1:])


def _kinds(row: Row, pair: Pair) -> dict[str, str]:
    """The kinds of its arrays: the matrix of its affine layer is the contract's."""
    kinds = {name: "rows" if kind == "matrix" else kind for name, kind in row.arrays.items()}
    return kinds | ({"input": "pixels"} if pair.stem in _FLAT else {})


def _like(pair: Pair, shape: tuple[int, ...], value: Any) -> Any:
    """Rows of pixels as the image that they are of."""
    of_image = pair.stem in _FLAT and isinstance(value, np.ndarray) and value.size == np.prod(shape)
    return value.reshape(shape) if of_image else value


def _dictionary(
    row: Row, pair: Pair, given: Mapping[str, Array], options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """``conv_param``, ``pool_param`` or ``bn_param``; None where there is none."""
    if row.name == "conv2d":
        return _plain({"stride": options["stride"], "pad": options["pad"]}, options)
    if row.mode:
        height, width = options["f"] if isinstance(options["f"], tuple) else (options["f"],) * 2
        found = {"pool_height": height, "pool_width": width, "stride": options["stride"]}
        return _plain(found, {key: x for key, x in options.items() if x != row.neutral.get(key)}, "f")
    if row.name == "layer_norm":
        return {"eps": options["epsilon"]}
    if row.name == "batch_norm":
        batch, values = options["training"], given["input"].size // max(given["running_var"].size, 1)
        variance = given["running_var"].astype(np.float64)
        if batch and values > 1:  # its running variance is that of the batch, divided by n and not by n - 1
            variance = variance * (values - 1) / values
        return {
            "mode": "train" if batch else "test",
            "eps": options["epsilon"],
            "momentum": 1 - options["momentum"],
            "running_mean": given["running_mean"],
            "running_var": variance.astype(given["running_var"].dtype),
        }
    if any(options.get(key) != value for key, value in row.neutral.items() if key in options):
        raise LackingError(f"{pair.stem}_forward has no options")
    return None


def _plain(found: dict[str, Any], options: Mapping[str, Any], *more: str) -> dict[str, Any]:
    beyond = [key for key in options if key not in found and key not in more]
    if beyond or isinstance(found.get("pad"), str) or any(map(_nested, found.values())):
        raise LackingError(f"its dictionaries have no {', '.join(beyond) or 'padding of each side'}")
    return found


def _nested(value: Any) -> bool:
    return isinstance(value, tuple) and any(isinstance(item, tuple) for item in value)


def _statistics(dictionary: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """The running statistics that it has put in its dictionary, the variance divided by n - 1."""
    found = {name: np.asarray(dictionary[name]) for name in ("running_mean", "running_var")}
    values = int(np.prod(shape[:-1]))
    if dictionary["mode"] == "train" and values > 1:
        wide = found["running_var"].astype(np.float64) * values / (values - 1)
        found["running_var"] = wide.astype(found["running_var"].dtype)
    return {name: outward("channels", value) for name, value in found.items()}


def _two(pair: Pair, result: Any) -> tuple[Any, Any]:
    """An output and a cache."""
    if not isinstance(result, tuple) or len(result) < 2:
        raise TypeError(f"{pair.stem} returned a {type(result).__name__}, expected two values")
    return result[0], result[1] if len(result) == 2 else result[1:]
