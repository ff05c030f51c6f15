"""Whether a built mutant shows: in the suite's cases, then in the table of bits, then in the kernel tests.

Each mutant is judged in a child of a process that has drawn the cases and knows their right answers, and that
has not loaded the package. The first sign of a difference ends it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ci.mutation import switch
from ci.mutation.build import ROOT, Tree
from ci.mutation.reach import operations_of, tests_of

#: Seconds of the processor that it may take: so many times what it takes without a change, and a few more.
#: Other work on the machine does not count; a process that sleeps is ended after the last number.
TIMES, MORE, PATIENCE = 4.0, 10.0, 900.0
#: Where AddressSanitizer writes what it finds, before the process's number.
ERRORS = ROOT / "build" / "mutants" / "errors"
#: What is judged. The post's conventions fail on purpose in places; what fails without a change is known.
IMPLEMENTATIONS = ("cnnref", "cnnref.blog")
#: The thread counts of the table of bits.
THREADS = (1, 3)

Failure = tuple[str, str, str, str]


class MutantJudge:
    """Judges mutants in a scratch copy.

    Parameters
    ----------
    tree : Tree
        The built copy.
    cases : int
        Cases of each operation and dtype.
    tests : bool
        Whether the kernel tests run too.
    """

    def __init__(self, tree: Tree, cases: int, tests: bool) -> None:
        self._tree, self._count, self._tests = tree, cases, tests
        self._prepared: dict[str, list[list[Any]]] = {}
        self._known: set[tuple[str, str, str]] = set()
        self._took: dict[str, float] = {}

    def unchanged(self, modules: list[str]) -> str:
        """Judge the sources without a change and remember what fails there and how long it takes."""
        return self._ask(modules, 0, learn=True)

    def why(self, modules: list[str], number: int = 0) -> str:
        """What shows that modules compute something else with that mutant; empty if nothing does."""
        return self._ask(modules, number, learn=False)

    def _prepare(self, op: str) -> None:
        """Draw the cases of an operation and work out their right answers, once for all mutants."""
        if op in self._prepared:
            return
        from conformance.bounds.table import bounds
        from conformance.generation.arrays import draw
        from conformance.generation.generate import generate
        from conformance.operations import OPERATIONS
        from conformance.oracle import evaluate

        self._prepared[op] = []
        for dtype in ("f32", "f64"):
            found: list[Any] = []
            # A fault in a drawn shape is likelier to show than one in a corner, so those go first.
            for case in reversed(list(generate([OPERATIONS[op]], [dtype], self._count, 0))):
                arrays = draw(case)
                expected = evaluate(case, arrays)
                found.append((case, arrays, expected, bounds(case, arrays, expected)))
            self._prepared[op].append(found)

    def _entries(self, ops: list[str]) -> Iterator[Any]:
        """The cases of operations, one of each in turn."""
        columns = [column for op in ops for column in self._prepared[op]]
        for row in itertools.zip_longest(*columns):
            yield from (entry for entry in row if entry is not None)

    def _ask(self, modules: list[str], number: int, learn: bool) -> str:
        ops, tests = operations_of(modules), tests_of(modules) if self._tests else []
        for op in ops:
            self._prepare(op)
        # A change may make a loop endless.
        expected = sum(self._took.get(key, PATIENCE) for key in (*ops, *map(str, tests)))
        limit = PATIENCE if learn else MORE + TIMES * expected
        context = multiprocessing.get_context(
            "fork"
        )  # inherits the prepared cases; cnnref is loaded after it
        ours, theirs = context.Pipe(False)
        arguments = (ops, tests, number, learn, limit, theirs)
        child = context.Process(target=self._child, args=arguments, daemon=True)
        child.start()
        theirs.close()
        try:
            if not ours.poll(PATIENCE):
                return f"no answer within {PATIENCE:.0f} seconds"
            failures, other, took = ours.recv()
        except EOFError:
            child.join(5)
            if child.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
                return "does not end"
            return _found_by_sanitizer(child.pid) or f"the process died ({child.exitcode})"
        finally:
            child.kill()
            child.join()
        if learn:  # the post's conventions may fail, cnnref may not
            self._known.update(f[:3] for f in failures if f[0] != IMPLEMENTATIONS[0])
            self._took.update(took)
        new = [" ".join(f) for f in failures if f[:3] not in self._known]
        if new or other:
            return str(new[0] if new else other)
        # Then every case was judged, and what is known to fail has to.
        passing = self._known - {f[:3] for f in failures}
        passing = {known for known in passing if known[1].partition(":")[0] in ops}
        return f"known failure passes: {' '.join(min(passing))}" if passing else ""

    def _child(
        self, ops: list[str], tests: list[Path], number: int, learn: bool, limit: float, pipe: Any
    ) -> None:
        end = int(time.process_time() + limit) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (end, end))
        sys.path.insert(0, str(self._tree.folder))
        os.environ.update(
            {"CNNREF_ISA": self._tree.isa, switch.NAME: str(number), "OMP_WAIT_POLICY": "passive"}
        )
        os.environ.setdefault("OMP_NUM_THREADS", "2")
        took: Counter[str] = Counter()
        failures = self._judge_cases(ops, learn, took)
        other = ""
        if not any(f[:3] not in self._known for f in failures) or learn:
            other = _bits(ops, took)
        for path in [] if other else tests:
            started = time.process_time()
            other = other or _tested(path)
            took[str(path)] += time.process_time() - started
        pipe.send((failures, other, dict(took)))

    def _judge_cases(self, ops: list[str], learn: bool, took: Counter[str]) -> list[Failure]:
        """The failures; it stops at the first that is not known, unless it is to learn them."""
        from conformance.implementations.implementation import here
        from conformance.verdict.compare import compare
        from conformance.verdict.right import output_dtype

        found: list[Failure] = []
        loaded = []
        for spec in IMPLEMENTATIONS:
            try:
                loaded.append((spec, here(spec)))
            except Exception as error:
                return [(spec, "", "", f"import: {error}")]
        plain = loaded[0][1].target
        if not str(plain.__file__).startswith(str(self._tree.folder)):
            raise AssertionError(f"judging {plain.__file__}, not the copy in {self._tree.folder}")
        for spec, implementation in loaded:
            theirs = implementation.target
            own = [op for op in ops if theirs is plain or getattr(theirs, op, 0) is not getattr(plain, op, 0)]
            for case, arrays, expected, limits in self._entries(own):
                started = time.process_time()
                before = len(found)
                try:
                    sizes = [value.size for value in expected.values()]
                    outcome = implementation.ask(case, arrays, sizes)()[0]
                except MemoryError as error:
                    found.append((spec, str(case), "", f"MemoryError: {error}"))
                    continue
                if outcome.error or outcome.changed:
                    found.append((spec, str(case), "", outcome.error or "changed its input"))
                for name, got in outcome.outputs.items():
                    verdict = compare(got, expected[name], limits[name], output_dtype(case, name))
                    if verdict.status != "passed":
                        found.append((spec, str(case), name, verdict.reason))
                took[case.op] += time.process_time() - started
                if not learn and any(failure[:3] not in self._known for failure in found[before:]):
                    return found
        return found


def _bits(ops: list[str], took: Counter[str]) -> str:
    """The first output whose bits are not those of the committed table."""
    import bits_table

    table = json.loads(bits_table.TABLE.read_text())
    for part, listed in table.items():
        names = {key.partition(" ")[0] for key in listed}
        for case in bits_table.cases():
            if case.op not in ops or str(case) not in names:
                continue
            started = time.process_time()
            found = bits_table.compute(part, THREADS, [case])
            took[case.op] += time.process_time() - started
            wrong = [key for key, value in found.items() if listed.get(key) != value]
            if wrong:
                return f"other bits: {part} {wrong[0]}"
    return ""


class _First:
    """Remembers the first test that fails."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest."""
        if report.failed:
            self.name = self.name or report.nodeid


def _tested(path: Path) -> str:
    """The first test of a file that fails; empty if all pass."""
    import pytest

    first = _First()
    options = ["-x", "-q", "-c", str(ROOT / "pyproject.toml"), "--assert=plain", "-p", "no:cacheprovider"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = pytest.main([*options, str(path)], plugins=[first])
    return (first.name or f"pytest: exit status {int(status)}") if status else ""


def _found_by_sanitizer(pid: int | None) -> str:
    """What AddressSanitizer found in a process, in one line; empty if nothing."""
    log = ERRORS.with_name(f"{ERRORS.name}.{pid}")
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()
    log.unlink()
    return next((line for line in lines if line.startswith("SUMMARY")), lines[0])
