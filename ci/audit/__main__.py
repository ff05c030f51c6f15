"""Hold right but unusual kernels against every bound, and errors that must be seen; print both tables.

A kernel is right if its functions are within 4 units in the last place and its sums rounded step by step, in
any order; no share above 1 may be seen. An error must be seen in at least one case, or be what an accuracy is
about that a module declares. The last table says which relative error would pass on normal data of a user's
size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from ci.audit import elementwise, exponential, layers, losses, norms, rational, rows, sums, wrong
from ci.audit.kernel import Kernel, Prepared, Shares, largest
from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS

#: So many values a channel a user's normalization has: the generated cases are small.
NORMS = tuple(
    f"batch_norm_{way}:f32:{shape}_training:{family}"
    for way in ("forward", "backward")
    for shape in ("m1h28w28c2", "m8h56w56c1")
    for family in ("normal", "offset")
) + tuple(
    f"{norm}_norm_{way}:f32:{shape}:{family}"
    for norm in ("layer", "rms")
    for way in ("forward", "backward")
    for shape in ("m2h14w14c96", "m1h3w3c1030")
    for family in ("normal", "offset")
)


def every() -> list[Kernel]:
    """All kernels."""
    made = (elementwise, exponential, rational, rows, losses, sums, norms, layers)
    return [*(k for module in made for k in module.kernels()), *layers.peers()]


@dataclass
class Row:
    """A line of the first table: a kernel with all of its libraries."""

    cases: int = 0
    shares: Shares = field(default_factory=lambda: Shares(0.0, 0.0))
    where: str = ""

    def add(self, case: Case, kernel: Kernel, shares: Shares) -> None:
        """Take in one case."""
        self.cases += 1
        if not self.where or max(shares) > max(self.shares):
            self.where = f"{case} {kernel.name.partition('; ')[2]}"
        self.shares = Shares(*map(max, self.shares, shares))


def audited(kernels: Iterable[Kernel], cases: Iterable[Case]) -> dict[tuple[str, str], Row]:
    """Every kernel on every case of its operation; those that no case reached have a row of none."""
    mine: dict[str, list[Kernel]] = {}
    found: dict[tuple[str, str], Row] = {}
    for kernel in kernels:
        mine.setdefault(kernel.op, []).append(kernel)
        found[kernel.op, kernel.name.partition("; ")[0]] = Row()
    for case in cases:
        prepared = Prepared(case)
        for kernel in mine.get(case.op, ()):
            shares = prepared.shares(prepared.answers(kernel), kernel.declared)
            if not shares:
                continue
            most = Shares(max(s.bound for s in shares.values()), max(s.statistical for s in shares.values()))
            if most.statistical > 1 >= most.bound:
                most = largest(kernel, case)
            found[kernel.op, kernel.name.partition("; ")[0]].add(case, kernel, most)
    return found


def drawn(names: list[str], dtypes: list[str], count: int, seed: int) -> list[Case]:
    """The cases of a run, and normalizations of a user's size."""
    operations = [OPERATIONS[name] for name in names if OPERATIONS[name].bound]
    larger = [Case.parse(f"{line}:{seed}") for line in NORMS if line.partition(":")[0] in names]
    return [*generate(operations, dtypes, count, seed), *larger]


def right(names: list[str], dtypes: list[str], count: int, seed: int) -> list[str]:
    """Print the table of right kernels; what is wrong with a bound."""
    found = audited([k for k in every() if k.op in names], drawn(names, dtypes, count, seed))
    print(f"{'operation':32}{'kernel':58}{'cases':>7}{'bound':>8}{'random':>8}  largest in")
    for (op, name), row in found.items():
        print(
            f"{op:32}{name:58}{row.cases:7}{row.shares.bound:8.3f}{row.shares.statistical:8.3f}  {row.where}"
        )
    most = max((max(row.shares) for row in found.values()), default=0.0)
    total = sum(row.cases for row in found.values())
    print(f"{len(found)} kernels, {total} answers, largest share {most:.3f}\n")
    return [
        *(f"{op}, {name}: {max(row.shares):.3g} of its limit in {row.where}" for (op, name), row in
        found.items()
          if not max(row.shares) <= 1),
        *(f"{op}, {name}: no case reached it" for (op, name), row in found.items() if not row.cases),
    ]  # fmt: skip


def errors(names: list[str], seeds: range) -> list[str]:
    """Print the table of errors; those that nothing shows."""
    print(f"{'operation':32}{'output':14}{'error':36}{'seen':>7}{'declared':>10}")
    unseen = []
    for error in wrong.errors():
        op = error.line.partition(":")[0]
        if op not in names:
            continue
        by_all, declared = wrong.found(error, seeds)
        word = error.declared.accuracy(op)
        told = f"{declared}/{len(seeds)} {word}" if word else ""
        print(f"{op:32}{error.output:14}{error.name:36}{by_all:3}/{len(seeds)}  {told}")
        if not max(by_all, declared):
            unseen.append(f"{op}.{error.output}, {error.name}: not seen in {error.line}")
    return unseen


def power(names: list[str], seed: int) -> None:
    """Print which relative errors would pass."""
    print(f"\n{'case':58}{'output':14}{'least':>9}{'10 %':>9}{'median':>9}{'90 %':>9}")
    for line in wrong.SIZES:
        case = Case.parse(f"{line}:{seed}")
        if case.op in names:
            prepared = Prepared(case)
            for output in case.operation.outputs:
                shares = "".join(f"{share:9.1e}" for share in wrong.smallest(prepared, output))
                print(f"{line:58}{output:14}{shares}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="ci/bounds", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--ops", nargs="+", default=list(OPERATIONS), choices=list(OPERATIONS), metavar="OP")
    parser.add_argument(
        "--dtype", nargs="+", default=["f32", "f16", "bf16"], choices=list(KNOWN), metavar="DTYPE"
    )
    parser.add_argument("--cases", type=int, default=60, metavar="N", help="of each operation and dtype")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    asked = parser.parse_args()
    problems = right(asked.ops, asked.dtype, asked.cases, asked.seed)
    problems += errors(asked.ops, range(asked.seed, asked.seed + 3))
    power(asked.ops, asked.seed)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
