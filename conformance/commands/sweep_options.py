"""The options of ``run`` that say how it is carried out: processes, resumption, shards."""

from __future__ import annotations

import argparse

from conformance.commands import process_options
from conformance.commands.usage import UsageError
from conformance.runs.options import Shard, Sweep


def add(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    command.add_argument(
        "--workers", type=_processes, default=0, metavar="N", help="processes (default: one a processor)"
    )
    command.add_argument(
        "--resume", action="store_true", help="keep what an interrupted run has recorded in DIR and go on"
    )
    command.add_argument(
        "--shard", type=_shard, default=Shard(), metavar="I/N",
        help="do part I of N; `conformance merge` puts the parts together",
    )  # fmt: skip

    process_options.add(command)
    process_options.add_isolate(command)
    process_options.add_hidden(command)
    command.add_argument(
        "--dask", metavar="ADDRESS",
        help="judge on the workers of this Dask scheduler, tcp://host:8786 say (extra `dask`)",
    )  # fmt: skip

    command.add_argument(
        "--budget", type=duration, default=0.0, metavar="TIME",
        help="compare what fits into 30s, 5m or 1h, of every operation some, the most telling cases first",
    )  # fmt: skip
    command.add_argument("--fail-fast", action="store_true", help="stop at the first failure")


def sweep(asked: argparse.Namespace) -> Sweep:
    """What the options say.

    Raises
    ------
    UsageError
        If they do not go together.
    """
    if asked.hidden and (asked.resume or asked.shard.count > 1):
        raise UsageError("--hidden: leaves no results that --resume or `conformance merge` could go on with")
    part = asked.shard.count > 1
    for name, given in (("--budget", asked.budget), ("--fail-fast", asked.fail_fast)):
        if given and (part or (asked.resume and name == "--budget")):
            raise UsageError(f"{name}: does not go with {'--shard' if part else '--resume'}")
    if asked.dask and (asked.inputs or asked.budget):
        raise UsageError(f"{'--inputs' if asked.inputs else '--budget'}: does not go with --dask")
    if asked.dask and asked.sandbox:
        raise UsageError("--sandbox: is made on this machine; not with --dask")
    return Sweep(
        asked.workers, asked.resume, asked.shard, asked.isolate, asked.time_limit, asked.dask, asked.sandbox,
        asked.hidden, asked.budget, asked.fail_fast,
    )  # fmt: skip


def duration(text: str) -> float:
    """Seconds of ``30s``, ``5m``, ``1h`` or a number."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 7 * 86400:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1s to 7 days, such as 30s, 5m or 1h")
    return seconds


def _processes(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to 1024 processes")
    return int(text)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
