"""Functions of tensors, called and differentiated as PyTorch's users do, for both torch dialects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from conformance.implementations.dialects.arrays import Array, inward, outward, written_back
from conformance.implementations.dialects.table import SLOPES, Row
from conformance.implementations.dialects.tensors import (
    PLAIN,
    Way,
    array,
    laid,
    same,
    tensor,
    way_of,
    writes_out_of_bounds,
)
from conformance.implementations.signature import LackingError

_OUT_OF_BOUNDS = (
    "PyTorch's own float32 channels_last gradient of a 1x1 window with a stride and under 16 channels writes "
    "out of bounds (oneDNN 6035); it is not called"
)


Result = TypeVar("Result")

#: The part of a usual gradient by which another one is no matter of rounding.
_ANOTHER = 0.01


class ExpandedGradientError(RuntimeError):
    """An upstream gradient whose elements share their memory, as that of a sum, is answered otherwise."""


class Called(NamedTuple):
    """What came of a call.

    Attributes
    ----------
    output : object
        What the function returned.
    leaves : dict of str to Tensor
        The tensors that it was called on, those that a gradient is asked for as leaves of the graph.
    """

    output: Any
    leaves: dict[str, Tensor]


class Runs(Protocol):
    """Calls the functions of a module.

    Attributes
    ----------
    wordless : bool
        Whether they take no words for a padding.
    through : callable
        What a function or a module is put through before it is called.
    """

    wordless: bool
    through: Callable[[Any], Any]

    def __call__(
        self,
        row: Row,
        tensors: Mapping[str, Tensor],
        options: Mapping[str, Any],
        wanted: frozenset[str],
        inplace: bool,
    ) -> Called:
        """Call the function of `row`; `wanted` are the arguments that a gradient is asked for."""


class Kept(NamedTuple):
    """What a gradient is computed from; `running_mean` and `running_var` are outputs of a normalization."""

    row: Row
    given: Mapping[str, Array]
    options: Mapping[str, Any]
    way: Way
    graphs: dict[tuple[frozenset[str], Way], Called]
    running_mean: Any = None
    running_var: Any = None


def as_it_is(value: Any) -> Any:
    """What is called, as it is."""
    return value


def _compiled(value: Any) -> Any:
    # In a function of its own: of an autograd function's ``apply`` PyTorch compiles no frame.
    return torch.compile(lambda *arguments, **words: value(*arguments, **words))


class Graphs:
    """An engine of `contract_form`.

    Parameters
    ----------
    runs : Runs
        Calls the functions.
    device : torch.device
        Where the tensors are.
    remarks : dict of str to int
        Takes what is noticed that is no fault.
    """

    def __init__(self, runs: Runs, device: torch.device, remarks: dict[str, int]) -> None:
        self._runs, self._device, self._remarks = runs, device, remarks
        self._without: set[str] = set()

    def without_gradient(self, row: Row) -> None:
        """Remember that a function makes no graph."""
        self._without.add(row.name)

    def answers(self, row: Row) -> bool:
        """Whether there is the function."""
        return True

    def differentiates(self, row: Row) -> bool:
        """Whether the function makes a graph."""
        return row.name not in self._without

    def makes_graph(self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> bool:
        """Whether the output of a call has a graph; without an output nothing says that it has none."""
        try:
            output = self._tried(row, arrays, options)
        except Exception:
            return True
        return not isinstance(output, Tensor) or output.requires_grad

    def raised(
        self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]
    ) -> BaseException | None:
        """What a call with a graph raises; TypeError where it answers something else than a tensor."""
        try:
            output = self._tried(row, arrays, options)
        except Exception as error:
            return error
        if isinstance(output, Tensor):
            return None
        return TypeError(f"{row.name} returned a {type(output).__name__}, expected a tensor")

    def _tried(self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> Any:
        given = {name: inward(row.arrays[name], value) for name, value in arrays.items()}
        return self._run(Kept(row, given, options, PLAIN, {}), frozenset(row.leaves), PLAIN).output

    def compiled(self, call: Callable[[], Result]) -> Result:
        """What `call` gives, if what it calls is put through `torch.compile`."""
        import torch._inductor.config  # takes a second, and is seldom wanted

        torch._dynamo.reset()  # after eight shapes it compiles no more
        self._runs.through = _compiled
        try:
            # More threads are a pool of processes, which would outlive the call.
            with torch._inductor.config.patch(compile_threads=1):
                return call()
        finally:
            self._runs.through = as_it_is

    def forward(self, row: Row, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> tuple[Any, Kept]:
        """The output of the function, and what `backward` needs."""
        given = {name: inward(row.arrays[name], value) for name, value in arrays.items()}
        if row.filled and any(0 in value.shape[1:] for value in given.values() if value.ndim > 1):
            raise LackingError(f"{row.name} has no images without channels or pixels, and no empty filters")
        way = way_of(given.values())
        if _out_of_bounds(given, options):
            way = way._replace(channels_last=False)
        kept = Kept(row, given, options, way, {})
        wanted = frozenset(row.leaves) if self.differentiates(row) and not way.inference else frozenset()
        called = self._called(kept, wanted, way)
        self._show_changes(row, given, called, arrays)
        kept = kept._replace(**{n: self._statistic(called, n) for n in row.order if n.startswith("running")})
        output = outward(row.output, array(called.output))
        if row.output == "number" and isinstance(output, np.ndarray) and output.size == 1:
            output = float(output.reshape(()))
        return output, kept

    def backward(self, kept: Kept, upstream: Array | None) -> tuple[Any, ...]:
        """The gradients of `row.leaves`; None where the graph has none."""
        leaves = kept.row.leaves
        apart = kept.way.apart and len(leaves) > 1
        parts = (leaves[:1], leaves[1:]) if apart else (leaves,)
        found: list[Any] = []
        for part in parts:
            called = self._called(kept, frozenset(part), kept.way)
            found += self._gradients(kept, called, part, upstream)
        return tuple(self._like(kept, name, value) for name, value in zip(leaves, found, strict=True))

    def _like(self, kept: Kept, name: str, value: Any) -> Any:
        """A gradient as the contract has it: that of a parameter in float32 in the dtype of the parameter."""
        got, dtype = outward(kept.row.arrays[name], array(value)), kept.given[name].dtype
        if (
            isinstance(got, np.ndarray)
            and got.dtype == np.float32
            and dtype.itemsize == 2
            and name != "input"
        ):
            return got.astype(dtype) if "running_mean" in kept.row.arrays else got
        return got

    def _statistic(self, called: Called, name: str) -> Any:
        return outward("channels", array(called.leaves[name]))

    def _called(self, kept: Kept, wanted: frozenset[str], way: Way) -> Called:
        """The function called, once for each graph; in the plain way where it refuses another."""
        if (wanted, way) not in kept.graphs:
            try:
                called = self._run(kept, wanted, way)
            except NotImplementedError:
                raise
            except Exception as error:
                plain = PLAIN._replace(upstream=way.upstream)
                if way == plain:
                    raise
                called = self._run(kept, wanted, plain)  # whose exception is the case's
                told = "channels_last tensors" if way.channels_last else "inplace=True"
                self._remark(f"{kept.row.name} refuses {told}: {_first_line(error)}")
            kept.graphs[wanted, way] = called
        return kept.graphs[wanted, way]

    def _run(self, kept: Kept, wanted: frozenset[str], way: Way) -> Called:
        kinds = kept.row.arrays
        tensors = {
            name: tensor(value, self._device, way.channels_last and kinds[name] in ("image", "filters"))
            for name, value in kept.given.items()
        }
        if "running_mean" in tensors and tensors["input"].dtype in (torch.float16, torch.bfloat16):
            # Normalizations of half images keep their statistics and parameters in float32.
            tensors = {n: x if n == "input" else x.float() for n, x in tensors.items()}
        with torch.set_grad_enabled(bool(wanted)):
            return self._runs(
                kept.row, tensors, kept.options, wanted, way.inplace and _in_place(kept.options)
            )

    def _gradients(
        self, kept: Kept, called: Called, names: tuple[str, ...], upstream: Array | None
    ) -> list[Any]:
        output = called.output
        if not isinstance(output, Tensor):
            raise TypeError(f"{kept.row.name} returned a {type(output).__name__}, expected a tensor")
        if not output.requires_grad:
            raise LackingError(f"the output of {kept.row.name} has no graph, so there is no gradient of it")
        if writes_out_of_bounds(output):
            raise LackingError(_OUT_OF_BOUNDS)
        leaves = [called.leaves[name] for name in names]
        if upstream is None:
            given = torch.ones_like(output)
        else:
            given = tensor(inward(kept.row.output, upstream), self._device)
        laid_out = laid(given, kept.way.upstream)
        try:
            found = _differentiated(output, leaves, laid_out)
        except Exception as error:
            if laid_out is given:
                raise
            found = _differentiated(output, leaves, given)
            self._remark(f"the gradient of {kept.row.name} refuses strides upstream: {_first_line(error)}")
        if upstream is not None and not same(array(laid_out), array(given)):
            upstream[...] = outward(kept.row.output, array(laid_out)).reshape(upstream.shape)
        exact = output.dtype in (torch.float32, torch.float64)
        if kept.way.upstream == 0 and output.ndim and output.numel() and exact:
            self._expanded(kept.row, output, leaves)
        return list(found)

    def _expanded(self, row: Row, output: Tensor, leaves: list[Tensor]) -> None:
        """The gradient of the output's sum: an upstream gradient all of whose elements are one in memory."""
        one = torch.ones((), dtype=output.dtype, device=output.device)
        try:
            found = _differentiated(output, leaves, one.expand(output.shape))
        except Exception as error:
            self._remark(f"the gradient of {row.name} refuses an expanded one: {_first_line(error)}")
            return
        right = _differentiated(
            output, leaves, torch.ones_like(output, memory_format=torch.contiguous_format)
        )
        drawn = torch.Generator().manual_seed(0)
        some = torch.rand(output.shape, dtype=output.dtype, generator=drawn).to(output.device)
        usual = _differentiated(output, leaves, some)  # where terms of either sign do not cancel
        for got, expected, size in zip(found, right, usual, strict=True):
            if got is None or expected is None or size is None or not size.numel():
                continue
            if bool((got - expected).abs().max() > _ANOTHER * size.abs().max()):
                raise ExpandedGradientError(
                    f"the gradient of {row.name} for an expanded upstream gradient (strides 0, as sum() "
                    "gives) is not that for the same values in memory"
                )

    def _show_changes(
        self, row: Row, given: Mapping[str, Array], called: Called, arrays: Mapping[str, Array]
    ) -> None:
        """Show changes of an argument in the contract's array, where it is looked for."""
        for name, before in given.items():
            after = called.leaves.get(name)
            if after is not None and not name.startswith("running"):
                now = array(after)
                if now.shape == before.shape and not same(now, before):
                    written_back(row.arrays[name], arrays[name], now)

    def _remark(self, text: str) -> None:
        self._remarks[text] = self._remarks.get(text, 0) + 1


def _out_of_bounds(given: Mapping[str, Array], options: Mapping[str, Any]) -> bool:
    """Whether PyTorch's own gradient of that convolution writes out of bounds in channels_last."""
    weight = given.get("weight")
    if weight is None or weight.ndim != 4 or weight.shape[2:] != (1, 1):
        return False
    return bool(options.get("stride", 1) != 1) and given["input"].shape[1] < 16


def _in_place(options: Mapping[str, Any]) -> bool:
    """Whether the output tells what the gradient needs; of a negative slope it has the sign no more."""
    return all(options.get(name, 0) >= 0 for name in SLOPES)


def _differentiated(output: Tensor, leaves: list[Tensor], upstream: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of leaves, the graph kept for a second time."""
    return torch.autograd.grad(output, leaves, upstream, retain_graph=True, allow_unused=True)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:160]}" if text else type(error).__name__
