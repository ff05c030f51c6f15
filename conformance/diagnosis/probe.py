"""What an implementation does where frameworks legitimately differ, by experiment.

For each convention a small input on which every value gives another answer; what comes back is held
against each of them. Nothing is read from the implementation's documentation or name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.conventions import CONVENTIONS, Convention, Settings, adjusted, read
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS

Arrays = dict[str, NDArray[Any]]

_NAN = float("nan")
#: Answers that differ by convention differ by far more than by rounding.
_CLOSE = 1e-6


def _image(rows: list[list[float]]) -> NDArray[Any]:
    return np.array(rows)[None, :, :, None]


# Two by two windows one beside the other: NaN first, NaN last, NaN twice, all NaN, and -inf alone.
_NANS = _image([[_NAN, 1, 1, 3, _NAN, 2, _NAN, _NAN, -np.inf, -np.inf],
                [2, 3, 2, _NAN, 1, _NAN, _NAN, _NAN, -np.inf, -np.inf]])  # fmt: skip
_UP = _image([[1, 2, 4, 8, 16]])
_LAYER: Arrays = {"A_prev": np.array([[1.0, 2], [3, 4]]), "W": np.array([[1.0, -1], [0, 1]])}
_ZERO: Arrays = {**_LAYER, "b": np.array([[-1.0, 0]]), "dA": np.array([[5.0, 7], [11, 13]])}
_Y = np.array([1, 3, 3])
_AL = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.2, 0.3], [0.05, 0.45, 0.3, 0.2]])
_X = np.array([[1.0, 2, 0, 4], [0, 3, 1, -2], [2, 2, 5, 1]])
_LOSSES: dict[str, tuple[str, Arrays]] = {
    "cross_entropy_cost": ("m3n4", {"AL": _AL, "Y": _Y}),
    "cross_entropy_backward": ("m3n4", {"AL": _AL, "Y": _Y}),
    "softmax_cross_entropy": ("m3n4", {"X": _X, "Y": _Y}),
    "softmax_cross_entropy_backward": ("m3n4", {"X": _X, "Y": _Y}),
}
_RELU = {"Z": _image([[0.0, 1, -1]]), "dA": _image([[8.0, 4, 2]])}
_RELU_NAN = {"Z": _image([[_NAN, 1, -1]]), "dA": _image([[8.0, 4, 2]])}
_LARGE = np.array([[1e4, 0.0], [0.0, 1.0]])

#: The experiment for each convention: by operation, the parameters of a case and its arrays.
EXPERIMENTS: dict[str, dict[str, tuple[str, Arrays]]] = {
    "pool-ties": {
        "pool_backward": ("m1h2w2c1_f2s1_max", {"A_prev": _image([[1, 1], [0, 1]]), "dA": _image([[6]])})
    },
    "pool-nan": {
        "pool_forward": ("m1h2w10c1_f2s2_max", {"A_prev": _NANS}),
        "pool_backward": ("m1h2w10c1_f2s2_max", {"A_prev": _NANS, "dA": _UP}),
    },
    "average-pool-borders": {
        "pool_forward": ("m1h2w2c1_f2s1_average_p1", {"A_prev": _image([[4, 8], [16, 32]])}),
        "pool_backward": (
            "m1h2w2c1_f2s1_average_p1",
            {"A_prev": _image([[4, 8], [16, 32]]), "dA": _image([[4, 8, 12], [16, 20, 24], [28, 32, 36]])},
        ),
    },
    "mask-ties": {"create_mask_from_window": ("h2w2", {"x": np.array([[1.0, 1], [0, 1]])})},
    "mask-nan": {"create_mask_from_window": ("h2w2", {"x": np.array([[1.0, _NAN], [_NAN, 3]])})},
    "relu-zero": {
        "relu_backward": ("m1h1w3c1", _RELU),
        "affine_activation_backward": ("m2i2o2_relu", _ZERO),
    },
    "relu-nan": {"relu": ("m1h1w3c1", {"Z": _RELU_NAN["Z"]})},
    "relu-nan-gradient": {"relu_backward": ("m1h1w3c1", _RELU_NAN)},
    "labels": _LOSSES,
    "softmax-shift": {
        "softmax": ("m2n2", {"X": _LARGE}),
        "softmax_backward": ("m2n2", {"X": _LARGE, "dprobs": np.array([[1.0, 2], [3, 4]])}),
    },
    "loss-reduction": {name: x for name, x in _LOSSES.items() if not name.endswith("_backward")},
    "loss-gradient": {name: x for name, x in _LOSSES.items() if name.endswith("_backward")},
    "affine-gradient": {
        "affine_backward": ("m2i2o2", {**_LAYER, "b": np.ones((1, 2)), "dZ": _ZERO["dA"]}),
        "affine_activation_backward": ("m2i2o2_NULL", {**_ZERO, "b": np.ones((1, 2))}),
    },
}


@dataclass(frozen=True)
class Finding:
    """What one experiment came to.

    Attributes
    ----------
    convention : Convention
    values : tuple of str
        The values that the answers agree with: one where the experiment decides.
    note : str
        What came, where no value explains it; or why nothing could be asked.
    """

    convention: Convention
    values: tuple[str, ...]
    note: str = ""


def probe(implementation: Implementation) -> list[Finding]:
    """Ask `implementation` about every convention."""
    chosen: dict[str, str] = {}
    found = []
    for convention in CONVENTIONS.values():
        finding = _asked(implementation, convention, chosen)
        if len(finding.values) == 1:
            chosen[convention.name] = finding.values[0]  # what is known of one helps to read another
        found.append(finding)
    return found


def _asked(implementation: Implementation, convention: Convention, known: dict[str, str]) -> Finding:
    left, notes, asked = set(convention.values), [], False
    lacking = "no such function"
    for op, (params, arrays) in EXPERIMENTS[convention.name].items():
        if op not in OPERATIONS or not implementation.has(op):
            continue
        for dtype in ("f64", "f32"):
            case = Case.parse(f"{op}:{dtype}:{params}:small:0")
            given = {n: a if n == "Y" else a.astype(case.numpy_dtype) for n, a in arrays.items()}
            outcome = implementation.call(case, given)
            if outcome.absent is None:
                break
        else:
            lacking = str(outcome.absent).removeprefix("not implemented: ")
            continue
        asked = True
        if outcome.error:
            notes.append(f"{op} {outcome.error}")
            left = set()
            continue
        agreeing = {
            v for v in convention.values if _agrees(case, given, outcome.outputs, convention, v, known)
        }
        if not agreeing:
            answer = "; ".join(f"{n} = {_short(value)}" for n, value in outcome.outputs.items())
            notes.append(f"{op} gives {answer}")
        elif not agreeing & left and left:
            notes.append(f"{op} agrees with {' and '.join(v for v in convention.values if v in agreeing)}")
        left &= agreeing
    values = tuple(value for value in convention.values if value in left) if asked else ()
    return Finding(convention, values, "; ".join(notes) or ("" if asked else f"not asked: {lacking}"))


def _agrees(
    case: Case, arrays: Arrays, outputs: Any, convention: Convention, value: str, known: dict[str, str]
) -> bool:
    """Whether the outputs are those of one value, the conventions known already as they are."""
    others = {n: v for n, v in known.items() if n != "labels" and n != convention.name}
    options = [others]
    if convention.name == "labels":  # the reduction is asked later; either may hold
        options = [{**others, "loss-reduction": r, "loss-gradient": r} for r in ("mean", "sum")]
    if known.get("labels") == "rank" and convention.name != "labels":
        options = [{**others, "labels": "rank"}]
    for option in options:
        settings = Settings({**option, convention.name: value})
        expected = _expected(case, arrays, settings)
        if all(_close(outputs[name], expected[name]) for name in expected):
            return True
    return False


def _expected(case: Case, arrays: Arrays, settings: Settings) -> dict[str, NDArray[np.float64]]:
    from conformance.bounds.table import bounds
    from conformance.oracle import evaluate  # imports torch, which other commands leave to their workers

    seen = dict(read(case, arrays, settings))
    if settings.value("labels") == "one-based":  # the labels were handed out as they are
        seen["Y"] = seen["Y"] - 1
    expected = evaluate(case, seen)
    return adjusted(case, seen, expected, bounds(case, seen, expected), settings)[0]


def _close(got: Any, expected: NDArray[np.float64]) -> bool:
    try:
        value = np.asarray(got, np.float64)
    except (TypeError, ValueError):
        return False
    if value.size != expected.size:
        return False
    with np.errstate(all="ignore"):
        # The lowest number of float32 and of float64 are the same choice.
        return bool(np.allclose(value.reshape(expected.shape), expected, _CLOSE, 1e-9, equal_nan=True))


def _short(value: Any) -> str:
    text = " ".join(np.array2string(np.asarray(value), precision=6).split())
    return text if len(text) < 120 else text[:117] + "..."


def lines(implementation: Implementation) -> list[str]:
    """What ``conformance probe`` prints."""
    shown = [f"{implementation.name}: conventions, by experiment"]
    other: list[str] = []
    for finding in probe(implementation):
        convention = finding.convention
        if len(finding.values) == 1:
            (value,) = finding.values
            mark = " " if value == convention.default else "*"
            shown.append(f"{mark} {convention.name:<22}{value:<15}{convention.values[value]}")
            if value != convention.default:
                other.append(f"{convention.name}={value}")
        elif finding.values:
            shown.append(f"? {convention.name:<22}{' or '.join(finding.values)}")
        elif finding.note.startswith("not asked"):
            shown.append(f"  {convention.name:<22}{finding.note}")
        else:
            shown.append(f"! {convention.name:<22}none of the known choices: {finding.note}")
    if other:
        shown.append(f"To judge it by its own choices (*): conformance run --convention {' '.join(other)}")
    return shown
