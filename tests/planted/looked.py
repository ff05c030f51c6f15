"""Functions with a fault that one call cannot show, each with what it is to be called."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from conformance.adapters import numpy_loops as right


@dataclass(frozen=True)
class Looked:
    """Functions in place of right ones, which operation fails, and the names that its failures may have."""

    op: str
    faults: frozenset[str]
    make: Callable[[], dict[str, Callable[..., Any]]]

    def __str__(self) -> str:
        return self.make.__name__


LOOKED: list[Looked] = []


def looked(op: str, *faults: str) -> Callable[[Any], Any]:
    """Register the decorated function, which makes the functions anew, with nothing kept from before."""

    def register(make: Any) -> Any:
        LOOKED.append(Looked(op, frozenset(faults), make))
        return make

    return register


@looked("softmax", "result-kept-by-shape", "depends-on-earlier-calls")
def kept_by_shape():
    first: dict[Any, Any] = {}
    return {"softmax": lambda X: (first.setdefault((X.shape, X.dtype), right.softmax(X)[0]).copy(), X)}


@looked("tanh", "result-kept-by-memory")
def kept_by_address():
    found: dict[Any, Any] = {}

    def tanh(Z):
        key = (Z.__array_interface__["data"][0], id(Z), Z.shape)
        if len(found) > 3:
            found.clear()
        held = found.setdefault(
            key, (Z, right.tanh(Z)[0])
        )  # the array is held, so that no other has its address
        return held[1].copy(), Z

    return {"tanh": tanh}


@looked("relu", "result-overwritten-later")
def one_buffer_for_a_shape():
    buffers: dict[Any, Any] = {}

    def relu(Z):
        out = buffers.setdefault((Z.shape, Z.dtype.str), np.empty_like(Z))
        out[...] = np.where(Z > 0, Z, np.where(np.isnan(Z), Z, Z.dtype.type(0)))
        return out, Z

    return {"relu": relu}


@looked("pool_backward", "layers-not-independent")
def last_forward_decides():
    last: list[Any] = [None]

    def pool_forward(A_prev, hparameters, mode="max"):
        A, last[0] = right.pool_forward(A_prev, hparameters, mode)
        return A, "see the last call"

    def pool_backward(dA, cache, mode="max"):
        return right.pool_backward(dA, last[0], mode)

    return {"pool_forward": pool_forward, "pool_backward": pool_backward}


@looked("silu_backward", "cache-used-up")
def cache_of_one_use():
    class Cache:
        def __init__(self, Z):
            self.Z = Z

    def silu_backward(dA, cache):
        found = right.silu_backward(dA, cache.Z)
        if getattr(cache, "used", False):
            found = found * 2
        cache.used = True
        return found

    return {"silu": lambda Z: (right.silu(Z)[0], Cache(Z)), "silu_backward": silu_backward}


@looked("conv_backward", "cache-follows-hyperparameters")
def cache_with_the_caller_s_mapping():
    def conv_forward(A_prev, W, b, hparameters):
        Z, cache = right.conv_forward(A_prev, W, b, hparameters)
        return Z, cache._replace(hparameters=hparameters)

    return {"conv_forward": conv_forward}


@looked("pool_forward", "hyperparameters-changed")
def padding_taken_out():
    def pool_forward(A_prev, hparameters, mode="max"):
        A, cache = right.pool_forward(A_prev, dict(hparameters), mode)
        hparameters.pop("pad", None)
        hparameters["f"] = 1
        return A, cache

    return {"pool_forward": pool_forward}


@looked("relu", "output-sometimes-its-input")
def input_where_nothing_is_to_do():
    def relu(Z):
        return (Z if Z.size and (Z > 0).all() else right.relu(Z)[0]), Z

    return {"relu": relu}


@looked("pool_forward", "option-kept-between-calls", "depends-on-earlier-calls", "result-kept-by-shape")
def plan_by_shape_alone():
    plans: dict[Any, Any] = {}

    def pool_forward(A_prev, hparameters, mode="max"):
        plan = plans.setdefault(A_prev.shape, (dict(hparameters), mode))
        return right.pool_forward(A_prev, *plan)

    return {"pool_forward": pool_forward}


@looked("sigmoid", "wrong-after-many-calls", "depends-on-earlier-calls")
def wrong_after_ninety_calls():
    calls = itertools.count()

    def sigmoid(Z):
        A, cache = right.sigmoid(Z)
        if next(calls) > 95 and A.size:
            A.reshape(-1)[-1] += 1
        return A, cache

    return {"sigmoid": sigmoid}


@looked(
    "gelu", "nondeterministic", "depends-on-earlier-calls", "layers-not-independent", "result-kept-by-shape"
)
def last_bit_by_chance():
    chance = random.Random(5)

    def gelu(Z, approximate="none"):
        A, cache = right.gelu(Z, approximate)
        return (np.nextafter(A, A.dtype.type(np.inf)) if chance.random() < 0.3 else A), cache

    return {"gelu": gelu}


def _of_memory(wrong: Callable[[Any], Any]) -> dict[str, Callable[..., Any]]:
    def leaky_relu(Z, negative_slope=0.01):
        return right.leaky_relu(wrong(Z), negative_slope)[0], Z

    return {"leaky_relu": leaky_relu}


@looked("leaky_relu", "wrong-fortran", "wrong-negative", "wrong-slice", "wrong-expanded")
def memory_taken_in_a_row():
    return _of_memory(lambda Z: Z if Z.flags.c_contiguous else np.ascontiguousarray(Z.T).reshape(Z.shape))


@looked("leaky_relu", "wrong-swapped")
def byte_order_not_looked_at():
    return _of_memory(lambda Z: Z if Z.dtype.isnative else Z.view(Z.dtype.newbyteorder("=")))


@looked("cross_entropy_cost", "wrong-label-dtype")
def labels_of_eight_bits_wrap():
    def cross_entropy_cost(AL, Y, **options):
        if Y.dtype.itemsize < 4:
            Y = np.roll(Y, 1)
        return right.cross_entropy_cost(AL, Y.astype(np.int64), **options)

    return {"cross_entropy_cost": cross_entropy_cost}


#: What ``--impl tests.planted.looked:TARGETS.name`` names.
TARGETS = SimpleNamespace(
    **{str(fault): SimpleNamespace(**{**vars(right), **fault.make()}) for fault in LOOKED}
)
