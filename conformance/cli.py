"""The commands: run, repro, gate, list."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from conformance import (
    aftermath,
    gate,
    matrix_command,
    merge,
    probe,
    runner,
    search,
    settings_options,
    sweep_options,
)
from conformance.case import DTYPES, Case
from conformance.conventions import ConventionError
from conformance.data import draw
from conformance.implementation import LoadError
from conformance.operations import OPERATIONS, select
from conformance.record import Record
from conformance.sweep import SweepError

AGREES, DISAGREES, UNUSABLE = 0, 1, 2

DEFAULT_IMPLEMENTATION = "cnnref"
DEFAULT_DIRECTORY = "conformance-report"

_DTYPES = {"f32": "f32", "f64": "f64", "float32": "f32", "float64": "f64"}

_ABOUT = """Judge an implementation of the CNN functions against PyTorch autograd in float64.

Exit status: 0 all agree, 1 something disagrees, 2 the command could not run as asked."""

_EXAMPLES = """examples:
  conformance run                                    cnnref, everything
  conformance run --impl mykernels.py --ops 'conv_*' --dtype f32
  conformance run --impl mypackage.kernels --cases 1000 --seed 7 --out report
  conformance repro 'conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17' --impl mykernels.py
  conformance gate --baseline baseline.json --impl mypackage.kernels --update
  conformance run --impl exec:./kernels --lenient-shapes --convention pool-ties=last
  conformance probe --impl mykernels.py              what it does where frameworks differ
  conformance matrix --impl numpy_loops jax          several, side by side
  conformance list"""


class UsageError(ValueError):
    """The command could not run as asked; the message is one line and says what to do."""


class _Parser(argparse.ArgumentParser):
    """Errors in one line; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = _Parser("conformance", description=_ABOUT, epilog=_EXAMPLES, formatter_class=_Help)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    run = commands.add_parser("run", help="compare every output and gradient, write the report")
    run.description = "Generate cases, compare every output and gradient with the oracle, write the report."
    _run_options(run)
    sweep_options.add(run)

    repro = commands.add_parser("repro", help="run one case and show where it differs")
    repro.description = "Run one case from its one-line name and show both arrays where they differ."
    repro.add_argument("case", metavar="CASE", help="the case, as results.jsonl and the report write it")
    _implementation(repro)
    settings_options.add(repro)
    repro.add_argument(
        "--script", type=Path, metavar="FILE",
        help="write a stand-alone NumPy script that shows the failure without this package",
    )  # fmt: skip

    gated = commands.add_parser("gate", help="run, then compare with a baseline")
    gated.description = (
        "As run, then against the baseline: a new failure, lost coverage, a grown error or a known "
        "failure that passes is a failure. Options that are not given are taken from the baseline."
    )
    gated.add_argument("--baseline", metavar="FILE", type=Path, required=True, help="the baseline (JSON)")
    gated.add_argument(
        "--update", action="store_true", help="write the baseline instead of comparing with it"
    )
    _run_options(gated)

    probe.add_command(commands)
    matrix_command.add_command(commands)

    merge.add_command(commands)
    search.add_command(commands)

    listed = commands.add_parser("list", help="operations, families, corner cases, adapters, deviations")
    listed.description = (
        "List operations and their parameters, data families, corner cases, adapters and known deviations."
    )
    for command in (run, repro, gated, listed):
        command.formatter_class = _Help
        command.epilog = _EXAMPLES
    return top


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


def _implementation(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--impl",
        metavar="M",
        help="module, module:attribute, path to a .py file, or an adapter's name "
        f"(default {DEFAULT_IMPLEMENTATION})",
    )


def _run_options(command: argparse.ArgumentParser) -> None:
    _implementation(command)
    settings_options.add(command)
    many: dict[str, Any] = {"action": "extend", "nargs": "+"}
    command.add_argument(
        "--ops", **many, metavar="OP", help="operations or shell patterns of them (default all)"
    )
    command.add_argument("--dtype", **many, metavar="DTYPE", help="f32, f64, float32, float64 (default both)")
    command.add_argument("--cases", type=int, metavar="N", help="cases per operation and dtype (default 200)")
    command.add_argument("--seed", type=int, metavar="S", help="seeds shapes and data (default 0)")
    command.add_argument(
        "--out", type=Path, default=Path(DEFAULT_DIRECTORY), metavar="DIR",
        help=f"where the report goes (default {DEFAULT_DIRECTORY})",
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    asked = parser().parse_args(arguments)
    try:
        return _COMMANDS[asked.command](asked)
    except (UsageError, LoadError, ConventionError, gate.BaselineError, SweepError) as error:
        return _refuse(asked.command, str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(asked.command, f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return _refuse(asked.command, "interrupted; what was compared until then is in results.jsonl")


def _refuse(command: str, message: str) -> int:
    print(f"conformance {command}: {message}", file=sys.stderr)
    return UNUSABLE


def _split(items: list[str] | None) -> list[str]:
    """``["a,b", "c"]`` as ``["a", "b", "c"]``."""
    return [part for item in items or () for part in item.split(",") if part]


def options(asked: argparse.Namespace, baseline: gate.Json | None = None) -> runner.Options:
    """What a run was asked for; what was not said comes from the baseline, if there is one.

    Raises
    ------
    UsageError
        If an operation, a dtype or a number is not one that a run can take.
    """
    before = (baseline or {}).get("options", {})
    try:
        patterns = _split(asked.ops) or list(before.get("ops", ()))
        operations = tuple(operation.name for operation in select(patterns))
    except ValueError as error:
        raise UsageError(f"--ops: {error}") from error
    words = _split(asked.dtype) or list(before.get("dtypes", DTYPES))
    for word in words:
        if word not in _DTYPES:
            raise UsageError(f"--dtype: {word!r} is not a dtype; expected one of {', '.join(_DTYPES)}")
    chosen = {_DTYPES[word] for word in words}
    cases = before.get("cases", 200) if asked.cases is None else asked.cases
    seed = before.get("seed", 0) if asked.seed is None else asked.seed
    if cases < 1:
        raise UsageError(f"--cases: {cases} cases, expected at least 1")
    if not 0 <= seed < 10**9:
        raise UsageError(f"--seed: {seed}, expected 0 to 999999999")
    implementation = asked.impl or (baseline or {}).get("implementation", DEFAULT_IMPLEMENTATION)
    dtypes = tuple(d for d in DTYPES if d in chosen)
    return runner.Options(implementation, operations, dtypes, cases, seed, settings_options.settings(asked))


def _progress(stream: Iterable[list[Record]], total: int) -> Iterable[list[Record]]:
    """A progress bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    bar: Iterable[list[Record]] = tqdm(
        stream, total=total, unit="case", disable=not sys.stderr.isatty(), dynamic_ncols=True
    )
    return bar


def _run(asked: argparse.Namespace) -> int:
    result = runner.run(options(asked), asked.out, _progress, sweep=sweep_options.sweep(asked))
    _tell(result, asked.out)
    return AGREES if result.agrees else DISAGREES


def _merge(asked: argparse.Namespace) -> int:
    result = merge.merge(asked.shards, asked.out)
    _tell(result, asked.out)
    return AGREES if result.agrees else DISAGREES


def _tell(result: runner.Result, directory: Path) -> None:
    """The run in a few lines."""
    summary = result.summary
    print(
        f"{summary['implementation']}: {summary['cases']} cases, {summary['passed']} passed, "
        f"{summary['failed']} failed, {summary['absent']} absent; "
        f"{summary['comparisons']} outputs compared in {summary['seconds']:.1f} s"
    )
    for name, outputs in summary["operations"].items():
        for output, figures in outputs.items():
            if figures["failed"]:
                why = ", ".join(f"{d} ({count})" for d, count in figures["diagnoses"].items())
                print(f"  {name}.{output}: {figures['failed']} of {figures['cases']} failed: {why}")
    shown = ", ".join(f"{tier} {share:.1%}" for tier, share in summary["detectability"].items())
    if shown:
        print(f"Single dropped terms seen: {shown}; blind cases: {summary['blind']}")
    if summary.get("slips"):
        print(aftermath.told(summary["slips"]))
    for sentence in result.problems:
        print(sentence)
    if summary.get("shape_remarks"):
        print(f"Shape remarks (not failures): {summary['shape_remarks']} outputs with other leading ones")
    print(f"Report: {directory / 'report.html'}")


def _gate(asked: argparse.Namespace) -> int:
    old = gate.read(asked.baseline) if asked.baseline.exists() or not asked.update else None
    chosen = options(asked, old)
    observed = gate.Observed()
    result = runner.run(chosen, asked.out, _progress, observed.add)
    _tell(result, asked.out)
    if asked.update:
        if result.problems:
            return DISAGREES
        new = observed.baseline(chosen, old)
        gate.write(asked.baseline, new)
        print(f"Baseline written: {asked.baseline}")
        for group in new["known_failures"]:
            if group["reason"] == gate.NO_REASON:
                print(f"Write a reason for the failures of {group['output']} ({group['diagnosis']}) into it.")
        return AGREES
    assert old is not None
    worse = [*result.problems, *gate.compare(old, observed, chosen)]
    for sentence in worse:
        print(f"gate: {sentence}")
    print(f"Gate: {'passed' if not worse else f'{len(worse)} problems'} against {asked.baseline}")
    return DISAGREES if worse else AGREES


def _repro(asked: argparse.Namespace) -> int:
    from conformance import repro  # imports torch, which the other commands leave to their workers

    try:
        case = Case.parse(asked.case)
        draw(case)  # refuses a family that does not go with the parameters
    except ValueError as error:
        raise UsageError(str(error)) from error
    spec = asked.impl or DEFAULT_IMPLEMENTATION
    if asked.script is not None and spec.startswith("exec:"):
        raise UsageError(f"--script: {spec} is a program; a script can only call Python")
    return repro.show(case, spec, settings_options.settings(asked), asked.script)


def _list(asked: argparse.Namespace) -> int:
    from conformance import listing

    print(listing.text(), end="")
    return AGREES


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "repro": _repro,
    "search": search.command,
    "gate": _gate,
    "list": _list,
    "merge": _merge,
    "probe": probe.command,
    "matrix": matrix_command.command,
}

if len(OPERATIONS) != 24:
    raise AssertionError(f"{len(OPERATIONS)} operations, the contract has 24")
