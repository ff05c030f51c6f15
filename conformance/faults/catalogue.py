"""What a slip is, and the register of all of them.

A slip is written as a function ``(case, arrays, base) -> outputs`` that calls `base` (the right
computation, unless two slips are combined) with changed arrays or options and may change what comes
back. It returns only the outputs it has something to say about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from conformance.cases.case import Case
from conformance.faults.core import Array, Arrays, Base, Outputs, reference
from conformance.faults.state import STATE
from conformance.operations import OPERATIONS, having

Targets = Mapping[str, tuple[str, ...]]


#: The function of a slip: ``(case, arrays, base, **variant) -> outputs``.
Wrong = Callable[..., Outputs]
Signature = Callable[[Case, Array, Array], bool]
Own = Callable[[Case, Arrays, str], Array]


@dataclass(frozen=True)
class Slip:
    """A known way of getting an output wrong.

    Attributes
    ----------
    id : str
        Stable identifier; never changed once published.
    text : str
        One sentence for a person.
    targets : mapping of str to tuple of str
        The operations and outputs it can make wrong.
    wrong : Wrong
        Computes the wrong outputs.
    variants : tuple of mapping
        Keyword arguments of `wrong`: forms of the same slip that go by one name.
    post : bool
        Whether the slip is a convention of the post (a row of the contract's table).
    signature : callable, optional
        A further property of ``(case, got, expected)`` that the data must have.
    unit : float
        The unit roundoff of the slip's arithmetic, where it is coarser than the dtype's.
    rounds : bool
        Whether the slip itself rounds, ``(1/m) * sum``, so that its result is not known to the last bit.
    own : callable, optional
        How far its own arithmetic may lead from the right result, by ``(case, arrays, output)``, infinite
        where anything may come of it: for a slip that is nothing but worse rounding.
    """

    id: str
    text: str
    targets: Targets
    wrong: Wrong
    variants: tuple[Mapping[str, Any], ...] = ({},)
    post: bool = False
    signature: Signature | None = None
    unit: float = 0.0
    rounds: bool = False
    own: Own | None = None

    def applies(self, op: str, output: str) -> bool:
        """Whether the slip can make this output of this operation wrong."""
        return output in self.targets.get(op, ())

    def outputs(self, case: Case, arrays: Arrays, base: Base = reference) -> Iterator[Outputs]:
        """The wrong outputs of each variant, in float64, for float64 `arrays`."""
        for variant in self.variants:
            yield self.wrong(case, arrays, base, **variant)

    def narrowed(self, fits: list[bool]) -> Slip | None:
        """The slip with the variants that fit, None if none does.

        What unwritten memory holds is chance, so variants that differ in ``fill`` alone stay together.
        """

        def without_fill(variant: Mapping[str, Any]) -> Mapping[str, Any]:
            return {name: value for name, value in variant.items() if name != "fill"}

        kept = [without_fill(v) for v, fit in zip(self.variants, fits, strict=True) if fit]
        left = tuple(v for v in self.variants if without_fill(v) in kept)
        return replace(self, variants=left) if left else None

    def combined(self, other: Slip) -> Slip:
        """Both slips at once, this one on top of the other, each variant of one with each of the other."""
        shared = {
            op: both
            for op, outputs in self.targets.items()
            if (both := tuple(o for o in outputs if other.applies(op, o)))
        }

        def wrong(case: Case, a: Arrays, base: Base, upper: Any, lower: Any) -> Outputs:
            def beneath(case: Case, a: Arrays, **options: Any) -> Outputs:
                def lowest(case: Case, a: Arrays, **more: Any) -> Outputs:
                    if not options.keys().isdisjoint(more):
                        raise KeyError("one would undo the other")
                    return base(case, a, **options, **more)

                found = other.wrong(case, a, lowest, **lower)
                if not found:
                    raise KeyError("nothing to change")
                return found

            try:
                return self.wrong(case, a, beneath, **upper)
            except (KeyError, ValueError, IndexError, TypeError):  # what cannot be on top of the other
                return {}

        forms: tuple[Mapping[str, Any], ...] = tuple(
            {"upper": upper, "lower": lower} for upper, lower in product(self.variants, other.variants)
        )
        return Slip(
            f"{self.id}+{other.id}",
            f"{self.text} {other.text}",
            shared,
            wrong,
            forms,
            self.post and other.post,
            rounds=self.rounds or other.rounds,
        )


CATALOGUE: dict[str, Slip] = {}
#: The operations that slips name.
NAMED: set[str] = set()

#: Before the name of an exception, in the diagnosis of a call that raised it.
RAISED = "raised-"

#: The diagnosis of a case whose process was killed from outside, again when it was judged alone.
KILLED = "process-killed"

#: The diagnosis of a call that ended in an error of the device, out of memory say.
DEVICE_ERROR = "device-error"


def is_diagnosis(word: str) -> bool:
    """Whether a failure can have this diagnosis."""
    return word in CATALOGUE or word in STATE or word == DEVICE_ERROR or word.startswith(RAISED)


def named(diagnosis: str | None) -> Slip | None:
    """The slip that a diagnosis names, or the two of them at once; None if it names none."""
    parts = (diagnosis or "").split("+")
    if not all(part in CATALOGUE for part in parts):
        return None
    found = CATALOGUE[parts[0]]
    for part in parts[1:]:
        found = found.combined(CATALOGUE[part])
    return found


def slip(
    id: str,
    text: str,
    targets: Mapping[str, str],
    *,
    variants: tuple[Mapping[str, Any], ...] = ({},),
    post: bool = False,
    signature: Signature | None = None,
    unit: float = 0.0,
    rounds: bool = False,
    own: Own | None = None,
) -> Callable[[Wrong], Wrong]:
    """Register the decorated function as a slip; `targets` maps operations to outputs, space between.

    Operations that the suite does not have are left out, and a slip that has no others.
    """
    split = {op: tuple(outputs.split()) for op, outputs in targets.items() if op in OPERATIONS}
    NAMED.update(targets)
    for op, outputs in split.items():
        unknown = set(outputs) - set(OPERATIONS[op].outputs)
        if unknown:
            raise ValueError(f"slip {id}: {op} has no output {', '.join(sorted(unknown))}")
    if id in CATALOGUE:
        raise ValueError(f"slip {id} is defined twice")

    def register(wrong: Wrong) -> Wrong:
        if split:
            CATALOGUE[id] = Slip(id, text, split, wrong, variants, post, signature, unit, rounds, own)
        return wrong

    return register


def outputs_of(*names: str) -> dict[str, str]:
    """Targets: every output of the operations named (of all operations without names)."""
    return {name: " ".join(OPERATIONS[name].outputs) for name in names or OPERATIONS if name in OPERATIONS}


def without(targets: Mapping[str, str], *names: str) -> dict[str, str]:
    """The targets but those operations."""
    return {op: outputs for op, outputs in targets.items() if op not in names}


#: What is rounded at all.
ROUNDED = without(outputs_of(), *having("moves", "mask", "share"), "relu")


#: The gradients of weights and biases, the slopes of PReLU among them.
SUMMED = {
    op.name: " ".join(summed)
    for op in OPERATIONS.values()
    if (summed := [name for name in op.outputs if name in ("dW", "db", "dslopes")])
}


def of_samples(case: Case, a: Arrays, base: Base, which: slice) -> Outputs:
    """The outputs of the samples `which` alone."""
    part = {name: v[which] if name not in ("W", "b", "slopes") else v for name, v in a.items()}
    return base(case.replace(m=len(range(case["m"])[which])), part)


def significand(x: Array, bits: int, truncate: bool = False) -> Array:
    """`x` with `bits` significant bits: rounded to nearest even, or truncated."""
    fraction, exponent = np.frexp(x)
    scaled = np.ldexp(fraction, bits)
    whole = np.trunc(scaled) if truncate else np.rint(scaled)
    return np.where(np.isfinite(x), np.ldexp(whole, exponent - bits), x)
