"""The contract's functions over an engine that runs the rows of `table` and differentiates them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from conformance.implementations.dialects.table import LAST, Row
from conformance.implementations.signature import LackingError


class Engine(Protocol):
    """What calls the functions of a module and differentiates them."""

    def forward(self, row: Row, arrays: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[Any, Any]:
        """The output as the contract has it, and what `backward` needs."""

    def backward(self, kept: Any, upstream: Any) -> tuple[Any, ...]:
        """The gradients as the contract has them."""

    def answers(self, row: Row) -> bool:
        """Whether it has that function."""

    def differentiates(self, row: Row) -> bool:
        """Whether it has gradients of that function."""


def functions(engine: Engine, rows: Iterable[Row]) -> dict[str, Callable[..., Any]]:
    """The contract's functions for the rows that a module has."""
    found: dict[str, Callable[..., Any]] = {}
    rows = [row for row in rows if engine.answers(row)]
    pools = {row.mode: row for row in rows if row.mode}
    for row in rows:
        usual = (_words, _loss_gradient if row.output == "number" else _gradient)
        forward, backward = _FORMS.get(row.name, usual)
        if row.mode:
            forward, backward = _pool(engine, pools), _pool_gradient(engine)
            found[row.forward] = forward
            if all(engine.differentiates(each) for each in pools.values()):
                found[row.backward] = backward
            continue
        found[row.forward] = forward(engine, row)
        if engine.differentiates(row):
            found[row.backward] = backward(engine, row)
    return found


def one_or_all(values: tuple[Any, ...]) -> Any:
    """What a function that returns `values` returns."""
    return values[0] if len(values) == 1 else values


def _words(engine: Engine, row: Row) -> Callable[..., Any]:
    """Arrays, then words and numbers by position."""
    count = len(row.order)

    def forward(*arguments: Any) -> Any:
        words = dict(zip(row.options, arguments[count:], strict=False))
        return engine.forward(row, dict(zip(row.order, arguments, strict=False)), words)

    return forward


def _gradient(engine: Engine, row: Row) -> Callable[..., Any]:
    def backward(upstream: Any, cache: Any, *words: Any) -> Any:
        return one_or_all(engine.backward(cache, upstream))

    return backward


def _convolution(engine: Engine, row: Row) -> Callable[..., Any]:
    def forward(A_prev: Any, W: Any, b: Any, hparameters: Mapping[str, Any]) -> Any:
        return engine.forward(row, {"input": A_prev, "weight": W, "bias": b}, dict(hparameters))

    return forward


def _convolution_gradient(engine: Engine, row: Row) -> Callable[..., Any]:
    def backward(dZ: Any, cache: Any) -> Any:
        return engine.backward(cache, dZ)

    return backward


def _pool(engine: Engine, rows: Mapping[str, Row]) -> Callable[..., Any]:
    def forward(A_prev: Any, hparameters: Mapping[str, Any], mode: str = "max") -> Any:
        if mode not in rows:
            raise LackingError(f"takes no {mode} pooling")
        return engine.forward(rows[mode], {"input": A_prev}, dict(hparameters))

    return forward


def _pool_gradient(engine: Engine) -> Callable[..., Any]:
    def backward(dA: Any, cache: Any, mode: str = "max") -> Any:
        return one_or_all(engine.backward(cache, dA))

    return backward


def _norm(engine: Engine, row: Row) -> Callable[..., Any]:
    def forward(*arguments: Any) -> Any:
        *arrays, hparameters = arguments
        return engine.forward(row, dict(zip(row.order, arrays, strict=True)), dict(hparameters))

    return forward


def _loss(engine: Engine, row: Row) -> Callable[..., Any]:
    def forward(X: Any, Y: Any, **options: Any) -> Any:
        loss, kept = engine.forward(row, {"input": X, "target": Y}, options)
        return loss, kept

    return forward


def _loss_gradient(engine: Engine, row: Row) -> Callable[..., Any]:
    def backward(cache: Any, *words: Any, **options: Any) -> Any:
        return engine.backward(cache, None)[0]

    return backward


def _padding(engine: Engine, row: Row) -> Callable[..., Any]:
    def forward(input: Any, stride: int = 1) -> Any:
        return engine.forward(row, {"input": input}, {"stride": stride})[0]

    return forward


def _padding_gradient(engine: Engine, row: Row) -> Callable[..., Any]:
    def backward(doutput: Any, stride: int = 1) -> Any:
        m, h, w, c = doutput.shape
        inner = np.zeros((m, h - 2 * stride, w - 2 * stride, c), doutput.dtype)
        return engine.backward(engine.forward(row, {"input": inner}, {"stride": stride})[1], doutput)[0]

    return backward


#: Of the rows that are not called with arrays and words.
_FORMS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "conv2d": (_convolution, _convolution_gradient),
    "conv_transpose2d": (_convolution, _convolution_gradient),
    **dict.fromkeys(("batch_norm", *LAST), (_norm, _gradient)),
    "cross_entropy": (_loss, _loss_gradient),
    "pad": (_padding, _padding_gradient),
}
