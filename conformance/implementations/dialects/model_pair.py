"""`ModelNew` beside its `Model`: which operation that is, told by a process of its own that runs it.

The reference runs on the device ``meta``, which computes no values: what is right is the oracle's to say, and
nothing that either of them does changes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from conformance.implementations.dialects.own import DialectError
from conformance.implementations.dialects.reference import built, names_of
from conformance.implementations.dialects.table import UNITS

#: The rows of `table` by what PyTorch's dispatcher calls their operations.
_ROWS = {
    "convolution": "conv2d",
    "transposed convolution": "conv_transpose2d",
    "max_pool2d_with_indices": "max_pool2d",
    "avg_pool2d": "avg_pool2d",
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "addmm": "linear",
    "linear": "linear",
    "native_batch_norm": "batch_norm",
    "_native_batch_norm_legit": "batch_norm",
    "cudnn_batch_norm": "batch_norm",
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "constant_pad_nd": "pad",
    **{name: name for name in UNITS},
}
#: What computes nothing.
_MOVES = frozenset(
    (
        "t",
        "view",
        "_unsafe_view",
        "detach",
        "transpose",
        "permute",
        "expand",
        "alias",
        "reshape",
        "slice",
        "add_",
    )
)
#: Seconds that a reference has.
_PATIENCE = 120


def row_of(target: Any) -> str:
    """The row that the `Model` of a file computes.

    Raises
    ------
    DialectError
        If it cannot be run, or computes something else or more than one of the contract's operations.
    """
    place = getattr(target, "__file__", None)
    if place is None or not hasattr(target, "Model"):
        raise DialectError("ModelNew has no Model beside it that says what it computes")
    return named(called(place))


def row_in(place: str) -> str | None:
    """The row that the `Model` of a file computes; None if it is not one, or runs with values alone."""
    try:
        return named(called(place))
    except DialectError:
        return None


def called(place: Any) -> list[str]:
    """What the `Model` of a file asks PyTorch's dispatcher for.

    Raises
    ------
    DialectError
        If it cannot be run.
    """
    asked = [sys.executable, "-m", __name__, str(place)]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise DialectError(f"Model has not answered within {_PATIENCE} seconds") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise DialectError(f"Model, by get_init_inputs() and get_inputs(): {last[0]}")
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def single(called: list[str]) -> bool:
    """Whether that is one operation, of those that there is a row for."""
    rows = [_ROWS.get(name) for name in called if name not in _MOVES]
    return len(rows) == 1 and rows[0] is not None


def named(called: list[str]) -> str:
    """The row of what PyTorch's dispatcher was asked for.

    Raises
    ------
    DialectError
        If it is none of the rows, or several.
    """
    if not single(called):
        raise DialectError(
            f"Model computes {', '.join(called) or 'nothing'}; as functions of the contract a ModelNew of "
            "one convolution, pooling, linear layer, normalization, softmax or activation is judged. "
            "`conformance run` and `gate` compare others with Model: give the path of the .py file"
        )
    return next(_ROWS[name] for name in called if name not in _MOVES)


def _told(name: str, args: Any) -> str:
    """What an operation is called by its arguments, where PyTorch's dispatcher has one name for two."""
    if name == "convolution" and args[6]:
        return "transposed convolution"
    if name == "hardtanh" and tuple(args[1:3]) == (0, 6):
        return "relu6"
    return "selu" if name == "elu" and len(args) > 2 else name


def asked(names: dict[str, Any]) -> list[str]:
    """What a `Model`, built and called as its file says, asks PyTorch's dispatcher for."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

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
    import numpy as np
    import torch

    from conformance.implementations.dialects import torch_modules, trials
    from conformance.implementations.dialects.graphs import Graphs
    from conformance.implementations.dialects.table import ROWS
    from conformance.implementations.dialects.tensors import device_of

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
