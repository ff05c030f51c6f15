"""The command `conformance` starts here; `conformance.commands.cli` is the command line."""

from conformance.commands.cli import main as main
