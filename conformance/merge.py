"""``conformance merge``: the shards of a run put together as if it had been one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from conformance import report, runner
from conformance.report.summary import Summary, problems
from conformance.run_command import tell
from conformance.sweep import SweepError, merged, shards
from conformance.usage import AGREES, DISAGREES, examples

#: What all shards of a run must agree on, or their records do not belong together.
_SAME = ("implementation", "versions", "oracle", "seed", "arithmetic", "options")


_EXAMPLES = examples(
    "conformance run --shard 1/2 --out part1            on one machine",
    "conformance run --shard 2/2 --out part2            on another",
    "conformance merge part1 part2 --out whole",
)


def add_command(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("merge", help="put the shards of a run together", epilog=_EXAMPLES)
    parser.description = (
        "Put the directories of `run --shard 1/n` .. `n/n` together: the results.jsonl and the report that "
        "one run would have written. A case that is missing, damaged or there twice ends it with status 2."
    )
    parser.add_argument("shards", metavar="DIR", type=Path, nargs="+", help="the directories of all shards")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the whole goes")
    parser.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance merge``."""
    result = merge(asked.shards, asked.out)
    tell(result, asked.out)
    return AGREES if result.agrees else DISAGREES


def merge(directories: list[Path], out: Path) -> runner.Result:
    """Write the whole run of `directories` into `out`.

    Raises
    ------
    SweepError
        If they are not all the shards of one run, or a record is missing, damaged or one too many.
    """
    if out.resolve() in [directory.resolve() for directory in directories]:
        raise SweepError(f"--out {out} is one of the shards")
    ordered, asked = shards(directories)
    facts = [_facts(directory / "summary.json") for directory in ordered]
    for directory, found in zip(ordered, facts, strict=True):
        for key in _SAME:
            if found[key] != facts[0][key]:
                raise SweepError(f"{directory / 'summary.json'}: {key} is not that of {ordered[0]}")
    try:
        names = "implementation", "operations", "dtypes", "cases", "seed"
        implementation, operations, dtypes, count, seed = (asked[name] for name in names)
        options = runner.Options(str(implementation), tuple(operations), tuple(dtypes), int(count), int(seed))
        next(options.generate())  # refuses operations, dtypes and numbers that no run has
    except (KeyError, TypeError, ValueError) as error:
        raise SweepError(f"{ordered[0] / 'run.json'}: not what `run` writes ({error})") from error
    summary, total = Summary(), 0
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "results.jsonl", "w", encoding="utf-8", newline="\n") as results:
        for case, records in merged(ordered, options.generate()):
            total += 1
            summary.add(case, records)
            results.write("".join(record.line() + "\n" for record in records))
    about = {key: facts[0][key] for key in _SAME}
    if any("shape_remarks" in found for found in facts):
        about["shape_remarks"] = sum(int(found.get("shape_remarks", 0)) for found in facts)
    seconds = round(sum(float(found["seconds"]) for found in facts), 3)
    found_problems = problems(summary)
    result = runner.Result(
        summary.to_dict(listed=total, seconds=seconds, problems=found_problems, **about), found_problems
    )
    text = json.dumps(result.summary, indent=1, allow_nan=False) + "\n"
    (out / "summary.json").write_text(text, encoding="utf-8")
    report.write(out / "results.jsonl", result.summary, out)
    return result


def _facts(path: Path) -> dict[str, Any]:
    """A shard's summary."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in (*_SAME, "seconds") if key not in found]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise SweepError(f"{path}: the shard has not ended; run it again with --resume") from error
    if missing:
        raise SweepError(f"{path}: has no {missing[0]}")
    return dict(found)
