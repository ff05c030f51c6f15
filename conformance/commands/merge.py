"""``conformance merge``: the shards of a run put together as if it had been one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance import report
from conformance.commands.tell import tell
from conformance.commands.usage import AGREES, DISAGREES, examples
from conformance.report.made import made
from conformance.report.summary import Summary, problems
from conformance.runs.lock import reading, writing
from conformance.runs.options import Options, Result, SweepError
from conformance.runs.shards import merged, shards
from conformance.verdict import document, schema
from conformance.verdict.document import SchemaError
from conformance.verdict.record import MODEL, STATUSES

#: What all shards of a run must agree on, or their records do not belong together.
_SAME = ("implementation", "versions", "oracle", "seed", "arithmetic", "dialect", "options")


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


def merge(directories: list[Path], out: Path) -> Result:
    """Write the whole run of `directories` into `out`.

    Raises
    ------
    SweepError
        If they are not all the shards of one run, a record is missing, damaged or one too many, or a run is
        still writing into one of the directories or `out`.
    """
    if out.resolve() in [directory.resolve() for directory in directories]:
        raise SweepError(f"--out {out} is one of the shards")
    with reading(directories), writing(out):
        return _merge(directories, out)


def _merge(directories: list[Path], out: Path) -> Result:
    ordered, asked = shards(directories)
    facts = [_facts(directory / "summary.json") for directory in ordered]
    for directory, found in zip(ordered, facts, strict=True):
        for key in ("implementation", "seed"):
            if found[key] != asked[key]:
                raise SweepError(f"{directory / 'summary.json'}: {key} is not that of run.json beside it")
        for key in _SAME:
            if found[key] != facts[0][key]:
                raise SweepError(f"{directory / 'summary.json'}: {key} is not that of {ordered[0]}")
    if asked["operations"] == [MODEL]:
        return _of_models(ordered, asked, facts, out)
    options = Options(
        asked["implementation"],
        tuple(asked["operations"]),
        tuple(asked["dtypes"]),
        asked["cases"],
        asked["seed"],
        own=tuple(asked.get("own", ())),
        only=asked.get("only", False),
    )
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.jsonl"
    partial = results.with_suffix(".partial")  # what is there stays until the whole is there
    try:
        summary = _joined(ordered, options, partial)
        _add_up(summary.statuses, ordered, facts)
        partial.replace(results)
    finally:
        partial.unlink(missing_ok=True)
    total = sum(summary.statuses.values())
    about = {key: facts[0][key] for key in _SAME}
    if any("shape_remarks" in found for found in facts):
        about["shape_remarks"] = sum(found.get("shape_remarks", 0) for found in facts)
    seconds = round(sum(found["seconds"] for found in facts), 3)
    wrong, doubts = problems(summary, options.asked), list(summary.states.doubts(options.asked))
    result = Result(
        summary.to_dict(
            listed=total, asked=options.asked, seconds=seconds, problems=[*wrong, *doubts], **about
        ),
        wrong,
        doubts,
    )
    report.write(results, result.summary, out, made(str(result.summary["implementation"])))
    return result


def _of_models(ordered: list[Path], asked: dict[str, Any], facts: list[dict[str, Any]], out: Path) -> Result:
    """The same of a `ModelNew` that was compared with its `Model`."""
    from conformance.runs import models  # imports what is compared with

    out.mkdir(parents=True, exist_ok=True)
    partial = out / "results.partial"
    try:
        result = models.merged(ordered, asked, partial)
        _add_up(result.summary, ordered, facts)
        partial.replace(out / "results.jsonl")
    finally:
        partial.unlink(missing_ok=True)
    result.summary |= {key: facts[0][key] for key in _SAME}
    result.summary["seconds"] = round(sum(found["seconds"] for found in facts), 3)
    report.write(out / "results.jsonl", result.summary, out, made(str(asked["implementation"])))
    return result


def _joined(ordered: list[Path], options: Options, path: Path) -> Summary:
    """Write the records of all shards into `path`; returns what they come to."""
    summary = Summary()
    with open(path, "w", encoding="utf-8", newline="\n") as results:
        for case, records in merged(ordered, options.generate()):
            summary.add(case, records)
            results.write("".join(record.line() + "\n" for record in records))
    return summary


def _add_up(statuses: Mapping[str, int], ordered: list[Path], facts: list[dict[str, Any]]) -> None:
    """The records are as many of each status as the shards' summaries say."""
    for status in STATUSES:
        told, counted = sum(found[status] for found in facts), statuses[status]
        if told != counted:
            raise SweepError(
                f"{ordered[0] / 'summary.json'} and the others': {status}: expected a sum of {counted}, as "
                f"in results.jsonl, got {told}"
            )


def _facts(path: Path) -> dict[str, Any]:
    """A shard's summary."""
    try:
        return document.read(path, schema.Summary)
    except FileNotFoundError as error:
        raise SweepError(f"{path}: the shard has not ended; run it again with --resume") from error
    except SchemaError as error:
        raise SweepError(str(error)) from error
