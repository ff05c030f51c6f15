"""How each function of the contract is called for a case, and what its answer is called.

A backward function is given the cache of its forward function. Where the implementation lacks that
one, the cache is made by hand from the fields of the contract, so that a module that has a gradient
alone is judged too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.implementations import calls_units as units
from conformance.implementations.layout import image
from conformance.implementations.signature import called
from conformance.operations import OPERATIONS

Arrays = dict[str, NDArray[Any]]


class Functions(Protocol):
    """What is called: `implementation.Implementation`."""

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name."""

    @property
    def layout(self) -> str:
        """The layout of its images."""


class _Conv(NamedTuple):
    A_prev: Any
    W: Any
    b: Any
    hparameters: Any


class _Pool(NamedTuple):
    A_prev: Any
    hparameters: Any


class _Affine(NamedTuple):
    A_prev: Any
    W: Any
    b: Any


class _AffineActivation(NamedTuple):
    affine_cache: Any
    activation_cache: Any


class _CrossEntropy(NamedTuple):
    AL: Any
    Y_index: Any


Call = Callable[[Functions, Case, Arrays], Any]


def _scalar(array: NDArray[Any]) -> Any:
    return array[()]


def _cache(impl: Functions, forward: str, run: Callable[[], Any], by_hand: Callable[[], Any]) -> Any:
    """The cache in whatever form the forward function gives it, to be handed back as it is."""
    if not impl.has(forward):
        return by_hand()
    result = run()
    if not isinstance(result, (tuple, list)) or len(result) < 2:
        raise TypeError(f"{forward} returned {_describe(result)}, expected (output, cache)")
    return result[1] if len(result) == 2 else tuple(result[1:])


#: How a word of an option is handed over.
_WORDS: dict[str, Any] = {"floor": False, "ceil": True, "include": True, "exclude": False}


def hyper(case: Case) -> dict[str, Any]:
    """The ``hparameters`` of a convolution or pool: the contract's keys, then those of the options given."""
    named = {"f": "f", "s": "stride", "p": "pad"}
    plain = ("s", "p") if case.op.startswith("conv") else ("f", "s")
    found = {named[name]: _handed(case.value(name)) for name in plain}
    for option in case.operation.options:
        value = dict(case.params).get(option.name)
        if option.key not in found and value is not None and option.name != "f":
            found[option.key] = _handed(value)
    return found


def _handed(value: Value) -> Any:
    """A value as ``hparameters`` have it."""
    if isinstance(value, tuple) and len(value) == 4:
        return (value[:2], value[2:])
    return _WORDS.get(value, value) if isinstance(value, str) else value


def _layer(a: Arrays) -> tuple[Any, Any, Any]:
    return a["A_prev"], a["W"], a["b"]


def _conv_forward(impl: Functions, case: Case, a: Arrays) -> Any:
    return called(impl.function(case.operation.forward or case.op), _layer(a), hyper(case))


def _pool_forward(impl: Functions, case: Case, a: Arrays) -> Any:
    return called(impl.function("pool_forward"), (a["A_prev"],), hyper(case), case.word("mode"))


def _activation_cache(case: Case, a: Arrays) -> _AffineActivation:
    affine = _Affine(*_layer(a))
    activated = affine if case.word("activation") == "NULL" else a["A_prev"] @ a["W"] + a["b"]
    return _AffineActivation(affine, activated)


def _entropy_backward(impl: Functions, case: Case, AL: Any, Y: NDArray[Any]) -> Any:
    """The gradient from the cache of the loss, both with the options of the case."""
    more = units.loss_arguments(case)

    def by_hand() -> _CrossEntropy:
        return _CrossEntropy(AL, np.stack([np.arange(len(Y)), Y.reshape(-1)], axis=1))

    forward = "cross_entropy_cost"
    cache = _cache(impl, forward, lambda: impl.function(forward)(AL, Y, **more), by_hand)
    return impl.function(case.op)(cache, **more)


def _softmax(impl: Functions, X: NDArray[Any]) -> Any:
    if impl.has("softmax"):
        return impl.function("softmax")(X)[0]
    e = np.exp(X - X.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _col2arr(impl: Functions, case: Case, a: Arrays) -> Any:
    # Only the shape of the cache may matter: an answer that is the cache itself has to show.
    other = image(case, np.full_like(a["X"], 3), impl.layout)
    cache = _cache(impl, "arr2col", lambda: impl.function("arr2col")(other), lambda: other)
    return impl.function("col2arr")(a["X"], cache)


def _conv_backward(impl: Functions, case: Case, a: Arrays) -> Any:
    given = hyper(case)
    forward = str(case.operation.forward)
    cache = _cache(impl, forward, lambda: _conv_forward(impl, case, a), lambda: _Conv(*_layer(a), given))
    return called(impl.function(case.op), (a["dZ"], cache), given, hand_hyper=False)


def _pool_backward(impl: Functions, case: Case, a: Arrays) -> Any:
    given = hyper(case)
    cache = _cache(
        impl, "pool_forward", lambda: _pool_forward(impl, case, a), lambda: _Pool(a["A_prev"], given)
    )
    function = impl.function("pool_backward")
    return called(function, (a["dA"], cache), given, case.word("mode"), hand_hyper=False)


def _affine_backward(impl: Functions, case: Case, a: Arrays) -> Any:
    forward = "affine_forward"
    cache = _cache(impl, forward, lambda: impl.function(forward)(*_layer(a)), lambda: _Affine(*_layer(a)))
    return impl.function("affine_backward")(a["dZ"], cache)


def _affine_activation_backward(impl: Functions, case: Case, a: Arrays) -> Any:
    activation = case.word("activation")
    forward = "affine_activation_forward"
    cache = _cache(
        impl,
        forward,
        lambda: impl.function(forward)(*_layer(a), activation),
        lambda: _activation_cache(case, a),
    )
    return impl.function("affine_activation_backward")(a["dA"], cache, activation)


def _elementwise_backward(forward: str, of: str) -> Call:
    """sigmoid_backward, relu_backward, softmax_backward: the cache is the forward input."""

    def call(impl: Functions, case: Case, a: Arrays) -> Any:
        more = units.arguments(case)
        cache = _cache(impl, forward, lambda: impl.function(forward)(a[of], *more), lambda: a[of])
        return impl.function(case.op)(a[str(case.operation.upstream)], cache, *more)

    return call


def _plain(*arguments: str) -> Call:
    """A function of some of the drawn arrays alone."""
    return lambda impl, case, a: impl.function(case.op)(
        *(a[name] for name in arguments), *units.arguments(case)
    )


def _batch_norm_backward(impl: Functions, case: Case, a: Arrays) -> Any:
    forward = "batch_norm_forward"
    cache = _cache(
        impl,
        forward,
        lambda: impl.function(forward)(*units.norm_arguments(case, a)),
        lambda: units.norm_cache(case, a),
    )
    return impl.function("batch_norm_backward")(a["dA"], cache)


CALLS: dict[str, Call] = {
    "pad3d": lambda impl, case, a: impl.function("pad3d")(a["input"], case["p"]),
    "pad3d_backward": lambda impl, case, a: impl.function("pad3d_backward")(a["doutput"], case["p"]),
    "conv_single_step": lambda impl, case, a: impl.function("conv_single_step")(
        a["a_slice_prev"], a["W"], _scalar(a["b"])
    ),
    "conv_forward": _conv_forward,
    "conv_backward": _conv_backward,
    "conv_transpose_forward": _conv_forward,
    "conv_transpose_backward": _conv_backward,
    "pool_forward": _pool_forward,
    "pool_backward": _pool_backward,
    "create_mask_from_window": _plain("x"),
    "distribute_value": lambda impl, case, a: impl.function("distribute_value")(
        _scalar(a["dz"]), (case["h"], case["w"])
    ),
    "arr2col": _plain("X"),
    "col2arr": _col2arr,
    "affine_forward": _plain("A_prev", "W", "b"),
    "affine_backward": _affine_backward,
    "affine_activation_forward": lambda impl, case, a: impl.function("affine_activation_forward")(
        *_layer(a), case.word("activation")
    ),
    "affine_activation_backward": _affine_activation_backward,
    "sigmoid": _plain("Z"),
    "sigmoid_backward": _elementwise_backward("sigmoid", "Z"),
    "relu": _plain("Z"),
    "relu_backward": _elementwise_backward("relu", "Z"),
    **{name: _plain("Z") for name in ("tanh", "silu", "gelu", "leaky_relu")},
    **{
        f"{name}_backward": _elementwise_backward(name, "Z")
        for name in ("tanh", "silu", "gelu", "leaky_relu")
    },
    "global_average_pool_forward": _plain("A_prev"),
    "global_average_pool_backward": _elementwise_backward("global_average_pool_forward", "A_prev"),
    "batch_norm_forward": lambda impl, case, a: impl.function(case.op)(*units.norm_arguments(case, a)),
    "batch_norm_backward": _batch_norm_backward,
    "softmax": _plain("X"),
    "softmax_backward": _elementwise_backward("softmax", "X"),
    "log_softmax": _plain("X"),
    "log_softmax_backward": _elementwise_backward("log_softmax", "X"),
    "cross_entropy_cost": lambda impl, case, a: impl.function(case.op)(
        a["AL"], a["Y"], **units.loss_arguments(case)
    ),
    "cross_entropy_backward": lambda impl, case, a: _entropy_backward(impl, case, a["AL"], a["Y"]),
    "softmax_cross_entropy_backward": lambda impl, case, a: _entropy_backward(
        impl, case, _softmax(impl, a["X"]), a["Y"]
    ),
}

#: Functions that answer ``(output, cache)``.
CACHED = frozenset(o.forward for o in OPERATIONS.values() if o.forward not in (None, "pad3d"))


def named(case: Case, result: Any) -> dict[str, Any]:
    """The outputs by name; a mapping or a tuple in the contract's order.

    Raises
    ------
    ValueError
        If the answer has another form.
    """
    names = case.operation.outputs
    if case.op in CACHED:
        if not isinstance(result, (tuple, list)) or len(result) < 2:
            raise ValueError(f"returned {_describe(result)}, expected ({names[0]}, cache)")
        return {names[0]: result[0], **(units.running(result[1]) if len(names) > 1 else {})}
    if len(names) == 1:
        return {names[0]: result}
    if isinstance(result, Mapping) and set(names) <= set(result):
        return {name: result[name] for name in names}
    if not isinstance(result, (tuple, list)) or len(result) != len(names):
        raise ValueError(f"returned {_describe(result)}, expected ({', '.join(names)})")
    return dict(zip(names, result, strict=True))


def _describe(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values"
    if isinstance(value, np.ndarray):
        return f"one array of shape {value.shape}"
    return f"a {type(value).__name__}"
