"""The process that runs the `Model` beside a `ModelNew` and prints what PyTorch's dispatcher is asked for.

The reference runs on the device ``meta``, which computes no values: what is right is the oracle's to say, and
nothing that either of them does changes it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from conformance.implementations.dialects import torch_modules, trials
from conformance.implementations.dialects.graphs import Graphs
from conformance.implementations.dialects.model_pair import named, single
from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.reference import built, names_of
from conformance.implementations.dialects.table import ROWS
from conformance.implementations.dialects.tensors import device_of


def _told(name: str, args: Any) -> str:
    """What an operation is called by its arguments, where PyTorch's dispatcher has one name for two."""
    if name == "convolution" and args[6]:
        return "transposed convolution"
    if name == "hardtanh" and tuple(args[1:3]) == (0, 6):
        return "relu6"
    return "selu" if name == "elu" and len(args) > 2 else name


def asked(names: dict[str, Any]) -> list[str]:
    """What a `Model`, built and called as its file says, asks PyTorch's dispatcher for."""
    called: list[str] = []

    class Noting(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            called.append(_told(name, args))
            return func(*args, **(kwargs or {}))

    with torch.device("meta"), torch.no_grad():
        model = built(names, "Model")
        inputs = [x.to("meta") if isinstance(x, torch.Tensor) else x for x in names["get_inputs"]()]
        model.eval()
        with Noting():  # type: ignore[no-untyped-call]
            model(*inputs)
    return called


def plain(model: Any, name: str) -> bool:
    """Whether a `Model` is what `torch.nn` has for that row, in all options that its constructor lets open.

    Where it fixes one (``bias=False``, a slope, a padding), the contract's cases are not what it computes.
    """
    row = next(row for row in ROWS if row.name == name)
    device = device_of("cpu")
    outputs = []
    for kind in (model, getattr(torch.nn, torch_modules.CLASSES[name][0])):
        runs = torch_modules.Modules({name: kind})
        try:
            if "weight" in row.arrays:
                runs.match(row, device)
        except DialectError:
            return False
        engine = Graphs(runs, device, {})
        outputs.append(trials.outputs(row, lambda *case, engine=engine: engine.forward(*case)[0]))
    own, right = outputs
    return own[0] is not None and all(
        one is None or (np.shape(one) == np.shape(other) and np.allclose(one, other, 1e-5, 1e-5))
        for one, other in zip(own, right, strict=True)
        if other is not None
    )


def main(place: str) -> None:
    """Print what the dispatcher is asked for by the `Model` of a file."""
    names = names_of(place)
    called = asked(names)
    if single(called) and not plain(names["Model"], named(called)):
        called.append("with options that its constructor fixes")
    print(json.dumps(called))


if __name__ == "__main__":
    main(sys.argv[1])
