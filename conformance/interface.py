"""The suite from Python: ``conformance.check(mykernels, ops="conv_*").assert_agrees()``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from conformance.commands import run_options, sweep_options
from conformance.commands.cli import parser
from conformance.commands.output_options import verdict
from conformance.implementations import guard
from conformance.report import found
from conformance.report.notebook import page
from conformance.report.text import one_line
from conformance.runs.options import Options, Result
from conformance.runs.run import run
from conformance.verdict.form import fault
from conformance.verdict.record import Number, Record

if TYPE_CHECKING:
    from conformance.runs.here import Here

#: Failures that a result keeps; the report has all.
KEPT = 1000

#: Failures that are shown in a text.
SHOWN = 8

#: What `check` takes beside its own arguments: the options of ``conformance run`` by their names there.
_MORE = (
    "inputs", "only_shapes", "fail_fast", "dialect", "device", "convention", "lenient_shapes", "stress",
    "workers", "time_limit", "sandbox",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One output of one case that is not what the oracle gives.

    Attributes
    ----------
    case, output : str
        Which; ``conformance repro CASE`` shows it again.
    index : tuple of int
        The worst element; empty if there is none, of a call that raised say.
    expected, got : float, str or None
        Its values.
    reason, diagnosis : str
        What was seen, and the known fault that explains it, or ``unexplained``.
    sentence : str
        What is wrong, in one sentence.
    """

    case: str
    output: str
    index: tuple[int, ...]
    expected: Number
    got: Number
    reason: str
    diagnosis: str
    sentence: str

    def __str__(self) -> str:
        place = f"{list(self.index)}: expected {self.expected}, got {self.got}" if self.index else self.reason
        return f"{self.case}: {self.output} {one_line(place)} [{self.diagnosis}]"


@dataclass(frozen=True, eq=False, repr=False)
class Checked:
    """What `check` found out.

    Attributes
    ----------
    summary : dict
        As ``summary.json``.
    failures : tuple of Failure
        The first of them, at most `KEPT`.
    """

    summary: dict[str, Any]
    failures: tuple[Failure, ...]
    _result: Result = field(repr=False)
    _held: bool = False

    @property
    def agrees(self) -> bool:
        """Whether everything that was asked for was compared and agrees."""
        return self._result.agrees

    @property
    def states(self) -> dict[str, str]:
        """The state of each operation that it has; ``summary["states"]`` has the absent ones, too."""
        every = {op: str(found["state"]) for op, found in self.summary["states"].items()}
        return {op: state for op, state in every.items() if state != "absent"}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was noticed and is no failure."""
        return tuple(self.summary["remarks"])

    def assert_agrees(self) -> None:
        """Raise an AssertionError that says what is wrong, if anything is."""
        if not self.agrees:
            raise AssertionError(str(self))

    def _lines(self) -> list[str]:
        summary, findings = self.summary, found.by_group(self.summary)
        lines = [verdict(self._result)]
        for name, outputs in summary["operations"].items():
            for output, figures in outputs.items():
                for diagnosis in figures["diagnoses"] if figures["failed"] else ():
                    if not fault(diagnosis):
                        finding = findings.get((name, output, diagnosis))
                        lines.append(f"  {name}.{output}: {one_line(found.sentence(diagnosis, finding))}")
        lines += [f"    {failure}" for failure in self.failures[:SHOWN]]
        if len(self.failures) > SHOWN:
            lines.append(f"    and {len(self.failures) - SHOWN} more failures")
        lines += [
            f"  {text}" for text in (*self._result.faults, *self._result.problems, *self._result.doubts)
        ]
        return lines

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return page(self.summary, verdict(self._result), self.agrees, again=not self._held)


def check(
    target: Any,
    ops: str | Sequence[str] = (),
    *,
    dtypes: str | Sequence[str] = (),
    cases: int = 40,
    seed: int = 0,
    shapes: str | Path | Sequence[str] = (),
    budget: float | str = 0,
    **more: Any,
) -> Checked:
    """Judge an implementation against PyTorch autograd in float64.

    Parameters
    ----------
    target : str, Path, module, mapping, callable or object
        What ``--impl`` names, or a module: judged in processes of their own. A function, functions by name,
        an object that has them: judged in this process, where nothing keeps them from what they do to it.
    ops : str or sequence of str, optional
        Operations, or shell patterns of them.
    dtypes : str or sequence of str, optional
        ``"f32"`` and so on.
    cases : int, optional
        Cases per operation and dtype.
    seed : int, optional
        Seeds shapes and data.
    shapes : str, Path or sequence of str, optional
        A file of shapes and case lines, or the lines themselves.
    budget : float or str, optional
        Seconds, or ``"30s"``: compare what fits.
    **more
        Of ``conformance run``: ``inputs``, ``only_shapes``, ``fail_fast``, ``dialect``, ``device``,
        ``convention``, ``lenient_shapes``, ``stress``, ``workers``, ``time_limit``, ``sandbox``; and ``out``,
        a folder for the report.

    Returns
    -------
    Checked
        States, failures, `assert_agrees`.

    Raises
    ------
    ValueError
        If it could not be run as asked: the implementation cannot be loaded, there is no such operation.
    """
    asked = parser(["run"]).parse_args(["run"])
    asked.ops, asked.dtype, asked.cases, asked.seed = _words(ops), _words(dtypes), cases, seed
    asked.shapes = _shapes(shapes)
    if budget:
        asked.budget = sweep_options.duration(str(budget))
    out = more.pop("out", None)
    for name, value in more.items():
        if name not in _MORE:
            raise TypeError(f"check() got an unexpected argument {name!r}; expected {', '.join(_MORE)}, out")
        setattr(asked, name, [value] if name == "convention" and isinstance(value, str) else value)
    spec, held = _spec(target)
    asked.impl = spec
    options, sweep = run_options.options(asked), sweep_options.sweep(asked)
    records: list[Record] = []

    def observe(found: list[Record]) -> None:
        if len(records) < KEPT:
            records.extend(record for record in found if record.status == "failed")

    here = None if held is None else _here(spec, held, options)
    if held is None:
        guard.unreadable()  # the cases of the run
    try:
        with TemporaryDirectory(prefix="conformance-") as folder:
            result = run(options, Path(out or folder), observe=observe, sweep=sweep, here=here)
    finally:
        guard.readable()
    return Checked(result.summary, _failures(result, records), result, held is not None)


def _here(spec: str, held: Any, options: Options) -> Here:
    """What judges an object of this process; it imports PyTorch, which else its own processes do."""
    from conformance.implementations.implementation import of_object
    from conformance.runs.here import Here

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of trial calls
        return Here(of_object(spec, held, options.settings))


def _failures(result: Result, records: Sequence[Record]) -> tuple[Failure, ...]:
    findings = found.by_group(result.summary)
    return tuple(
        Failure(
            record.case, record.output, tuple(record.index or ()), record.expected, record.got, record.reason,
            str(record.diagnosis),
            found.sentence(
                str(record.diagnosis), findings.get((record.op, record.output, str(record.diagnosis)))
            ),
        )
        for record in records[:KEPT]
    )  # fmt: skip


def _words(words: str | Sequence[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _shapes(shapes: str | Path | Sequence[str]) -> Path | list[str] | None:
    """A file, or lines: one line alone has a colon and a file of that name is not there."""
    if isinstance(shapes, Path):
        return shapes
    if isinstance(shapes, str):
        return shapes.splitlines() if ":" in shapes and not Path(shapes).exists() else Path(shapes)
    return list(shapes) or None


def _spec(target: Any) -> tuple[str, Any]:
    """What ``--impl`` would name, or a name and the object that is to be held in this process."""
    if isinstance(target, (str, Path)):
        return str(target), None
    if isinstance(target, ModuleType):
        place = str(getattr(target, "__file__", None) or "")
        if target.__name__ != "__main__" and _found(target.__name__, place):
            return target.__name__, None
        return (place, None) if place.endswith(".py") else (target.__name__, target)
    if isinstance(target, Mapping):
        return "functions", SimpleNamespace(**target)
    if callable(target) and hasattr(target, "__name__") and not isinstance(target, type):
        return target.__name__, SimpleNamespace(**{target.__name__: target})
    return type(target).__name__, target


def _found(name: str, place: str) -> bool:
    """Whether a process of its own would find this module by its name."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == place
