"""Which tests there are without the source tree: ci/wheel has tests, examples and the installed package."""

import signal
from pathlib import Path

#: Tests of what is not installed: the benchmark, the commands in ci/, the documents.
OF_THE_TREE = [
    "test_bench.py",
    "test_bench_rounds.py",
    "test_bench_table.py",
    "test_contributing.py",
    "test_mutants.py",
    "test_readme.py",
]

collect_ignore = [] if (Path(__file__).parents[1] / "setup.py").exists() else OF_THE_TREE

# A shell that starts a command in the background lets it ignore Ctrl-C, and so would the programs that
# tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
