"""``conformance doctor``: what is recognised, where it would run, and what is wrong with all that."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.commands.terminal import BAD, GOOD, paint
from conformance.commands.usage import AGREES, DEFAULT_IMPLEMENTATION, UNUSABLE, examples

_EXAMPLES = examples(
    "conformance doctor                                    the installation, and cnnref",
    "conformance doctor --impl mykernels.py                what is recognised of it",
)

#: What is imported, what it is for, and how it comes.
_PACKAGES = {
    "numpy": ("arrays", "pip install numpy"),
    "torch": ("what is right", "pip install 'cnnref[conformance]'"),
    "msgspec": ("messages between processes", "pip install 'cnnref[conformance]'"),
    "jinja2": ("the report", "pip install 'cnnref[conformance]'"),
    "matplotlib": ("the report's pictures", "pip install 'cnnref[conformance]'"),
    "tqdm": ("the progress bar", "pip install 'cnnref[conformance]'"),
}
#: What is done without.
_FURTHER = {"ml_dtypes": "bfloat16", "argcomplete": "completion of words", "dask": "--dask"}

#: What the suite has compiled.
_COMPILED = ("conformance.cases.window", "conformance.generation.random", "conformance.bounds.elements")

#: Memory of a judge and what it asks, in bytes, and the descriptors it may need.
_PAIR, _FILES = 400 << 20, 256

#: Tries to read the memory of another process, as an implementation could.
_PEEK = """
import sys
from conformance.implementations import guard
guard.untracing()
try:
    open(f"/proc/{sys.argv[1]}/mem", "rb").close()
except OSError:
    sys.exit(0)
sys.exit(1)
"""


def add_command(commands: Any) -> None:
    """Add ``doctor`` to the command line."""
    parser = commands.add_parser(
        "doctor", help="what is recognised and installed, what is wrong and what to do", epilog=_EXAMPLES
    )
    parser.description = (
        "What is installed, what is recognised of the implementation, in which processes and limits it would "
        "run; what is wrong and what to do. Exit status 2 if something is."
    )
    parser.add_argument("--impl", metavar="M", help=f"as of `run` (default {DEFAULT_IMPLEMENTATION})")
    parser.set_defaults(action=command)


class _Patient:
    """What was looked at, and what is wrong."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def tell(self, what: str, found: object, advice: str = "") -> None:
        """One line; with advice it is of something that is wrong."""
        print(f"  {what:<16}{paint(str(found), BAD) if advice else found}", flush=True)
        if advice:
            self.wrong.append(f"{what}: {found}: {advice}")


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance doctor``; 2 if something is wrong."""
    patient = _Patient()
    print("Installation")
    _installation(patient)
    if not patient.wrong:
        print("Limits")
        _limits(patient)
        print("Processes")
        _processes(patient)
    spec = asked.impl or DEFAULT_IMPLEMENTATION
    print(f"Implementation {spec}")
    if patient.wrong:
        print("  not looked at before the installation is right")
    else:
        _implementation(patient, spec)
    for sentence in patient.wrong:
        print(f"{paint('doctor:', BAD)} {sentence}")
    if not patient.wrong:
        print(paint("Nothing is wrong", GOOD))
    return UNUSABLE if patient.wrong else AGREES


def _installation(patient: _Patient) -> None:
    patient.tell("conformance", f"{__version__} in {Path(__file__).parents[1]}")
    version = platform.python_version()
    patient.tell("Python", f"{version}, {platform.system()} {platform.machine()}")
    if sys.platform != "linux":
        patient.tell("system", platform.system(), "implementations are judged on Linux alone")
    for name, (purpose, advice) in _PACKAGES.items():
        found, error = _imported(name)
        patient.tell(name, found or f"{error} (for {purpose})", "" if found else advice)
    for name, purpose in _FURTHER.items():
        found, _ = _imported(name)
        patient.tell(name, found or f"not installed: no {purpose}")
    for name in _COMPILED:
        try:
            import_module(name)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            patient.tell(
                name, why, "not built, or for another Python or NumPy: pip install --force-reinstall cnnref"
            )


def _imported(name: str) -> tuple[str, str]:
    """The version of a package; without one, why it is of no use."""
    try:
        module = import_module(name)
    except ModuleNotFoundError:
        return "", "not installed"
    except Exception as error:
        return "", f"cannot be imported ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    try:
        return metadata.version(name), ""
    except metadata.PackageNotFoundError:
        return str(getattr(module, "__version__", "there")), ""


def _limits(patient: _Patient) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    patient.tell(
        "processors", f"{cores}: as many judges, each with the implementation in a process beside it"
    )
    free = _available()
    if free is not None:
        little = free < cores * _PAIR
        advice = f"a run takes up to {_PAIR >> 20} MiB for each judge: --workers {max(1, free // _PAIR)}"
        patient.tell("memory", f"{free >> 20} MiB free", advice if little else "")
    for name, limit, needed, advice in (
        ("address space", resource.RLIMIT_AS, 4 << 30, "ulimit -v unlimited"),
        ("open files", resource.RLIMIT_NOFILE, _FILES, f"ulimit -n {4 * _FILES}"),
    ):
        soft = resource.getrlimit(limit)[0]
        short = soft != resource.RLIM_INFINITY and soft < needed
        patient.tell(name, "no limit" if soft == resource.RLIM_INFINITY else soft, advice if short else "")
    from conformance.implementations.program import TIME_LIMIT

    patient.tell("a case", f"{TIME_LIMIT:g} s, then its process is ended (run --time-limit)")
    patient.tell("threads", os.environ.get("OMP_NUM_THREADS", "processors / judges") + " (OMP_NUM_THREADS)")


def _available() -> int | None:
    """Bytes of memory that may be used."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def _processes(patient: _Patient) -> None:
    from conformance.implementations import guard, sandbox

    hidden = guard.unreadable()
    peeked = subprocess.run([sys.executable, "-c", _PEEK, str(os.getpid())], check=False).returncode
    closed = hidden and not peeked
    advice = "what is right could be read by the implementation: judge it with --sandbox"
    patient.tell(
        "judge",
        "no other process reads its memory" if closed else "its memory can be read",
        "" if closed else advice,
    )
    try:
        os.close(os.memfd_create("conformance"))
        patient.tell("segments", "anonymous files in memory")
    except OSError as error:
        patient.tell("segments", error, "the kernel has no memfd_create, or forbids it: allow it")
    try:
        sandbox.command()
        patient.tell("sandbox", "bubblewrap works (run --sandbox)")
    except sandbox.SandboxError as error:
        patient.tell("sandbox", f"none ({str(error).removeprefix('--sandbox: ')})")


def _implementation(patient: _Patient, spec: str) -> None:
    from conformance.implementations.implementation import load
    from conformance.implementations.loading import LoadError
    from conformance.operations import OPERATIONS

    try:
        implementation = load(spec)
    except LoadError as error:
        patient.tell("loading", str(error).removeprefix(f"--impl {spec}: "), "see `conformance run --help`")
        return
    there = [name for name in OPERATIONS if implementation.has(name)]
    patient.tell("functions", f"{len(there)} of {len(OPERATIONS)}: {', '.join(there)}")
    patient.tell("version", implementation.version or "it does not say")
    patient.tell("layout", implementation.layout)
    patient.tell("dtypes", ", ".join(implementation.dtypes))
    patient.tell("options", ", ".join(implementation.options) or "none")
    patient.tell("arithmetic", implementation.arithmetic.name)
    chosen = implementation.settings.conventions
    patient.tell("conventions", ", ".join(f"{n}={v}" for n, v in chosen.items()) or "the contract's")
    patient.tell("differs", ", ".join(implementation.differs) or "nowhere, it says")
    for line in implementation.process():
        patient.tell("process", line)
