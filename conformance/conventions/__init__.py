"""Where frameworks legitimately differ: the choices, by name, and what each makes of the right answer.

``conformance probe`` finds an implementation's choices by experiment (`probe`). ``run --convention
NAME=VALUE`` holds it to one: the oracle's answer is changed where that choice changes it, and nowhere
else, so that a documented choice is not a failure while anything else still is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.cases.case import Case
from conformance.conventions.models import MODELS
from conformance.operations import OPERATIONS

Arrays = Mapping[str, NDArray[Any]]

_LOSSES = (
    "cross_entropy_cost", "cross_entropy_backward", "softmax_cross_entropy", "softmax_cross_entropy_backward",
)  # fmt: skip


class ConventionError(ValueError):
    """There is no such convention, or it has no such value; the message lists what there is."""


@dataclass(frozen=True)
class Convention:
    """One choice that frameworks make differently.

    Attributes
    ----------
    name, text : str
        Its name and what is chosen.
    values : mapping of str to str
        What each value means, and who does it. The first one is what the suite expects unless told.
    operations : tuple of str
        The functions it shows in.
    """

    name: str
    text: str
    values: Mapping[str, str]
    operations: tuple[str, ...]

    @property
    def default(self) -> str:
        """What the suite expects unless told: PyTorch's choice."""
        return next(iter(self.values))


_TABLE = (
    Convention(
        "pool-ties",
        "gradient of max pooling where several elements of a window are the maximum",
        {
            "first": "all of it to the first in (row, column) order (PyTorch, TensorFlow on CPU, Caffe, JAX)",
            "last": "all of it to the last (a loop that takes x >= best)",
            "all": "all of it to each (Theano; x == max as a mask)",
            "shared": "equal shares to each (tf.reduce_max, torch.amax)",
        },
        ("pool_backward",),
    ),
    Convention(
        "pool-nan",
        "NaN in a window of max pooling, and where its gradient goes",
        {
            "last": "NaN out, gradient to the last NaN (PyTorch)",
            "first": "NaN out, gradient to the first NaN",
            "none": "NaN out, gradient to nobody (x == max as a mask)",
            "nan": "NaN out, gradient NaN in the whole window (R: x == max is NA)",
            "scan": "NaN out; a scan that moves on unless best >= x gets the gradient (JAX)",
            "greater": "x > best from the window's first element on: NaN out only where that one is NaN",
            "ignored": "the maximum of the rest; a window of NaN gives -inf and no gradient",
            "ignored-first": "as ignored, but the first place of a window of NaN gets the gradient",
            "ignored-lowest": "the maximum of the rest, at least the lowest finite number (oneDNN, Caffe)",
            "ignored-nan": "the maximum of the rest; a window of NaN gives NaN and no gradient (fmax)",
        },
        ("pool_forward", "pool_backward"),
    ),
    Convention(
        "average-pool-borders",
        "what average pooling divides by where a window reaches over the border, unless told",
        {
            "include": "all of its taps (PyTorch, Caffe)",
            "exclude": "the taps inside the image (TensorFlow, ONNX's default)",
        },
        ("pool_forward", "pool_backward"),
    ),
    Convention(
        "mask-ties",
        "create_mask_from_window where several elements are the maximum",
        {"first": "the first one (PyTorch)", "last": "the last one", "all": "every one (x == max)"},
        ("create_mask_from_window",),
    ),
    Convention(
        "mask-nan",
        "create_mask_from_window where an element is NaN",
        {
            "last": "the last NaN (PyTorch)",
            "first": "the first NaN (numpy.argmax)",
            "none": "no element (x == max)",
            "nan": "NaN in every place (R: x == max is NA)",
            "greater": "the first element if that is NaN, else the maximum of the rest (x > best)",
            "ignored": "the maximum of the rest; none if all are NaN (fmax)",
        },
        ("create_mask_from_window",),
    ),
    Convention(
        "affine-gradient",
        "dW and db of the affine layer over the batch",
        {
            "sum": "summed over the samples (PyTorch, TensorFlow, JAX)",
            "mean": "divided by the number of samples (course notes whose dA is not divided yet)",
        },
        ("affine_backward", "affine_activation_backward"),
    ),
    Convention(
        "relu-zero",
        "gradient of relu at Z == 0",
        {
            "0": "none (PyTorch, JAX, TensorFlow)",
            "1": "all of it (torch.clamp(min=0); Z >= 0 as a mask)",
            "0.5": "half of it (torch.maximum, jax.numpy.maximum)",
        },
        ("relu_backward", "affine_activation_backward"),
    ),
    Convention(
        "relu-nan",
        "relu of NaN",
        {"nan": "NaN (PyTorch)", "0": "0 (Z > 0 as a mask, fmax; TensorFlow on GPU)"},
        ("relu", "affine_activation_forward"),
    ),
    Convention(
        "relu-nan-gradient",
        "gradient of relu at Z = NaN",
        {
            "1": "all of it (PyTorch; Z <= 0 blocks it)",
            "0": "none (torch.clamp; Z > 0 lets it through)",
            "nan": "NaN",
        },
        ("relu_backward", "affine_activation_backward"),
    ),
    Convention(
        "labels",
        "what an entry of Y means",
        {
            "index": "the class's index from 0 (PyTorch, TensorFlow, JAX)",
            "one-based": "the class's index from 1 (R, Julia, MATLAB); the suite then hands out Y + 1",
            "rank": "the rank of the label among the labels present in the batch (as.integer(factor(Y)))",
        },
        _LOSSES,
    ),
    Convention(
        "softmax-shift",
        "what softmax subtracts before it takes exp",
        {
            "maximum": "the row's maximum, so that nothing overflows (every framework)",
            "none": "nothing: rows beyond the range of exp give NaN",
        },
        ("softmax", "softmax_backward", "softmax_cross_entropy_backward"),
    ),
    Convention(
        "loss-reduction",
        "how the samples' losses become one number",
        {"mean": "their mean (PyTorch's default)", "sum": "their sum (reduction='sum')"},
        ("cross_entropy_cost", "softmax_cross_entropy"),
    ),
    Convention(
        "loss-gradient",
        "which reduction the gradient of the loss belongs to",
        {"mean": "the mean: divided by the number of samples", "sum": "the sum: not divided"},
        ("cross_entropy_backward", "softmax_cross_entropy_backward"),
    ),
)

#: The conventions by name.
CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in _TABLE
    if not OPERATIONS.keys().isdisjoint(convention.operations)
}


@dataclass(frozen=True)
class Settings:
    """How strictly an implementation is read.

    Attributes
    ----------
    conventions : mapping of str to str
        Values by the names of `CONVENTIONS`; the others are at their default.
    lenient_shapes : bool
        Whether an output that lacks leading ones, or has more of them, is a remark and not a failure.
    dialect, device : str or None
        In which dialect a module is read and where its tensors are, where it does not say so itself.
    stress : bool
        Whether a function is called a thousand times where else it is called three times.
    model : str or None
        What the `Model` beside a `ModelNew` computes, where that is known.
    """

    conventions: Mapping[str, str] = field(default_factory=dict)
    lenient_shapes: bool = False
    dialect: str | None = None
    device: str | None = None
    stress: bool = False
    model: str | None = None

    def value(self, name: str) -> str:
        """The value of a convention."""
        return self.conventions.get(name, CONVENTIONS[name].default)

    def plain(self) -> dict[str, Any]:
        """What is not at its default, for ``summary.json``."""
        every = {
            "conventions": dict(self.conventions),
            "lenient_shapes": self.lenient_shapes,
            "dialect": self.dialect,
            "device": self.device,
            "stress": self.stress,
        }
        return {name: value for name, value in every.items() if value}


def parse(items: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` as ``--convention`` takes it.

    Raises
    ------
    ConventionError
        If there is no such convention or value.
    """
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise ConventionError(f"{item!r} is not NAME=VALUE; conventions are {', '.join(CONVENTIONS)}")
        if name not in CONVENTIONS:
            raise ConventionError(f"no convention {name!r}; expected one of {', '.join(CONVENTIONS)}")
        if value not in CONVENTIONS[name].values:
            expected = ", ".join(CONVENTIONS[name].values)
            raise ConventionError(f"{name} is {value!r}, expected one of {expected}")
        found[name] = value
    return found


def offered(case: Case, arrays: Arrays, settings: Settings) -> Arrays:
    """The arrays as the implementation is given them: classes from 1 where it counts so."""
    if "Y" in arrays and settings.value("labels") == "one-based":
        Y = arrays["Y"]
        return {**arrays, "Y": np.where((Y >= 0) & (case["n"] > Y), Y + 1, Y)}
    return arrays


def read(case: Case, arrays: Arrays, settings: Settings) -> Arrays:
    """The arrays as the oracle is given them: ranks for the labels that count where it takes ranks."""
    if "Y" in arrays and settings.value("labels") == "rank":
        ranks = np.array(arrays["Y"], np.int64)
        ignored = case.value("ignore")
        counted = ranks != ignored if isinstance(ignored, int) else np.ones(ranks.shape, bool)
        ranks[counted] = np.unique(ranks[counted], return_inverse=True)[1].reshape(-1)
        return {**arrays, "Y": ranks}
    return arrays


def adjusted(
    case: Case,
    arrays: Arrays,
    expected: dict[str, NDArray[np.float64]],
    limits: dict[str, Bound],
    settings: Settings,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, Bound]]:
    """The expected outputs and their bounds under the conventions chosen.

    Where a convention changes nothing, the oracle's values and its bounds stand.
    """
    if not settings.conventions:
        return expected, limits
    chosen = {name: settings.value(name) for name, c in CONVENTIONS.items() if case.op in c.operations}
    if all(value == CONVENTIONS[name].default for name, value in chosen.items()) or case.op not in MODELS:
        return expected, limits
    with np.errstate(all="ignore"):
        changed = MODELS[case.op](case, arrays, expected, limits, chosen)
    outputs, bounds = dict(expected), dict(limits)
    for name, (values, limit) in changed.items():
        if np.array_equal(values, expected[name], equal_nan=True) and not (limit > limits[name].limit).any():
            continue
        outputs[name] = values
        exact = limits[name].tier in ("exact", "equal") and not limit.any()
        tier = limits[name].tier if exact else "bound"
        bounds[name] = replace(limits[name], tier=tier, limit=limit, statistical=None)
    return outputs, bounds
