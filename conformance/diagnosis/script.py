"""A failure as a script of its own: NumPy, the implementation, the data and the right answer, nothing else.

For sending to somebody who does not have this package, which it needs only to read another dialect than the
contract's. Small arrays are written out with the digits that read back as the same numbers; larger ones as
compressed text.
"""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.storage import rounded
from conformance.conventions import offered
from conformance.faults.diagnose import UNEXPLAINED, explain
from conformance.implementations import adapters, call_text
from conformance.implementations.layout import answered, inward
from conformance.verdict.judge import Trial
from conformance.verdict.record import Record
from conformance.verdict.right import output_dtype

#: Arrays up to this many elements are written out.
WRITTEN = 128

_HEAD = '''"""{title}

Needs NumPy and the implementation. Exit status 1: it is wrong.
"""

import base64
import importlib
import importlib.util
import sys
import zlib
from collections import namedtuple

import numpy as np
from numpy import inf, nan

sys.path.insert(0, "")


def unpack(text, dtype, shape):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype).reshape(shape).copy()

'''

_TAIL = """
wrong = 0
for name, got, right, limit in checks:
    want = (right.shape, right.dtype)
    if not isinstance(got, (float, np.ndarray)):
        print(f"{name}: is a {type(got).__name__}, expected shape and dtype {want}")
        wrong = 1
        continue
    got = np.asarray(got)
    if (got.shape, got.dtype) != want:
        print(f"{name}: shape and dtype are {(got.shape, got.dtype)}, expected {want}")
        wrong = 1
        continue
    exact = right.astype(np.float64)
    with np.errstate(all="ignore"):
        near = np.abs(got - exact) <= limit
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
    places = np.argwhere(~(near | same))
    print(f"{name}: {len(places)} of {right.size} elements wrong")
    for place in map(tuple, places[:10]):
        print(f"  {list(map(int, place))}: expected {exact[place]:.17g}, got {got[place]:.17g}")
    wrong = wrong or int(len(places) > 0)
sys.exit(wrong)
"""


def write(trial: Trial, records: list[Record], spec: str, calls: int = 1) -> str:
    """The script for a case.

    Parameters
    ----------
    trial : Trial
        The case, run.
    records : list of Record
        What came of it.
    spec : str
        The implementation, as ``--impl`` names it: a module or file of Python.
    calls : int, optional
        Which call of a process is held against what is right.
    """
    case = trial.case
    title = [f"{spec} on {case}"]
    for record in records:
        if record.status == "failed":
            known = str(record.diagnosis or UNEXPLAINED)
            known = "" if known == UNEXPLAINED else f" ({known}: {explain(known)})"
            title.append(f"{record.output}: {record.reason}{known}")
    text = _HEAD.format(title="\n\n".join(title).replace("\\", "\\\\").replace('"""', "'''"))
    if case.numpy_dtype.kind != "f":
        text = text.replace("import numpy as np\n", "import ml_dtypes\nimport numpy as np\n", 1)
    text += f"{call_text.HELPERS}\n\n{_loading(spec, trial.implementation.dialect)}"
    implementation = trial.implementation
    given = inward(case, offered(trial.case, trial.arrays, trial.settings), implementation.layout)
    text += "".join(f"{name} = {_array(value)}\n" for name, value in given.items())
    asked = "\n".join(call_text.lines(implementation, case, given, _array)) + "\n"
    text += f"\n# What it is asked, as the contract says.\n{asked}"
    if calls > 1:
        text += f"\n# And once more: the first call is right.\n{asked * (calls - 1)}"
    text += "\n# What is right, and how far from it rounding may lead.\nchecks = [\n"
    right = _expected(trial)
    limits = {n: _limit(trial, n, x) for n, x in right.items()}
    right, limits = (answered(case, x, implementation.layout) for x in (right, limits))
    for name, value in right.items():
        limit = limits[name]
        one = limit.reshape(-1)[:1]
        plain = repr(float(one[0])) if one.size and (limit == one[0]).all() else _array(limit)
        text += f'    ("{name}", {name}, {_array(value)}, {plain}),\n'
    return text + "]\n" + _TAIL


def _expected(trial: Trial) -> Mapping[str, NDArray[Any]]:
    """The right outputs in float64, in the dtype of the output where that loses nothing."""
    found = {}
    for name, value in trial.expected.items():
        dtype = output_dtype(trial.case, name) or np.dtype(np.float64)
        with np.errstate(all="ignore"):
            found[name] = value.astype(dtype)
    return found


def _limit(trial: Trial, name: str, right: NDArray[Any]) -> NDArray[np.float64]:
    """How far an output may be from what `_expected` gives, which half has rounded."""
    limit = np.broadcast_to(trial.limits[name].limit, right.shape).astype(np.float64)
    if not rounded(trial.case, name) or trial.limits[name].target is not None:
        return limit
    with np.errstate(all="ignore"):
        moved = np.abs(right.astype(np.float64) - trial.expected[name])
    return np.asarray(limit + np.where(np.isfinite(moved), moved, 0.0))


def _array(value: NDArray[Any]) -> str:
    """An expression that gives the same array."""
    dtype = f"{'np' if value.dtype.kind in 'biuf' else 'ml_dtypes'}.{value.dtype.name}"
    if value.size <= WRITTEN:
        return f"np.array({value.tolist()!r}, {dtype}).reshape({value.shape})"
    text = base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 9)).decode()
    lines = "\n".join(f'    "{text[i : i + 100]}"' for i in range(0, len(text), 100))
    return f"unpack(\n{lines},\n    {dtype}, {value.shape})"


def _loading(spec: str, dialect: str) -> str:
    """The lines that load the implementation, of another dialect in the contract's form."""
    place, _, attribute = spec.partition(":") if not spec.endswith(".py") else (spec, "", "")
    if place.endswith(".py") or os.sep in place:
        lines = [
            f'spec = importlib.util.spec_from_file_location("implementation", {place!r})',
            "impl = importlib.util.module_from_spec(spec)",
            "spec.loader.exec_module(impl)",
        ]
    else:
        name = f"conformance.adapters.{place}" if place in adapters() else place
        lines = [f"impl = importlib.import_module({name!r})"]
    lines += [f"impl = impl.{attribute}"] if attribute else []
    if dialect != "contract":
        lines += [
            "from conformance.implementations.dialects import Reading, adapted",
            f"impl, _ = adapted(impl, (), Reading({dialect!r}))",
        ]
    return "\n".join(lines) + "\n\n"
