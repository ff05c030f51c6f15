"""Slips that are a row of a table: an option of the plain form, other arrays, a factor, another result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs

Targets = Mapping[str, str]
Only = Callable[[Case], bool]


def is_word(name: str, value: str) -> Only:
    """Whether a word of a case, or of the operation that has no such word, is this one."""
    return lambda case: case.get(name, value) == value


def _targeted(case: Case, a: Arrays, base: Base, targets: Targets) -> Iterator[tuple[str, Array]]:
    """The outputs that a slip is about."""
    names = targets[case.op].split()
    return ((name, value) for name, value in base(case, a).items() if name in names)


def _where(only: Only | None, wrong: Callable[..., Outputs]) -> Callable[..., Outputs]:
    """A slip's function, which changes nothing where the slip does not apply."""
    if only is None:
        return wrong
    return lambda case, a, base, **variant: wrong(case, a, base, **variant) if only(case) else {}


def option(
    id: str,
    text: str,
    targets: Targets,
    only: Only | None = None,
    of: Callable[..., Mapping[str, Any]] | None = None,
    variants: tuple[Mapping[str, Any], ...] = ({},),
    post: bool = False,
    **options: Any,
) -> None:
    """A slip that takes an option of the plain form: `options`, and what `of` makes of a case."""

    def wrong(case: Case, a: Arrays, base: Base, **variant: Any) -> Outputs:
        return base(case, a, **options, **(of(case, a, **variant) if of else variant))

    slip(id, text, targets, variants=variants, post=post)(_where(only, wrong))


def data(
    id: str,
    text: str,
    targets: Targets,
    change: Callable[..., Arrays],
    only: Only | None = None,
    variants: tuple[Mapping[str, Any], ...] = ({},),
    post: bool = False,
) -> None:
    """A slip that is right for other arrays: those that `change` makes of a case and its arrays."""

    def wrong(case: Case, a: Arrays, base: Base, **variant: Any) -> Outputs:
        return base(case, {**a, **change(case, a, **variant)})

    slip(id, text, targets, variants=variants, post=post)(_where(only, wrong))


def scaled(
    id: str,
    text: str,
    targets: Targets,
    by: float | Callable[..., float] = 1.0,
    over: float | Callable[..., float] = 1.0,
    variants: tuple[Mapping[str, Any], ...] = ({},),
    post: bool = False,
    rounds: bool = True,
) -> None:
    """A slip whose result is the right one times a number, or divided by one; it may be rounded by itself."""

    def wrong(case: Case, a: Arrays, base: Base, **variant: Any) -> Outputs:
        times, less = (n(case, a, **variant) if callable(n) else n for n in (by, over))
        return {name: times * value / less for name, value in _targeted(case, a, base, targets)}

    slip(id, text, targets, variants=variants, post=post, rounds=rounds)(wrong)


def instead(
    id: str,
    text: str,
    targets: Targets,
    result: Callable[..., Array],
    only: Only | None = None,
    variants: tuple[Mapping[str, Any], ...] = ({},),
    post: bool = False,
) -> None:
    """A slip that gives another result for the first output: what `result` makes of a case and its arrays."""

    def wrong(case: Case, a: Arrays, base: Base, **variant: Any) -> Outputs:
        return {case.operation.outputs[0]: result(case, a, **variant)}

    slip(id, text, targets, variants=variants, post=post)(_where(only, wrong))


def after(
    id: str,
    text: str,
    targets: Targets,
    change: Callable[..., Array],
    variants: tuple[Mapping[str, Any], ...] = ({},),
    post: bool = False,
) -> None:
    """A slip that changes each right output: `change` is given a case, the output and a variant."""

    def wrong(case: Case, a: Arrays, base: Base, **variant: Any) -> Outputs:
        return {name: change(case, value, **variant) for name, value in _targeted(case, a, base, targets)}

    slip(id, text, targets, variants=variants, post=post)(wrong)
