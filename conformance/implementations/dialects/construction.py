"""Constructors: which parameter of one takes the channels, the window, or the arrays of a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any

from conformance.implementations.dialects.arrays import Array, inward
from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.table import Row
from conformance.implementations.signature import ALIASES, LackingError

#: What a parameter of a constructor is called, in lower case and without underscores, by what it is.
_CALLED: Mapping[str, tuple[str, ...]] = {
    "in": ("inchannels", "inputchannels", "inch", "nchannels", "numchannels", "channelsin", "cin", "inc",
           "indepth", "inputdepth", "ncprev", "infeatures", "indim", "inputdim", "inputsize", "nin", "insize",
           "numinputs", "fanin", "channels", "numfeatures", "inputfeatures", "features", "inplanes", "dim",
           "ninputs", "insz", "d", "c", "ninput", "numparameters", "normalizedshape"),
    "out": ("outchannels", "outputchannels", "numfilters", "nfilters", "filters", "outch", "cout", "outc",
            "nc", "outfeatures", "outdim", "outputdim", "outputsize", "nout", "outsize", "units",
            "numoutputs",
            "fanout", "outplanes", "outputfeatures", "numkernels", "nkernels", "nunits", "noutputs",
            "noutput", "nf", "k"),
    "f": ("kernelsize", "filtersize", "kernel", "ksize", "size", "poolsize", "windowsize", "f", "ks",
          "window"),
    "rows": ("poolh", "poolheight", "kernelh", "kernelheight", "filterheight", "kh", "fh", "hh", "filterh"),
    "columns": ("poolw", "poolwidth", "kernelw", "kernelwidth", "filterwidth", "kw", "fw", "ww", "filterw"),
    **{key: tuple(a.replace("_", "") for a in ALIASES[key])
       for key in ("stride", "pad", "dilation", "groups", "output_padding", "mode")},
    "weight": ("weight", "w", "weights", "gamma"),
    "bias": ("bias", "b", "biases", "beta"),
    "shape": ("inputshape", "inshape"),
    "epsilon": ("eps", "epsilon"), "momentum": ("momentum", "decay"),
    "running_mean": ("runningmean",), "running_var": ("runningvar",),
    "negative_slope": ("negativeslope", "alpha", "slope", "leak", "a"),
    "training": ("training", "train", "trainflg", "istraining", "trainflag", "mode"),
}  # fmt: skip


def named_parameter(function: Callable[..., Any], what: str) -> str | None:
    """The name of the parameter that is called as `what` may be."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name.lower().replace("_", "") in _CALLED[what]:
            return parameter.name
    return None


def constructed(
    kind: Any,
    row: Row,
    arrays: Mapping[str, Array],
    options: Mapping[str, Any],
    parameters: Mapping[str, Array],
    layout: str,
) -> tuple[Any, set[str]]:
    """An instance of a class of layers.

    Returns
    -------
    instance : object
        The instance.
    taken : set of str
        Those of `parameters` that its constructor took.

    Raises
    ------
    DialectError
        If it cannot be told what a parameter of the constructor is.
    LackingError
        If the constructor has no place for a hyperparameter of the case.
    """
    values = _values(row, arrays, options, parameters, layout)
    named: dict[str, Any] = {}
    used: set[str] = set()
    for parameter in _parameters(kind):
        what = _what(parameter, values, used)
        if what is not None:
            named[parameter.name] = values[what]
            used.add(what)
        elif parameter.default is Parameter.empty:
            raise DialectError(
                f"{kind.__name__}: what is its parameter {parameter.name!r}? Call it as PyTorch does: "
                "in_channels, out_channels, kernel_size, stride, padding"
            )
    for key, value in options.items():
        alike = {"f": {"rows", "columns"}}.get(key, set())
        if key in row.neutral and key not in used and value != row.neutral[key]:
            raise LackingError(f"{kind.__name__} takes no {key}")
        if key == "f" and not used & {"f", *alike}:
            raise LackingError(f"{kind.__name__} takes no window")
    return kind(**named), used & {"weight", "bias"}


def _parameters(kind: Any) -> list[Parameter]:
    if kind.__init__ is object.__init__:
        return []
    every = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return [p for p in every if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)]


def _what(parameter: Parameter, values: Mapping[str, Any], used: set[str]) -> str | None:
    """What a parameter is; a flag such as ``bias=True`` keeps its default."""
    if isinstance(parameter.default, bool):
        return None
    name = parameter.name.lower().replace("_", "")
    return next((w for w in values if name in _CALLED.get(w, ()) and w not in used), None)


def _values(
    row: Row,
    arrays: Mapping[str, Array],
    options: Mapping[str, Any],
    parameters: Mapping[str, Array],
    layout: str,
) -> dict[str, Any]:
    """What there is to hand over, the likelier meaning of a name first."""
    image = arrays["input"].shape
    found: dict[str, Any] = {key: value for key, value in options.items() if key != "training"}
    weight = arrays.get("weight")
    if row.arrays.get("weight") == "filters" and weight is not None:
        rows, columns, first, last = weight.shape
        groups = options.get("groups", 1)
        transposed = row.name == "conv_transpose2d"
        found["in"], found["out"] = (last, first * groups) if transposed else (first * groups, last)
        found["f"] = rows if rows == columns else (rows, columns)
    elif row.arrays.get("weight") == "matrix" and weight is not None:
        found["in"], found["out"] = weight.shape
    elif len(image) == 4:  # one slope is that of all channels
        found["in"] = image[3] if weight is None else weight.size
    window = found.get("f", 1)
    found["rows"], found["columns"] = window if isinstance(window, tuple) else (window, window)
    if len(image) == 4:
        found["shape"] = (image[3], *image[1:3]) if layout == "NCHW" else image[1:]
    if row.mode:
        found["mode"] = row.mode
    given = dict(parameters)
    if weight is not None and row.arrays.get("weight") in ("filters", "matrix"):
        kind = "rows" if row.arrays["weight"] == "matrix" else "filters"
        given["weight"] = inward(kind, weight, layout)
    return found | given
