"""PyTorch's tensors: made from the contract's arrays as a user has them, and read back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from conformance.implementations.dialects.arrays import Array
from conformance.implementations.dialects.own import DialectError

#: PyTorch's names of the suite's dtypes.
DTYPES = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}


class Way(NamedTuple):
    """How a function is called in one case: what programs do differently, by turns.

    Attributes
    ----------
    channels_last : bool
        Images and filters are in that memory format.
    inference : bool
        Forward is called under `torch.no_grad`, and again with a graph when a gradient is asked for.
    upstream : int
        0: the upstream gradient is contiguous; 1: every second element of a larger one; 2: its axes are in
        another order in memory.
    apart : bool
        Gradients of the input and of the parameters come of two graphs, as with frozen parameters and in a
        first layer.
    inplace : bool
        ``inplace=True`` where there is such a parameter.
    """

    channels_last: bool = False
    inference: bool = False
    upstream: int = 0
    apart: bool = False
    inplace: bool = False


#: The way that everything takes.
PLAIN = Way()


def way_of(arrays: Iterable[Array]) -> Way:
    """The way of a case: it depends on the data alone, so that the same case goes the same way."""
    mixed = 0
    for array in arrays:
        mixed = zlib.crc32(np.ascontiguousarray(array).tobytes()[: 1 << 16], mixed)
    return Way(
        bool(mixed & 1), bool(mixed & 2), (mixed >> 2) % 3, (mixed >> 8) & 3 == 0, bool(mixed >> 12 & 1)
    )


def device_of(said: Any) -> torch.device:
    """The device that a module or the user names.

    Raises
    ------
    DialectError
        If there is no such device, or it computes nothing.
    """
    try:
        device = torch.device("cpu" if said is None else said)
    except (RuntimeError, TypeError) as error:
        raise DialectError(f"device {said!r}: {str(error).splitlines()[0]}") from error
    if device.type == "meta":
        raise DialectError("device 'meta' computes no values; give cpu, or the device of the kernels")
    try:
        torch.empty(1, device=device)
    except Exception as error:
        raise DialectError(f"device {said!r}: {str(error).splitlines()[0]}") from error
    return device


def tensor(array: Array, device: torch.device, channels_last: bool = False) -> Tensor:
    """A tensor of its own memory with the values of `array`."""
    native = np.array(array, array.dtype.newbyteorder("="), order="C")
    if native.dtype.kind not in "fiub":  # bfloat16, which torch does not read from NumPy
        made = torch.from_numpy(native.view(np.int16)).view(torch.bfloat16)
    else:
        made = torch.from_numpy(native)
    made = made.to(device)
    if not channels_last or made.ndim != 4:
        return made
    # Where an extent is 1, `contiguous` keeps strides that are of either format.
    return torch.empty_like(made, memory_format=torch.channels_last).copy_(made)


def array(value: Any) -> Any:
    """The values of a tensor when its device has computed them, copied; anything else as it is."""
    if not isinstance(value, Tensor):
        return value
    found = value.detach()
    if found.device.type != "cpu":
        module = getattr(torch, found.device.type, None)
        if module is not None and hasattr(module, "synchronize"):  # on whatever stream it was computed
            module.synchronize()
        found = found.cpu()
    if found.layout is not torch.strided:
        found = found.to_dense()
    found = found.resolve_conj().resolve_neg()
    if found.dtype is torch.bfloat16:
        import ml_dtypes

        bits = found.contiguous().view(torch.int16).numpy()
        return np.array(bits).view(ml_dtypes.bfloat16)
    return np.array(found.numpy(), order="C")


def laid(value: Tensor, way: int) -> Tensor:
    """`value` with other strides."""
    if way == 0 or value.ndim == 0:
        return value
    if way == 1:
        larger = torch.full((*value.shape, 2), float("nan"), dtype=value.dtype, device=value.device)
        larger[..., 0] = value
        return larger[..., 0]
    reverse = tuple(range(value.ndim))[::-1]
    return value.permute(reverse).contiguous().permute(reverse)


def same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether two arrays hold the same bytes."""
    return first.tobytes() == second.tobytes()


def writes_out_of_bounds(output: Tensor) -> bool:
    """Whether PyTorch's own gradient of `output` writes where it may not (oneDNN issue 6035).

    That of the float32 filters of a 1x1 window with a stride, over fewer than 16 channels in channels_last.
    """
    seen: set[Any] = set()
    ahead = [output.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        ahead += [after for after, _ in node.next_functions]
        if node.name().startswith("ConvolutionBackward") and _hazardous(vars_of(node)):
            return True
    return False


def vars_of(node: Any) -> Mapping[str, Any]:
    """What a node of PyTorch's convolution has saved."""
    names = ("input", "weight", "stride")
    return {name: getattr(node, f"_saved_{name}", None) for name in names}


def _hazardous(saved: Mapping[str, Any]) -> bool:
    image, weight, stride = (saved[name] for name in ("input", "weight", "stride"))
    if not isinstance(image, Tensor) or not isinstance(weight, Tensor) or image.ndim != 4:
        return False
    if image.device.type != "cpu" or image.dtype is not torch.float32 or image.shape[1] >= 16:
        return False
    if tuple(weight.shape[2:]) != (1, 1) or all(step == 1 for step in stride):
        return False
    return _like_channels_last(image) or _like_channels_last(weight)


def _like_channels_last(value: Tensor) -> bool:
    """Whether PyTorch takes a tensor of four axes for one in channels_last, by its strides alone."""
    least, strides = 0, value.stride()
    for axis in (1, 3, 2, 0):
        if value.shape[axis] == 0 or strides[axis] < least or (axis == 0 and least == strides[1]):
            return False
        least = strides[axis] * (value.shape[axis] if value.shape[axis] > 1 else 1)
    return True
