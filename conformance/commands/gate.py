"""``conformance gate``: run, then hold the result against a baseline."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.commands import output_options, process_options, run_options
from conformance.commands.terminal import BAD, DOUBTFUL, GOOD, paint
from conformance.commands.usage import AGREES, DISAGREES, UsageError, examples
from conformance.implementations import guard
from conformance.runs import gate
from conformance.runs.options import Options, Result, Sweep
from conformance.runs.run import run

_EXAMPLES = examples(
    "conformance gate --baseline baseline.json --impl mykernels.py --update      writes the baseline",
    "conformance gate --baseline baseline.json                                   compares with it",
)


def add_command(commands: Any) -> None:
    """Add ``gate`` to the command line."""
    gated = commands.add_parser("gate", help="run, then compare with a baseline", epilog=_EXAMPLES)
    gated.description = (
        "As run, then against the baseline: a new failure, lost coverage, a grown error or a known "
        "failure that passes is a failure. Options that are not given are taken from the baseline."
    )
    gated.add_argument("--baseline", metavar="FILE", type=Path, required=True, help="the baseline (JSON)")
    gated.add_argument(
        "--update", action="store_true", help="write the baseline instead of comparing with it"
    )
    gated.add_argument(
        "--reason", metavar="TEXT",
        help="with --update: why failures that are not in the baseline yet are accepted",
    )  # fmt: skip
    run_options.add(gated)
    process_options.add(gated)
    process_options.add_isolate(gated)
    process_options.add_hidden(gated)
    output_options.add(gated)
    gated.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance gate``."""
    if asked.reason is not None and not (asked.update and asked.reason.strip()):
        raise UsageError("--reason: expected a text, and --update beside it")
    if asked.hidden and asked.update:
        raise UsageError("--hidden: a baseline lists the cases that fail; not with --update")
    old = gate.read(asked.baseline) if asked.baseline.exists() or not asked.update else None
    chosen = run_options.options(asked, old)
    if asked.update:
        asked.baseline.parent.mkdir(parents=True, exist_ok=True)  # said now, and not after the run
    observed = gate.Observed()
    guard.unreadable()
    sweep = Sweep(
        isolate=asked.isolate, time_limit=asked.time_limit, sandbox=asked.sandbox, hidden=asked.hidden
    )
    result = run(chosen, asked.out, output_options.shown(asked), observed.add, sweep)
    observed.states = result.summary["states"]
    shown = 0 if asked.hidden else gate.SHOWN
    worse = [*result.problems] if asked.update else _compared(old, observed, chosen, result, shown)
    if asked.format == "json":
        result.summary["gate"] = {"baseline": str(asked.baseline), "problems": worse}
    text = output_options.told(result, asked)
    if text:
        run_options.tell_seed(asked)
    if asked.update:
        return _updated(asked, observed, chosen, old, worse, text)
    assert old is not None
    if text:
        _remind(old)
        if gate.fewer(old, chosen.cases):
            print(
                f"{paint('gate:', DOUBTFUL)} {chosen.cases} cases asked for, the baseline has "
                f"{old['options']['cases']}: what those cover is not asked of these"
            )
        for sentence in worse:
            print(f"{paint('gate:', BAD)} {sentence}")
    elif asked.format == "github":
        print("\n".join(map(output_options.of_gate, worse)))
    if text or (asked.quiet and asked.format != "json"):
        problems = "1 problem" if len(worse) == 1 else f"{len(worse)} problems"
        verdict = paint(problems, BAD) if worse else paint("passed", GOOD)
        print(f"Gate: {verdict} against {asked.baseline}")
    return DISAGREES if worse else AGREES


def _compared(
    old: dict[str, Any] | None, observed: gate.Observed, chosen: Options, result: Result, shown: int
) -> list[str]:
    """What is worse than the baseline says."""
    assert old is not None
    return [*result.problems, *gate.compare(old, observed, chosen, shown)]


def _updated(
    asked: argparse.Namespace, observed: gate.Observed, chosen: Options, old: dict[str, Any] | None,
    problems: list[str], text: bool,
) -> int:  # fmt: skip
    """Write the baseline, unless the run shows nothing."""
    if problems:
        return DISAGREES
    new = observed.baseline(chosen, old, asked.reason or gate.NOT_SAID)
    gate.write(asked.baseline, new)
    if text:
        print(f"Baseline written: {asked.baseline}")
        _remind(new)
    return AGREES


def _remind(baseline: Mapping[str, Any]) -> None:
    for sentence in gate.not_said(dict(baseline)):
        print(f"{paint('gate:', DOUBTFUL)} {sentence}")
