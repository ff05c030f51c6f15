"""How far from float64 the rounding of a model may lead: measured, on its own operations.

Under `Rounding` each operation of a float64 run is moved at random by what rounding in the working dtype may
come to: a sum of n products by up to F sqrt(n) u times the sum of their magnitudes, anything else by F u. It
is the statistical form of the suite's own bounds, carried on by the model itself, so that a gate that a
rounding could open is open in some of the runs. Under `Exactness` it is seen whether nothing is rounded.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: F: the factor on each operation's own rounding.
FACTOR = 8.0

#: What is linear in the magnitudes of its operands: sums of products, or of one operand's elements.
_SUMS = _words(
    "convolution convolution_backward mm addmm bmm baddbmm mv dot sum mean avg_pool2d "
    "avg_pool2d_backward _adaptive_avg_pool2d _adaptive_avg_pool2d_backward"
)
#: What chooses among its operands or moves them, and rounds nothing.
_CHOOSES = _words(
    "relu threshold_backward max_pool2d_with_indices max_pool2d_with_indices_backward neg abs clone "
    "where maximum minimum clamp clamp_min amax amin gather index index_select constant_pad_nd cat "
    "stack zeros_like ones_like empty_like new_zeros copy_ _to_copy detach t view _unsafe_view "
    "transpose permute expand alias slice select unsqueeze squeeze as_strided fill_ zero_ "
    "slice_backward select_backward max min sign hardtanh hardtanh_backward relu_ add_ "
    "new_empty_strided zeros empty upsample_nearest2d upsample_nearest2d_backward split unbind flip "
    "roll pixel_shuffle"
)


def _floating(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point() and x.numel() > 0


def _tensors(values: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tree_map(lambda x: found.append(x) if _floating(x) else None, values)
    return found


def _shared(out: Tensor, given: list[Tensor]) -> bool:
    return any(out.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for x in given)


class Rounding(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Move each operation's result by what its rounding may come to, with unit roundoff `unit`."""

    def __init__(self, unit: float, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._unit = FACTOR * unit
        self._numbers = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        out = func(*args, **kwargs)
        given = _tensors((args, kwargs))
        if name in _CHOOSES or not given:
            return out
        reach: Any = None
        if name in _SUMS:
            absolute = tree_map(lambda x: x.abs() if _floating(x) else x, (args, kwargs))
            reach = func(*absolute[0], **absolute[1])
        work = sum(x.numel() for x in given)

        def moved(x: Any, size: Any) -> Any:
            if not _floating(x) or _shared(x, given):
                return x
            terms = max(1.0, work / x.numel()) if reach is not None else 1.0
            if name.startswith("convolution") or "mm" in name:
                terms = max(terms, math.sqrt(math.prod(t.numel() for t in given[:2]) / x.numel()))
            sides = torch.rand(x.shape, generator=self._numbers, dtype=torch.float64) * 2 - 1
            return x + (self._unit * math.sqrt(terms)) * sides.to(x.dtype) * size.abs()

        reached = out if reach is None else reach
        if isinstance(out, (tuple, list)):
            return type(out)(moved(x, size) for x, size in zip(out, reached, strict=True))
        return moved(out, reached)


class Exactness(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """See whether each operation takes and gives multiples of a power of two, in sums below ``2 / eps``.

    Every partial sum is a number of the dtype then, in whatever order it is computed.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.exact, self._largest = True, 2 / eps

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        given = _tensors((args, kwargs or {}))
        if self.exact and given and not (name in _CHOOSES and name != "add_"):
            known = name in _SUMS or name in ("add", "sub", "mul", "add_", "div", "rsub")
            self.exact = known and self._within(given, _tensors(out))
        return out

    def _within(self, given: list[Tensor], outs: list[Tensor]) -> bool:
        if not all(bool(torch.equal(x, x.round())) for x in (*given, *outs)):
            return False
        sums = [float(x.abs().sum()) for x in given]
        tops = [float(x.abs().max()) for x in given]
        products = [min(sums[i] * tops[j], tops[i] * sums[j]) for i in range(len(given)) for j in range(i)]
        return max([*sums, sum(products) + sum(tops)]) <= self._largest
