"""The options of ``run`` that say how it is carried out: processes, resumption, shards."""

from __future__ import annotations

import argparse

from conformance.runner import Sweep
from conformance.sweep import Shard


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


def sweep(asked: argparse.Namespace) -> Sweep:
    """What the options say."""
    return Sweep(asked.workers, asked.resume, asked.shard)


def _processes(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to 1024 processes")
    return int(text)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
