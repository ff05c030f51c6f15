"""Which options and dtypes functions take, and whether they have gradients: tried, on small arrays."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from conformance.implementations.dialects.table import LAST, LOSSES, UNITS, Row

#: What is tried of each option; all of it has to be answered. Values of the contract's ``hparameters``.
_VALUES: Mapping[str, tuple[Any, ...]] = {
    "f": ((3, 2),),
    "stride": ((2, 1),),
    "pad": ((1, 0),),
    "dilation": (2,),
    "groups": (2,),
    "output_padding": (1,),
    "ceil_mode": (True,),
    "count_include_pad": (False,),
    "negative_slope": (0.25,),
    "label_smoothing": (0.1,),
    "ignore_index": (1,),
}
#: What the contract's functions are called in an option: those of the gradient take what the function does.
_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "hyper": {"stride": 1, "pad": 1},
    "mode": {"f": 2, "stride": 2},
    "words": {},
}


def sample(
    row: Row, dtype: Any = np.float32, window: tuple[int, int] = (3, 3), groups: int = 1
) -> dict[str, Any]:
    """Small arrays of the contract for a row: four channels, five filters or six."""
    numbers = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return numbers.uniform(0.5, 1.5, shape).astype(dtype)

    if row.arrays["input"] == "rows":
        given = {"input": drawn(3, 4), "weight": drawn(4, 6), "bias": drawn(1, 6)}
        given["target"] = drawn(3, 4) if row.name in LOSSES else np.array([0, 2, 3])
    else:
        given = {"input": drawn(2, 6, 7, 4)}
        for name in ("running_mean", "running_var"):
            given[name] = drawn(1, 1, 1, 4)
        if row.arrays.get("weight") == "channels":
            given |= {"weight": drawn(1, 1, 1, 4), "bias": drawn(1, 1, 1, 4)}
        else:
            transposed = row.name == "conv_transpose2d"
            shape = (*window, 6 // groups, 4) if transposed else (*window, 4 // groups, 6)
            given |= {"weight": drawn(*shape), "bias": drawn(1, 1, 1, 6)}
    return {name: given[name] for name in row.order}


def plain(row: Row) -> dict[str, Any]:
    """The plain hyperparameters of a row."""
    if row.name == "batch_norm":
        return {"epsilon": 0.01, "momentum": 0.2, "training": True}
    if row.name in LAST:
        return {"epsilon": 0.01}
    if row.name == "pad":
        return {"stride": 1}
    return dict(row.neutral if row.name in (*UNITS, *LOSSES) else _PLAIN[row.form])


class Trials:
    """Tries functions.

    Parameters
    ----------
    call : callable
        ``(row, arrays, options)`` to the output.
    """

    def __init__(self, call: Callable[[Row, Mapping[str, Any], Mapping[str, Any]], Any]) -> None:
        self._call = call

    def answers(self, row: Row, dtype: Any = np.float32, **more: Any) -> bool:
        """Whether the function answers, with other hyperparameters or in another dtype."""
        window = more.get("f", (3, 3)) if row.form == "hyper" else (3, 3)
        arrays = sample(row, dtype, window, more.get("groups", 1))
        options = plain(row) | {key: value for key, value in more.items() if key in row.options}
        if "output_padding" in more:
            options["stride"] = 2
        if "ceil_mode" in more or "count_include_pad" in more:
            options |= {"f": 3, "pad": 1} if "pad" in row.options else {"f": 3}
        try:
            with np.errstate(all="ignore"):
                return isinstance(self._call(row, arrays, options), (np.ndarray, float))
        except Exception:
            return False

    def options(self, rows: Sequence[Row], offered: Container[str] = _VALUES) -> tuple[str, ...]:
        """The options among those `offered` that are answered, for every function of the contract alone."""
        found: dict[str, None] = {}
        for row in rows:
            keys = [*row.options, *(["f"] if row.forward.startswith("conv") else [])]
            for key in keys if row.name != "pad" else ():
                if (
                    key in _VALUES
                    and key in offered
                    and all(self.answers(row, **{key: value}) for value in _VALUES[key])
                ):
                    names = (row.backward,) if row.output == "number" else (row.forward, row.backward)
                    found |= {f"{name}.{key}": None for name in names}
        return tuple(found)

    def dtypes(self, rows: Iterable[Row]) -> tuple[str, ...]:
        """float32 and float64, and the half precisions that a function answers."""
        half: dict[str, Any] = {"f16": np.float16}
        with suppress(ImportError):
            import ml_dtypes

            half["bf16"] = ml_dtypes.bfloat16
        every = list(rows)
        taken = [name for name, dtype in half.items() if any(self.answers(row, dtype) for row in every)]
        return ("f32", "f64", *taken)


def outputs(row: Row, call: Callable[[Row, Mapping[str, Any], Mapping[str, Any]], Any]) -> list[Any]:
    """What a function gives for the plain call, and with each option changed; None where it gives nothing."""
    every = [plain(row)]
    every += [every[0] | {key: value} for key in row.options for value in _VALUES.get(key, ())]
    found = []
    for options in every:
        arrays = sample(row, groups=options.get("groups", 1))
        arrays["input"] = arrays["input"] - np.float32(1)  # of either sign, which slopes and gates tell apart
        try:
            found.append(call(row, arrays, options))
        except Exception:
            found.append(None)
    return found


#: The shape of what a row answers for its sample, where that is not the input's.
_SHAPES: Mapping[str, tuple[int, ...]] = {
    "conv2d": (2, 6, 7, 6),
    "conv_transpose2d": (2, 6, 7, 6),
    "max_pool2d": (2, 3, 3, 4),
    "avg_pool2d": (2, 3, 3, 4),
    "adaptive_avg_pool2d": (2, 1, 1, 4),
    "linear": (3, 6),
    "pad": (2, 8, 9, 4),
    **dict.fromkeys(("cross_entropy", *LOSSES), ()),
}


def answered(target: Any, rows: Iterable[Row]) -> list[str]:
    """The contract's functions that answer a sample in the contract's form, and in the right shape.

    Parameters
    ----------
    target : object
        Some of the contract's functions: a module, or one of another dialect, adapted.
    rows : iterable of Row
        Those to try.
    """
    found = []
    for row in rows:
        function = getattr(target, row.forward, None)
        if not callable(function):
            continue
        arrays, options = sample(row), plain(row)
        hyper = {"hyper": (options,), "mode": (options, row.mode), "words": tuple(options.values())}[row.form]
        try:
            with np.errstate(all="ignore"):
                result = function(*arrays.values(), *(() if row.name == "cross_entropy" else hyper))
        except BaseException:  # SystemExit too
            continue
        if row.name != "pad":
            if not isinstance(result, tuple) or len(result) < 2:
                continue
            result = result[0]
        if np.shape(result) == _SHAPES.get(row.name, arrays["input"].shape):
            found.append(row.forward)
    return found
