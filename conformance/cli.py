# PYTHON_ARGCOMPLETE_OK
"""The command line: which commands there are, and how each of them ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from conformance import (
    __version__,
    gate_command,
    listing,
    matrix_command,
    merge,
    probe,
    repro_command,
    run_command,
    search,
    terminal,
)
from conformance.conventions import ConventionError
from conformance.gate import BaselineError
from conformance.implementation import LoadError
from conformance.sweep import SweepError
from conformance.usage import UNUSABLE, Help, Parser, UsageError, examples

#: In the order of the help.
_COMMANDS = (run_command, repro_command, gate_command, probe, matrix_command, merge, search, listing)

#: What judging and the reports import: the extra `conformance`, which `list` does without.
_NEEDED = ("torch", "jinja2", "matplotlib", "tqdm")

_ABOUT = """Judge an implementation of the CNN functions against PyTorch autograd in float64.

Exit status: 0 all agree, 1 something disagrees, 2 the command could not run as asked."""

_EXAMPLES = examples(
    "conformance run                                    cnnref, everything",
    "conformance run --impl mykernels.py --ops 'conv_*' --dtype f32",
    "conformance repro 'conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17' --impl mykernels.py",
    "conformance gate --baseline baseline.json --impl mypackage.kernels --update",
    "conformance probe --impl mykernels.py              what it does where frameworks differ",
    "conformance matrix --impl numpy_loops jax          several, side by side",
    "conformance list                                   operations, data, corner cases, deviations",
    'eval "$(register-python-argcomplete conformance)"  completion, in bash or zsh',
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser("conformance", description=_ABOUT, epilog=_EXAMPLES, formatter_class=Help)
    top.add_argument("--version", action="version", version=f"conformance {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for module in _COMMANDS:
        module.add_command(commands)
    for command in commands.choices.values():
        command.formatter_class = Help
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    line = parser()
    terminal.complete(line)
    asked = line.parse_args(arguments)
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing and asked.command != "list":
        return _refuse(
            asked.command, f"{', '.join(missing)} not installed: pip install 'cnnref[conformance]'"
        )
    try:
        status: int = asked.action(asked)
    except (UsageError, LoadError, ConventionError, BaselineError, SweepError) as error:
        return _refuse(asked.command, str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(asked.command, f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return _refuse(asked.command, "interrupted; what was compared until then is in results.jsonl")
    return status


def _refuse(command: str, message: str) -> int:
    print(terminal.refusal(f"conformance {command}", message), file=sys.stderr)
    return UNUSABLE
