# PYTHON_ARGCOMPLETE_OK
"""The command line: which commands there are, and how each of them ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from conformance import __version__
from conformance.commands import terminal
from conformance.commands.ending import TRACEBACK, refuse, status_of
from conformance.commands.usage import Help, Parser, examples

#: In the order of the help: what each command is, and the module that has it.
_COMMANDS = {
    "run": "conformance.commands.run",
    "repro": "conformance.commands.repro_command",
    "gate": "conformance.commands.gate",
    "probe": "conformance.commands.probe",
    "matrix": "conformance.commands.matrix",
    "merge": "conformance.commands.merge",
    "search": "conformance.commands.search",
    "list": "conformance.commands.list",
    "explain": "conformance.commands.explain",
    "doctor": "conformance.commands.doctor",
}

#: What judging and the reports import: the extra `conformance`. Colour and completion are done without.
_NEEDED = ("torch", "jinja2", "matplotlib", "tqdm", "msgspec")

#: The commands that do without it.
_ALONE = ("list", "explain", "doctor")

_ABOUT = f"""Judge an implementation of the CNN functions against PyTorch autograd in float64.

Exit status: 0 all agree, 1 something disagrees or too little was compared, 2 the command could not run as
asked, 130 interrupted. {TRACEBACK}=1 shows where an error came from."""

_EXAMPLES = examples(
    "conformance run                                    cnnref, everything",
    "conformance run --impl mykernels.py --ops 'conv_*' --dtype f32",
    "conformance repro 'conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17' --impl mykernels.py",
    "conformance gate --baseline baseline.json --impl mypackage.kernels --update",
    "conformance probe --impl mykernels.py              what it does where frameworks differ",
    "conformance matrix --impl numpy_loops jax          several, side by side",
    "conformance doctor --impl mykernels.py             what is recognised, what is wrong and what to do",
    "conformance list                                   operations, data, corner cases, faults",
    "conformance explain gradient-divided-by-m          what a name in the report is, with an example",
    'eval "$(register-python-argcomplete conformance)"  completion, in bash or zsh',
)


def parser(names: Sequence[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """The command line, of all commands or some."""
    top = Parser("conformance", description=_ABOUT, epilog=_EXAMPLES, formatter_class=Help)
    top.add_argument("--version", action="version", version=f"conformance {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name in names:
        import_module(_COMMANDS[name]).add_command(commands)
    for command in commands.choices.values():
        command.formatter_class = Help
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = next((word for word in words if not word.startswith("-")), "")
    missing = [name for name in _NEEDED if _is_missing(name)]
    if missing and command not in ("", *_ALONE):
        return refuse(command, f"{', '.join(missing)} not installed: pip install 'cnnref[conformance]'")
    return status_of(command, partial(_run, words, _ALONE if missing else tuple(_COMMANDS)))


def _run(words: list[str], names: Sequence[str]) -> int:
    line = parser(names)
    terminal.complete(line)
    asked = line.parse_args(words)
    status: int = asked.action(asked)
    return status


def _is_missing(package: str) -> bool:
    try:
        return find_spec(package) is None
    except (ImportError, ValueError):  # what stands for it in sys.modules is no module
        return True
