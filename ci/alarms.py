"""Judge the peers that are right until so many outputs are compared, and name every alarm that is false.

A comparison is one output of one case held against the oracle; an absent one is none. What fails as the
peer's adapter declares (`conformance.implementations.declared`) is a difference found, not an alarm; cases
that it declares to kill the process are left to `conformance matrix`. Each part, one peer and one seed, is a
process of its own and a line of the log, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

#: Peers with the cases of each operation and dtype in a part; JAX compiles every shape anew.
PEERS = {"numpy_loops": 150, "torch_float32": 150, "onnxruntime": 150, "onnx_reference": 100, "jax": 6}


def part(spec: str, seed: int, cases: int, connection: Any) -> None:
    """In a child: judge the cases of one seed; sends what came of them."""
    warnings.simplefilter("ignore")
    from conformance.generation.generate import generate
    from conformance.implementations.implementation import here
    from conformance.operations import OPERATIONS
    from conformance.verdict.declared import marked, sentence_of
    from conformance.verdict.judge import Judge
    from conformance.verdict.record import blank

    implementation = here(spec)
    judge = Judge(implementation)
    held = [operation for operation in OPERATIONS.values() if implementation.has(operation.name)]
    counts: Counter[str] = Counter()
    alarms, examples = [], {}
    for case in generate(held, ["f32", "f64"], cases, seed):
        dead = blank(case, case.operation.outputs[0], "failed", reason="the process died")
        if marked(implementation.differs, dead) is not dead:
            counts["left out"] += 1
            continue
        for record in judge(case):
            sentence = sentence_of(record)
            known = "declared" if sentence else record.status
            counts[known] += 1
            if sentence:
                examples.setdefault(sentence, record.case)
            elif record.status == "failed":
                alarms.append(f"{record.output} of {record.case}: {record.reason}")
    connection.send({**counts, "alarms": alarms, "examples": examples})


def run(spec: str, seed: int, cases: int) -> dict[str, Any]:
    """One part, in a process of its own; a process that dies is an alarm."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(False)
    child = context.Process(target=part, args=(spec, seed, cases, theirs))
    child.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError:
        found = {"alarms": [f"{spec}, seed {seed}: the process died"]}
    child.join()
    return found


def compared(line: dict[str, Any]) -> int:
    """The comparisons of a part."""
    return sum(int(line.get(status, 0)) for status in ("passed", "failed", "declared"))


def report(log: list[dict[str, Any]]) -> int:
    """Print what the parts came to; 1 if there was an alarm."""
    alarms = [alarm for line in log for alarm in line["alarms"]]
    for spec in dict.fromkeys(line["impl"] for line in log):
        mine = [line for line in log if line["impl"] == spec]
        declared = sum(int(line.get("declared", 0)) for line in mine)
        wrong = sum(len(line["alarms"]) for line in mine)
        print(f"{spec}: {sum(map(compared, mine))} compared, {declared} differ as declared, {wrong} alarms")
    for alarm in alarms[:20]:
        print(f"  {alarm}")
    print(f"{sum(map(compared, log))} outputs compared, {len(alarms)} false alarms")
    return int(bool(alarms))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="ci/alarms", description=__doc__.split("\n\n")[0])
    parser.add_argument("--impl", nargs="+", default=list(PEERS), metavar="M", help="peers (default all)")
    parser.add_argument("--comparisons", type=int, default=10**6, metavar="N", help="stop at so many")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no part after so long")
    parser.add_argument("--first", type=int, default=1000, metavar="SEED", help="the first seed")
    parser.add_argument("--state", type=Path, default=ROOT / "build" / "alarms.jsonl", help="the log")
    asked = parser.parse_args()
    asked.state.parent.mkdir(parents=True, exist_ok=True)
    log = [json.loads(line) for line in asked.state.read_text().splitlines()] if asked.state.exists() else []
    done = {(line["impl"], line["seed"]) for line in log}
    started = time.monotonic()
    for seed in count(asked.first):
        for spec in asked.impl:
            if sum(map(compared, log)) >= asked.comparisons or time.monotonic() - started > asked.seconds:
                return report(log)
            if (spec, seed) in done:
                continue
            before = time.monotonic()
            found = run(spec, seed, PEERS.get(spec, 100))
            log.append({"impl": spec, "seed": seed, **found})
            with asked.state.open("a") as stream:
                stream.write(json.dumps(log[-1]) + "\n")
            took = time.monotonic() - before
            print(f"{spec}, seed {seed}: {compared(log[-1])} compared in {took:.0f} s", flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
