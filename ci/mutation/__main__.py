"""Mutate the project's Cython sources, one place at a time: does the suite notice?

The mutants of a sample are built together in a scratch copy (for the best instruction set of this
processor), where a number says which of them is in force; then each is judged as `conformance run` judges, on
the cases of the operations it can reach, by the table of bits and by the kernel tests if those find nothing.
What passes all of it has survived: a case is missing, or the mutant computes the same bits and is explained
in ci/mutation/equivalent.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ci.mutation import switch
from ci.mutation.build import ROOT, BuildError, Tree, sanitized
from ci.mutation.judge import ERRORS, MutantJudge
from ci.mutation.mutants import Mutant, mutants
from ci.mutation.score import report, stale

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

#: Sources mutated only if --files names them: checks of arguments, threads and the probe of the processor
#: give no number that a case could show; that is for the kernel tests. (Not so half precision,
#: hyperparameters and the fields of caches.)
NOT_NUMBERS = ("checks/[!fh]*", "kernels/base/nontemporal.*", "_processor.*", "threads.*")


def every(patterns: list[str]) -> list[Mutant]:
    """The mutants of the files that match; of all that compute, without a pattern."""
    package = ROOT / "cnnref"
    names = sorted(str(path.relative_to(package)) for path in package.rglob("*.p[yx][xd]"))
    if patterns:
        chosen = [n for n in names if any(fnmatchcase(n, p) for p in patterns)]
    else:
        chosen = [n for n in names if not any(fnmatchcase(n, p) for p in NOT_NUMBERS)]
    return [m for n in chosen for m in mutants(n, (package / n).read_text())]


def build(tree: Tree, numbered: dict[int, Mutant]) -> set[int]:
    """Build the copy with all mutants in it; the numbers of those that it cannot hold.

    Raises
    ------
    BuildError
        If the fault is at no mutant's line.
    """
    refused: set[int] = set()
    while True:
        sources = {"_mutant.pxd": switch.DECLARATION, "mutant.h": switch.HEADER}
        alone = set(refused)
        for name in {mutant.file for mutant in numbered.values()}:
            own = {n: m for n, m in numbered.items() if m.file == name and n not in refused}
            sources[name], more = switch.switched((ROOT / "cnnref" / name).read_text(), own)
            alone |= more
        try:
            tree.prepare(sources)
        except BuildError as error:
            # What Cython or the compiler does not take as a choice, such as an array, is built alone.
            places = {
                (f, int(line)) for f, line in re.findall(r"cnnref/([\w/]+\.p[yx][xd]):(\d+)", str(error))
            }
            new = {n for n, m in numbered.items() if (m.file, m.line) in places} - alone
            if not new:
                raise
            refused |= new
        else:
            return alone


def judge_alone(tree: Tree, mutant: Mutant, judge: MutantJudge) -> tuple[str, str]:
    """Status ("killed", "survived" or "invalid") of a mutant with a build of its own, and what decided it."""
    users = tree.users(mutant.file)
    try:
        (tree.package / mutant.file).write_text(mutant.applied((ROOT / "cnnref" / mutant.file).read_text()))
        for module in users:
            try:
                tree.build(module)
            except BuildError as error:
                return "invalid", str(error).splitlines()[-1]
        why = judge.why(users)
        return ("killed", why) if why else ("survived", "")
    finally:
        tree.restore(mutant.file, users)


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
    parser.add_argument("--no-tests", action="store_true", help="without the kernel tests")
    parser.add_argument("--survivors", action="store_true", help="judge those once more that survived")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--score", action="store_true", help="print the results so far and stop")
    asked = parser.parse_args()
    chosen = every(asked.files)
    log = asked.state / f"results-{asked.isa or _best_isa()}.jsonl"
    if asked.again:
        log.unlink(missing_ok=True)
    done = {r["key"]: r for r in map(json.loads, log.read_text().splitlines())} if log.exists() else {}
    if asked.list:
        print("\n".join(m.diff for m in chosen))
        return 0
    if asked.score:
        return report([m for m in chosen if m.key in done], done, len(chosen)) or stale(every(["*"]))
    sample = random.Random(asked.seed).sample(chosen, min(asked.sample, len(chosen)))
    if asked.survivors:
        sample = [m for m in chosen if done.get(m.key, {}).get("status") == "survived"]
        done = {key: r for key, r in done.items() if r["status"] != "survived"}
    run(asked, [m for m in sample if m.key not in done], done, log)
    return report([m for m in sample if m.key in done], done, len(chosen))


def run(asked: argparse.Namespace, todo: list[Mutant], done: dict[str, Any], log: Path) -> None:
    """Judge mutants, write each result down as it comes."""
    numbered = dict(enumerate(todo, 1))
    isa = asked.isa or _best_isa()
    tree = Tree(asked.state.resolve() / f"tree-{isa}", isa)
    alone = build(tree, numbered)
    judge = MutantJudge(tree, asked.cases, not asked.no_tests)
    reached = list(dict.fromkeys(module for m in todo for module in tree.users(m.file)))
    wrong = judge.unchanged(reached)
    if wrong:
        raise SystemExit(f"ci/mutants: the sources fail without any change: {wrong}")
    started = time.monotonic()
    for number, mutant in numbered.items():
        if time.monotonic() - started > asked.seconds:
            break
        if number in alone:
            status, why = judge_alone(tree, mutant, judge)
        else:
            why = judge.why(tree.users(mutant.file), number)
            status = "killed" if why else "survived"
        done[mutant.key] = {"key": mutant.key, "status": status, "why": why}
        with log.open("a") as stream:
            stream.write(json.dumps(done[mutant.key]) + "\n")
        because = f"  [{why[:110]}]" if why else ""
        print(f"{number}/{len(todo)} {status:<8} {mutant.key}{because}", flush=True)


def _best_isa() -> str:
    # In a process of its own: this one must not have loaded cnnref before it judges a mutant.
    code = "from cnnref._processor import runnable; print(runnable()[0])"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    if "LD_PRELOAD" not in os.environ:  # the sanitizer has to be there when a process starts
        os.execve(
            sys.executable,
            [sys.executable, "-m", "ci.mutation", *sys.argv[1:]],
            {**os.environ, **sanitized(ERRORS)},
        )
    sys.exit(main())
