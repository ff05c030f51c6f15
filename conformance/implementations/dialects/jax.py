"""The dialect ``jax``: functions named as in ``torch`` or the contract that take and return JAX arrays.

Gradients are those of ``jax.vjp``, where there is no ``*_backward``. Functions named as in torch have images
NCHW and filters OIHW, or with ``layout = "NHWC"`` in the module NHWC and HWIO; those of the contract have its
signatures, and return the output alone or ``(output, cache)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from conformance.implementations.dialects import trials
from conformance.implementations.dialects.arguments import Takes
from conformance.implementations.dialects.arrays import Array, inward, outward
from conformance.implementations.dialects.contract_form import functions, one_or_all
from conformance.implementations.dialects.facade import Adapted
from conformance.implementations.dialects.own import DialectError, chosen, own, spelled
from conformance.implementations.dialects.table import LAST, ROWS, Row, named
from conformance.implementations.signature import LackingError

NAME = "jax"
_CONFIG: Any = jax.config
#: It has a device.
DEVICES = True
_NAMES = {row.name: row.also for row in ROWS}
#: The contract's functions with a gradient, by the name of that.
_GRADIENTS = {row.backward: row.forward for row in ROWS} | {"cross_entropy_backward": "cross_entropy_cost"}


def claimed(target: Any, names: Iterable[str]) -> dict[str, str]:
    """Of what a module defines itself the functions of the dialect."""
    there = {name: value for name, value in own(target).items() if _is_function(value)}
    alike = {spelled(n): row.name for row in ROWS for n in (row.name, *row.also)}
    return {n: alike.get(spelled(n), n) for n in there if spelled(n) in alike or n in names}


def _is_function(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value)


def adapted(target: Any, device: str | None = None) -> Adapted:
    """The contract's functions over a module of the dialect.

    Raises
    ------
    DialectError
        If there is no such device.
    """
    _CONFIG.update("jax_enable_x64", True)
    where = _device(device or getattr(target, "device", None))
    there = {name: value for name, value in own(target).items() if _is_function(value)}
    values = {n: x for n, x in chosen(target, _NAMES, _is_function).items() if f"{n}_backward" not in there}
    rows = [r for r in ROWS if r.name in values and (r.name == r.forward or r.forward not in there)]
    engine = _Functions(values, where, getattr(target, "layout", "NCHW"))
    made = functions(engine, rows)
    made |= _of_the_contract(there, where, made)
    tried = trials.Trials(lambda *case: engine.forward(*case)[0])
    engine.wordless = not any(row.name == "conv2d" and tried.answers(row, pad="same") for row in rows)
    covers = {row.forward: row.name for row in rows}
    found = Adapted(target, NAME, made, covers, tried.options(rows), tried.dtypes(rows))
    found.compiled = engine.compiled
    found.layout = "NHWC" if rows else getattr(target, "layout", "NHWC")
    return found


def _device(said: Any) -> Any:
    kind, _, number = str(said or "cpu").replace("cuda", "gpu").partition(":")
    try:
        return jax.devices(kind)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        raise DialectError(f"device {said!r}: {str(error).splitlines()[0]}") from error


class Kept(NamedTuple):
    """What the gradient is computed from; `running_mean` and `running_var` are outputs of a normalization."""

    row: Row
    pullback: Callable[..., Any]
    dtype: Any
    running_mean: Any = None
    running_var: Any = None


class _Functions:
    """An engine of `contract_form` for the functions that are named as in torch."""

    def __init__(self, values: Mapping[str, Any], device: Any, layout: str) -> None:
        self._values, self._device, self._layout = values, device, layout
        self.wordless = False
        self._through: Callable[..., Any] = lambda function: function
        self._takes = {
            row.name: Takes(
                values[row.name],
                tuple(row.arrays),
                (*("normalized_shape" for _ in LAST if row.name in LAST), *row.options.values(), *row.fixed),
            )
            for row in ROWS
            if row.name in values
        }

    def compiled(self, call: Callable[[], Any]) -> Any:
        """What `call` gives, if what it calls is put through `jax.jit`."""
        before, self._through = self._through, jax.jit
        try:
            return call()
        finally:
            self._through = before

    def answers(self, row: Row) -> bool:
        """Whether there is the function."""
        return row.name in self._values

    def differentiates(self, row: Row) -> bool:
        """Every function is differentiated."""
        return True

    def forward(self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> tuple[Any, Kept]:
        """The output of the function, and its pullback."""
        if row.filled and any(0 in value.shape[1:] for value in arrays.values()):
            raise LackingError(f"{row.name} has no images without channels or pixels, and no empty filters")
        given = {n: self._put(inward(row.arrays[n], x, self._layout)) for n, x in arrays.items()}
        words = named(row, options, self.wordless)
        if row.name == "pad":
            words["pad"] = (words["pad"],) * 4
        neutral = row.defaults
        takes, function = self._takes[row.name], self._values[row.name]
        if row.name in LAST and takes.has("normalized_shape"):
            words["normalized_shape"] = tuple(given["weight"].shape)
        bias = () if takes.has("bias") or "bias" not in given else ("bias",)

        def differentiated(*leaves: Any) -> Any:
            arguments = dict(given) | dict(zip(row.leaves, leaves, strict=True))
            plain = {name: value for name, value in arguments.items() if name not in bias}
            result = takes.call(function, plain | words | dict(row.fixed), neutral)
            output, aside = (result[0], result[1:]) if isinstance(result, (tuple, list)) else (result, ())
            for name in bias:
                last = self._layout == "NHWC" or row.output != "image"
                output = output + (arguments[name] if last else arguments[name].reshape(1, -1, 1, 1))
            return output, aside

        leaves = [given[name] for name in row.leaves]
        output, pullback, aside = jax.vjp(self._through(differentiated), *leaves, has_aux=True)
        kept = Kept(row, pullback, output.dtype)
        if row.name == "batch_norm":
            if len(aside) < 2:
                raise TypeError(
                    "batch_norm returned no running statistics, expected (output, mean, variance)"
                )
            kept = kept._replace(running_mean=_row(aside[-2]), running_var=_row(aside[-1]))
        if row.output == "number":
            return float(output), kept
        return outward(row.output, np.array(output), self._layout), kept

    def backward(self, kept: Kept, upstream: Array | None) -> tuple[Any, ...]:
        """The gradients of `row.leaves`."""
        if upstream is None:
            given = jnp.ones((), kept.dtype)
        else:
            given = self._put(inward(kept.row.output, upstream, self._layout))
        found = kept.pullback(given)
        kinds = [kept.row.arrays[name] for name in kept.row.leaves]
        return tuple(outward(k, np.array(x), self._layout) for k, x in zip(kinds, found, strict=True))

    def _put(self, value: Array) -> Any:
        return jax.device_put(jnp.asarray(value), self._device)


def _row(value: Any) -> Any:
    return outward("channels", np.array(value))


def _of_the_contract(
    there: Mapping[str, Any], device: Any, made: Mapping[str, Any]
) -> dict[str, Callable[..., Any]]:
    """The functions that are named as in the contract, their arrays NumPy's; gradients by `jax.vjp`."""
    found: dict[str, Callable[..., Any]] = {}
    for name, function in there.items():
        if name not in made:
            found[name] = _signed(_handed(function, device), function)
    for backward, forward in _GRADIENTS.items():
        if forward in there and backward not in there and backward not in made and forward != "pad3d":
            found[forward] = _signed(_with_pullback(there[forward], device), there[forward])
            found[backward] = _pulled
    return found


def _signed(made: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`made` with the signature of `function`, by which it is called."""
    with suppress(TypeError, ValueError):
        made.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return made


def _handed(function: Callable[..., Any], device: Any) -> Callable[..., Any]:
    def handed(*arguments: Any, **keywords: Any) -> Any:
        return _in_numpy(function(*(_in_jax(x, device) for x in arguments), **keywords))

    return handed


def _with_pullback(function: Callable[..., Any], device: Any) -> Callable[..., Any]:
    def forward(*arguments: Any, **keywords: Any) -> Any:
        every = [_in_jax(x, device) for x in arguments]
        places = [
            i
            for i, x in enumerate(every)
            if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)
        ]

        def differentiated(*leaves: Any) -> Any:
            given = list(every)
            for place, leaf in zip(places, leaves, strict=True):
                given[place] = leaf
            result = function(*given, **keywords)
            return result[0] if isinstance(result, tuple) else result

        output, pullback = jax.vjp(differentiated, *(every[place] for place in places))
        answer: Any = np.array(output)
        return float(answer) if answer.ndim == 0 else answer, (pullback, output.dtype)

    return forward


def _pulled(*arguments: Any, **keywords: Any) -> Any:
    """The gradient: of an upstream gradient and a pullback, or of a loss the pullback alone."""
    (pullback, dtype) = next(x for x in arguments if isinstance(x, tuple))
    first = arguments[0]
    given = jnp.asarray(first) if isinstance(first, np.ndarray) else jnp.ones((), dtype)
    return one_or_all(tuple(np.array(x) for x in pullback(given)))


def _in_jax(value: Any, device: Any) -> Any:
    return jax.device_put(jnp.asarray(value), device) if isinstance(value, np.ndarray) else value


def _in_numpy(value: Any) -> Any:
    """An output as NumPy's; a cache as it is."""
    if isinstance(value, jax.Array):
        return np.array(value)
    return (_in_numpy(value[0]), *value[1:]) if isinstance(value, tuple) and len(value) == 2 else value
