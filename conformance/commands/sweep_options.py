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


def sweep(asked: argparse.Namespace) -> Sweep:
    """What the options say.

    Raises
    ------
    UsageError
        If they do not go together.
    """
    if asked.hidden and (asked.resume or asked.shard.count > 1):
        raise UsageError("--hidden: leaves no results that --resume or `conformance merge` could go on with")
    if asked.dask and asked.sandbox:
        raise UsageError("--sandbox: is made on this machine; not with --dask")
    return Sweep(
        asked.workers, asked.resume, asked.shard, asked.isolate, asked.time_limit, asked.dask, asked.sandbox,
        asked.hidden,
    )  # fmt: skip


def _processes(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to 1024 processes")
    return int(text)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
