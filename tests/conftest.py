"""Which tests there are without the source tree: ci/wheel has tests, examples and the installed package."""

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# `tests.planted`, also where pytest is not started as `python -m pytest` from here.
sys.path.append(str(ROOT))

# What is not installed is tested in tools/: the benchmark, the commands in ci/, the documents, the sources.
collect_ignore = [] if (ROOT / "setup.py").exists() else ["tools"]

# A shell that starts a command in the background lets it ignore Ctrl-C, and so would the programs that
# tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
