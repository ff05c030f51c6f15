"""An operation and everything that the suite knows of it; the modules beside this one hold the entries.

What belongs to a later part of the suite is handed in, so that an entry imports none of it: `torch` to
the oracle, `bounds.rules` to the bound, `faults.rounding` to the rounding, `conventions.models` to the
convention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases.operation import Group, Operation
from conformance.cases.request import Made
from conformance.operations.call import Call

if TYPE_CHECKING:
    from conformance.cases.case import Case

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = dict[str, Array]
Tensors = dict[str, Any]
#: (name, source, parameters, family) of a corner case.
Corner = tuple[str, str, str, str]
#: The extents of an array: parameters by name and numbers, or a function of the case.
Extents = tuple[str | int, ...] | Callable[["Case"], tuple[int, ...]]

IMAGE: Group = ("m", "h", "w", "c")
ROWS: Group = ("m", "n")

#: What data families and tiers choose operations by.
TRAITS: dict[str, str] = {
    "products": "sums of products",
    "linear": "sums of products with nothing behind them",
    "activated": "sums of products with an activation behind them",
    "sums upstream": "a gradient each of whose elements is a sum over the upstream gradient",
    "windows": "reads or writes windows of an image",
    "transposed": "writes windows instead of reading them",
    "pool": "the maximum or the average of a window",
    "global": "one window that is the whole image",
    "mean": "the mean of its input",
    "mask": "says where the maximum is",
    "share": "one number spread over a window",
    "moves": "copies elements to other places",
    "moves anything": "copies NaN and infinities, with nothing put beside them",
    "kink": "a slope that jumps",
    "bent": "a slope that jumps, of which PyTorch's own differs at NaN by where it stands",
    "sigmoid": "saturates at both ends, and has a limit there",
    "gate": "an activation whose answer to -inf is its limit or NaN",
    "endless": "goes to infinity with its input, in every form in which it is written",
    "logits": "a softmax",
    "probabilities": "takes probabilities and labels",
    "labels": "takes labels",
    "losses": "the mean of a function of each element and its target",
    "norm": "normalizes with the mean and the variance of values",
    "each pixel": "normalizes the channels of each pixel by themselves",
    "affine": "the affine layer",
    "inexact": "rounds whatever the data are: exp, logarithms, quotients of data",
}


class Form(NamedTuple):
    """What an output is, where it is no array in the dtype of the case."""

    #: The dtype, None for a Python float; "working" is the one in which sums are computed.
    dtype: str | None
    #: Whether it is rounded to half precision with arguments in half.
    rounded: bool = False


def always(case: Case) -> frozenset[int]:
    """Nothing is divided."""
    return frozenset({1})


def one(case: Case) -> int:
    """Each output has one term."""
    return 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry(Operation):
    """An operation.

    Attributes
    ----------
    call : Call
        How the function is called.
    shapes : mapping of str to Extents
        The shape of each array; those that are left out are images ``(m, h, w, c)``.
    oracle : callable
        ``(torch, case, tensors)`` to the output in float64, or to all outputs by name; for a gradient, the
        function that it is the gradient of.
    wanted : mapping of str to str
        Of a gradient: by which variable each output is the derivative.
    reference : callable
        ``(case, arrays, **options)`` to the outputs in float64 NumPy, from which faults are made. It shares
        no code with the oracle, the kernels or the adapters, so that a fault is not recognised by a mistake
        it has in common with what it explains. The options are the joints at which people get it wrong.
    bound : callable or None
        ``(rules)`` to the rule of how far off an answer may be; None: it must be equal, bit for bit.
    rounding : callable or None
        ``(rounding, asked)`` to how far rounding may take an answer from a fault's, None as for `bound`.
    traits : frozenset of str
        Some of `TRAITS`.
    corners : iterable of Corner
        Shapes and data that broke real kernels.
    longest : callable
        The number of terms in the longest sum behind any output of a case, the bias included.
    divisors : callable
        By what an output of a case is divided.
    forms : mapping of str to Form
        Outputs that are no arrays in the dtype of the case.
    accuracies : tuple of str
        What its tails may be held to, first what they are held to unless a module says otherwise
        (`bounds.arithmetic.ACCURACIES`); none where there is one bound.
    flat : tuple of str
        Arrays and outputs that are matrices whose rows are whole images.
    dim : tuple of str
        Families in whose data a dropped term hardly shows.
    pools : mapping of str to tuple of int
        What parameters are drawn from, where that is not as for other operations.
    linear : mapping of str to tuple of (str, str or None)
        For each output the arguments in which it is linear, each with the one it is multiplied with; those
        that are left out are linear in the upstream gradient.
    gradients : mapping of str to str
        Of a gradient: the outputs by the argument they belong to, of those in which the forward function is
        homogeneous; empty where it is not.
    convention : callable or None
        ``(models)`` to what the right answer is under each convention.
    """

    call: Call
    shapes: Mapping[str, Extents] = field(default_factory=dict)
    oracle: Callable[[Any, Case, Tensors], Any]
    wanted: Mapping[str, str] = field(default_factory=dict)
    reference: Callable[..., Outputs]
    bound: Callable[[Any], Any] | None = None
    rounding: Callable[[Any, Any], Any] | None = None
    traits: frozenset[str] = frozenset()
    corners: Iterable[Corner] = ()
    longest: Callable[[Case], int] = one
    divisors: Callable[[Case], Iterable[int]] = always
    forms: Mapping[str, Form] = field(default_factory=dict)
    accuracies: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()
    dim: tuple[str, ...] = ()
    pools: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    linear: Mapping[str, tuple[tuple[str, str | None], ...]] = field(default_factory=dict)
    gradients: Mapping[str, str] = field(default_factory=dict)
    convention: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no trait."""
        unknown = self.traits - TRAITS.keys()
        if unknown:
            raise ValueError(f"{self.name}: {', '.join(sorted(unknown))} is no trait; TRAITS lists them")

    @cached_property
    def answer(self) -> tuple[bool, dict[str, int], int]:
        """Whether it answers a cache too; the places of outputs in that, and how many fields it has."""
        cache = self.call.by_hand
        found = list(cache.fields) if isinstance(cache, Made) else []
        return cache is not None, {name: found.index(name) for name in self.outputs[1:] if found}, len(found)

    def rounds(self, output: str) -> bool:
        """Whether an output is rounded to half precision where the arguments are in half."""
        return output not in self.forms or self.forms[output].rounded

    def axes(self, name: str) -> Extents:
        """The extents of one of `arrays`."""
        return self.shapes.get(name, IMAGE)

    def shape(self, case: Case, name: str) -> tuple[int, ...]:
        """The shape of an array of a case."""
        axes = self.axes(name)
        return axes(case) if callable(axes) else tuple([n if isinstance(n, int) else case[n] for n in axes])

    def gradient(self, name: str, *, upstream: str | None, wanted: Mapping[str, str], **more: Any) -> Entry:
        """The entry of this function's gradient: `more` is what is not as here.

        The call, the oracle, the signature and what is said of the data are those of the forward function;
        what concerns its outputs is not.
        """
        its = {f.name: getattr(self, f.name) for f in fields(self) if f.init and f.name not in _OWN}
        arrays = self.arrays if upstream is None else (*self.arrays, upstream)
        call = {} if upstream is None else {"call": self.call.backward(upstream)}
        its |= {"arrays": arrays, "outputs": tuple(wanted), "wanted": wanted, "upstream": upstream, **call}
        return Entry(**{**its, "name": name, "forward": self.name, **more})


#: What a gradient does not take over from its forward function.
_OWN = (
    "call", "reference", "bound", "rounding", "corners", "forms", "accuracies", "flat", "dim", "linear",
    "gradients", "convention",
)  # fmt: skip


def plain(*arguments: Any, by_hand: Any = None) -> Call:
    """The call of a function of arrays, and of parameters that stand beside them."""
    return Call(arguments, by_hand=by_hand)


def largest(x: Array) -> float:
    """The largest absolute value among the finite ones, 0 if there is none."""
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0
