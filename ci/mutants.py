"""Mutate the project's Cython sources, one place at a time: does the suite notice?

Each mutant is built in a scratch copy (only the module it is in, for the best instruction set of this
processor), then judged as `conformance run` judges, on the cases of the operations it can reach, and by
the kernel tests if those find nothing. What passes all of it has survived: a case is missing, or the
mutant computes the same bits and is explained in ci/mutants-equivalent.txt.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mutation import Mutant, mutants
from scratch_build import ROOT, BuildError, Tree, sanitized

sys.path.insert(0, str(ROOT))

#: The operations that a module computes.
OPERATIONS = {
    "conv": "conv_*",
    "affine": "affine_*",
    "pool": "pool_*",
    "activation": "sigmoid* relu* affine_activation_*",
    "softmax": "softmax*",
    "loss": "cross_* softmax_cross_*",
    "reorder": "pad3d* arr2col col2arr",
    "mask": "create_mask_* distribute_value",
}
#: Sources mutated only if --files names them: checks of arguments, threads and the probe of the processor
#: give no number that a case could show; that is for the kernel tests.
NOT_NUMBERS = ("_arrays.*", "_check*", "_processor.*", "threads.*")
EQUIVALENT = ROOT / "ci" / "mutants-equivalent.txt"
TESTS = ("test_bits*.py", "test_cnnref*.py", "test_kernel*.py")
#: Seconds of the processor that the cases may take: so many times what they take without a change, and a few
#: more. Other work on the machine does not count; a process that sleeps is ended after the last number.
TIMES, MORE, PATIENCE = 4.0, 10.0, 300.0
#: Where AddressSanitizer writes what it finds, before the process's number.
ERRORS = ROOT / "build" / "mutants" / "errors"

#: What is judged. The post's conventions fail on purpose in places; what fails without a change is known.
IMPLEMENTATIONS = ("cnnref", "cnnref.blog")

_prepared: dict[str, list[Any]] = {}
_known: set[tuple[str, str, str]] = set()
#: Seconds that the cases of some operations took without a change.
_took: dict[str, float] = {}


def prepare(op: str, count: int) -> None:
    """Draw the cases of an operation and work out their right answers, once for all mutants."""
    if op in _prepared:
        return
    from conformance.bounds.table import bounds
    from conformance.data import draw
    from conformance.generate import generate
    from conformance.operations import OPERATIONS as TABLE
    from conformance.oracle import evaluate

    found = _prepared[op] = []
    # A fault in a drawn shape is likelier to show than one in a corner, so those go first.
    for case in reversed(list(generate([TABLE[op]], ["f32", "f64"], count, 0))):
        arrays = draw(case)
        expected = evaluate(case, arrays)
        found.append((case, arrays, expected, bounds(case, arrays, expected)))


def _judge(tree: str, isa: str, ops: list[str], pipe: Any, limit: float) -> None:
    """In a child: the failures that are not known. Unless none is known yet, it stops at the first."""
    end = int(time.process_time() + limit) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end, end))
    sys.path.insert(0, tree)
    os.environ["CNNREF_ISA"] = isa
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    from conformance.compare import compare
    from conformance.implementation import dirty, load
    from conformance.judge import output_dtype

    found: list[tuple[str, str, str, str]] = []
    took: Counter[str] = Counter()
    for spec in IMPLEMENTATIONS:
        try:
            implementation = load(spec)
        except Exception as error:
            pipe.send(([(spec, "", "", f"import: {error}")], {}))
            return
        if not str(implementation.target.__file__).startswith(tree):
            raise AssertionError(f"judging {implementation.target.__file__}, not the copy in {tree}")
        for case, arrays, expected, limits in (entry for op in ops for entry in _prepared[op]):
            started = time.process_time()
            dirty(expected, case.numpy_dtype, float("nan"))
            outcome = implementation.call(case, arrays)
            if outcome.error or outcome.changed:
                found.append((spec, str(case), "", outcome.error or "changed its input"))
            for name, got in outcome.outputs.items():
                verdict = compare(got, expected[name], limits[name], output_dtype(case, name))
                if verdict.status != "passed":
                    found.append((spec, str(case), name, verdict.reason))
            took[case.op] += time.process_time() - started
            if _known and any(failure[:3] not in _known for failure in found[-4:]):
                break
    pipe.send((found, dict(took)))


def judged(tree: Tree, ops: list[str], cases: int) -> str:
    """What shows that the built package is wrong; empty if nothing does."""
    for op in ops:
        prepare(op, cases)
    # A change may make a loop endless.
    limit = MORE + TIMES * sum(_took.get(op, PATIENCE) for op in ops)
    context = multiprocessing.get_context("fork")  # inherits the prepared cases; cnnref is loaded after it
    ours, theirs = context.Pipe(False)
    child = context.Process(target=_judge, args=(str(tree.folder), tree.isa, ops, theirs, limit), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE):
            return f"no answer within {PATIENCE:.0f} seconds"
        failures, took = ours.recv()
        if not _known:  # the sources without a change: the post's conventions may fail, cnnref may not
            _known.update(f[:3] for f in failures if f[0] != IMPLEMENTATIONS[0])
            _took.update(took)
        new = [" ".join(f) for f in failures if f[:3] not in _known]
        if new:
            return new[0]
        # Then every case was judged, and what is known to fail has to.
        passing = _known - {f[:3] for f in failures}
        passing = {known for known in passing if known[1].partition(":")[0] in ops}
        return f"known failure passes: {' '.join(min(passing))}" if passing else ""
    except EOFError:
        child.join(5)
        if child.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "does not end"
        return _found_by_sanitizer(child.pid) or f"the process died ({child.exitcode})"
    finally:
        child.kill()
        child.join()


def _found_by_sanitizer(pid: int | None) -> str:
    """What AddressSanitizer found in a process, in one line; empty if nothing."""
    log = ERRORS.with_name(f"{ERRORS.name}.{pid}")
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()
    log.unlink()
    return next((line for line in lines if line.startswith("SUMMARY")), lines[0])


def tested(tree: Tree, files: list[Path]) -> str:
    """What the kernel tests say of the built package; empty if they pass or there is none."""
    if not files:
        return ""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-c", str(ROOT / "pyproject.toml")]
    paths = os.pathsep.join((str(tree.folder), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": paths, "CNNREF_ISA": tree.isa}
    try:
        done = subprocess.run(
            [*command, *map(str, files)],
            cwd=tree.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        return "the kernel tests do not end"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (failed or [f"pytest: exit status {done.returncode}"])[0] if done.returncode else ""


def operations_of(module: str) -> list[str]:
    """The operations that a module reaches; all of them for a shared one."""
    from conformance.operations import select

    return [o.name for o in select(OPERATIONS.get(module, "*").split())]


def try_one(tree: Tree, mutant: Mutant, cases: int, tests: list[Path]) -> tuple[str, str]:
    """Status ("killed", "survived" or "invalid") and what decided it."""
    users = tree.users(mutant.file)
    source = (ROOT / "cnnref" / mutant.file).read_text()
    try:
        (tree.package / mutant.file).write_text(mutant.applied(source))
        for module in users:
            try:
                tree.build(module)
            except BuildError as error:
                return "invalid", str(error).splitlines()[-1]
            # With one module rebuilt the others are as they were, and need no judging.
            why = judged(tree, operations_of(module), cases)
            if why:
                return "killed", why
        why = tested(tree, tests)
        return ("killed", why) if why else ("survived", "")
    finally:
        tree.restore(mutant.file, users)


def equivalents() -> dict[str, str]:
    """Mutants known to compute the same bits: a line ``FILE: BEFORE => AFTER`` and, indented below, why.

    Raises
    ------
    ValueError
        If one has no reason.
    """
    found: dict[str, str] = {}
    key = ""
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else ():
        if line.startswith("    ") and key:
            found[key] = f"{found[key]} {line.strip()}".strip()
        elif line.strip() and not line.startswith("#"):
            key = line.strip()
            found[key] = ""
    for key, reason in found.items():
        if not reason:
            raise ValueError(f"{EQUIVALENT.name}: no reason under {key!r}")
    return found


def every(patterns: list[str]) -> list[Mutant]:
    """The mutants of the files that match; of all that compute, without a pattern."""
    names = sorted(p.name for p in (ROOT / "cnnref").iterdir() if p.suffix in (".pyx", ".pxd"))
    if patterns:
        chosen = [n for n in names if any(fnmatchcase(n, p) for p in patterns)]
    else:
        chosen = [n for n in names if not any(fnmatchcase(n, p) for p in NOT_NUMBERS)]
    return [m for n in chosen for m in mutants(n, (ROOT / "cnnref" / n).read_text())]


def main() -> int:
    """Run the command; 0 if no mutant survived unexplained."""
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__.split("\n\n")[0])
    parser.add_argument("--sample", type=int, default=150, metavar="N", help="mutants to try (default 150)")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--cases", type=int, default=80, help="cases per operation and dtype (default 80)")
    parser.add_argument("--files", nargs="+", default=[], help="sources, by shell pattern")
    parser.add_argument("--state", type=Path, default=ROOT / "build" / "mutants", help="scratch")
    parser.add_argument("--isa", help="the instruction set to build for (default: the best that runs here)")
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    parser.add_argument("--no-tests", action="store_true", help="the cases alone, without the kernel tests")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    asked = parser.parse_args()
    chosen = every(asked.files)
    if asked.list:
        print("\n".join(m.diff for m in chosen))
        return 0
    sample = random.Random(asked.seed).sample(chosen, min(asked.sample, len(chosen)))
    isa = asked.isa or _best_isa()
    tree = Tree(asked.state.resolve() / f"tree-{isa}", isa)
    tree.prepare()
    tests = [] if asked.no_tests else [p for pattern in TESTS for p in sorted((ROOT / "tests").glob(pattern))]
    log = asked.state / "results.jsonl"
    if asked.again:
        log.unlink(missing_ok=True)
    done = {r["key"]: r for r in map(json.loads, log.read_text().splitlines())} if log.exists() else {}
    everything = list(dict.fromkeys(op for m in tree.kernels for op in operations_of(m)))
    wrong = judged(tree, everything, asked.cases) or tested(tree, tests)
    if wrong:
        print(f"ci/mutants: the sources fail without any change: {wrong}", file=sys.stderr)
        return 2
    started = time.monotonic()
    for number, mutant in enumerate(sample, 1):
        if time.monotonic() - started > asked.seconds:
            break
        if mutant.key in done:
            continue
        status, why = try_one(tree, mutant, asked.cases, tests)
        done[mutant.key] = {"key": mutant.key, "status": status, "why": why}
        with log.open("a") as stream:
            stream.write(json.dumps(done[mutant.key]) + "\n")
        because = f"  [{why[:110]}]" if why else ""
        print(f"{number}/{len(sample)} {status:<8} {mutant.key}{because}", flush=True)
    return report([m for m in sample if m.key in done], done, len(chosen))


def report(tried: list[Mutant], done: dict[str, Any], total: int) -> int:
    """Print the score and every survivor."""
    known = equivalents()
    counts = Counter(str(done[m.key]["status"]) for m in tried)
    survivors = [m for m in tried if done[m.key]["status"] == "survived"]
    unexplained = [m for m in survivors if m.key not in known]
    valid = counts["killed"] + counts["survived"]
    print(
        f"{len(tried)} of {total} mutants tried: {counts['killed']} of {valid} killed, "
        f"{len(survivors) - len(unexplained)} equivalent, {len(unexplained)} survived, "
        f"{counts['invalid']} do not build"
    )
    for mutant in survivors:
        print(mutant.diff)
        if mutant.key in known:
            print(f"  equivalent: {known[mutant.key]}")
    return 1 if unexplained else 0


def _best_isa() -> str:
    # In a process of its own: this one must not have loaded cnnref before it judges a mutant.
    code = "from cnnref._processor import runnable; print(runnable()[0])"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    if "LD_PRELOAD" not in os.environ:  # the sanitizer has to be there when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **sanitized(ERRORS)})
    sys.exit(main())
