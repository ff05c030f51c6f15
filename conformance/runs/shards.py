"""Long runs in parts: a run cut into shards, taken up again after it was killed, put together again.

Cases are judged in batches (`conformance.runs.workers.batches`), and the records of a run stand in
``results.jsonl`` in the order of its cases, those that follow from a batch (`conformance.runs.chain`) behind
it. A shard ``i/n`` is every n-th batch. After a kill the file is
a whole number of batches and then, perhaps, a torn one: a run that is resumed keeps the former and judges
the rest again, so that the file ends with the same bytes as that of a run that was never stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from conformance.cases.case import Case
from conformance.generation.corners import corner_of
from conformance.runs.chain import Chain
from conformance.runs.options import Options, Shard, Sweep, SweepError
from conformance.runs.share import Numbered
from conformance.runs.workers import Answer, Batches, batches
from conformance.verdict import document, schema
from conformance.verdict.document import SchemaError
from conformance.verdict.record import Record
from conformance.verdict.schema import LONGEST_LINE

#: The file that says what a directory's records belong to.
ASKED = "run.json"


def read_record(line: bytes) -> Record:
    """A record from its line.

    Raises
    ------
    SweepError
        If the line is not exactly what `Record.line` writes of some case.
    """
    try:
        return schema.record(line)
    except SchemaError as error:
        raise SweepError(str(error)) from error


def read_output(file: BinaryIO, case: Case, output: str) -> Record:
    """The record of one output of `case`, which must come next in `file`."""
    line = file.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise SweepError("torn or too long" if line else "the file ends")
    record = read_record(line)
    if (record.case, record.output) != (str(case), output):
        raise SweepError(f"expected {output} of {case}, got {record.output} of {record.case}"[:300])
    if record.corner != corner_of(case):
        raise SweepError(f"corner: expected {corner_of(case)}, got {record.corner}"[:300])
    return record


def read_case(file: BinaryIO, case: Case) -> list[Record]:
    """The records of `case`, which must come next in `file`, one for each output in order."""
    return [read_output(file, case, output) for output in case.operation.outputs]


def kept(path: Path, queue: Batches) -> Generator[Answer, None, Batches]:
    """Yield cases and records of the whole batches in `path`, cut the rest off; returns the batches left."""
    path.touch()
    with open(path, "r+b") as file:
        for batch in queue:
            end = file.tell()
            try:
                found = list(_chained(batch, partial(read_case, file)))
            except SweepError:
                file.truncate(end)
                return chain([batch], queue)
            yield from found
        file.truncate(file.tell())
    return iter(())


def _chained(batch: list[Numbered], read: Callable[[Case], list[Record]]) -> Iterator[Answer]:
    """The cases of a batch and those that follow from their records, with what is read of each."""
    chain = Chain([case for _, case in batch])
    place = 0
    while place < len(chain.cases):
        case = chain.cases[place]
        records = read(case)
        yield case, records
        chain.tell(place, records)
        place += 1
        if chain.complete:
            chain.plan()


def begin(directory: Path, options: Options, sweep: Sweep) -> None:
    """Say in `directory` what run it holds; a resumed run must be the same one.

    Raises
    ------
    SweepError
        If the directory holds another run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    asked = {
        "schema": schema.SCHEMA, **asdict(options), "isolate": sweep.isolate, "time_limit": sweep.time_limit,
        "shard": f"{sweep.shard.index}/{sweep.shard.count}",
    }  # fmt: skip
    path, resume = directory / ASKED, sweep.resume
    asked = json.loads(json.dumps(asked, default=str))  # as the file holds it
    if resume and path.exists():
        if _read(path) != asked:
            raise SweepError(f"--resume: {directory} holds another run; its options are in {path}")
        return
    if not resume:
        (directory / "results.jsonl").unlink(missing_ok=True)
    path.write_text(json.dumps(asked, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        return document.read(path, schema.Run)
    except SchemaError as error:
        raise SweepError(str(error)) from error


def merged(directories: list[Path], cases: Iterable[Case]) -> Iterator[Answer]:
    """The cases and records of all shards, in the order of the cases; each case exactly once.

    Raises
    ------
    SweepError
        If a record is missing, damaged or one too many; the message names the file and the line.
    """
    files = [open(directory / "results.jsonl", "rb") for directory in directories]  # noqa: SIM115
    lines = [0] * len(files)

    def read(at: int, case: Case) -> list[Record]:
        records = []
        for output in case.operation.outputs:
            lines[at] += 1
            try:
                records.append(read_output(files[at], case, output))
            except SweepError as error:
                where = f"{directories[at] / 'results.jsonl'}, line {lines[at]}"
                raise SweepError(f"{where}: {error}") from error
        return records

    try:
        for number, batch in enumerate(batches(cases)):
            yield from _chained(batch, partial(read, number % len(files)))
        for at, file in enumerate(files):
            if file.readline(LONGEST_LINE):
                path = directories[at] / "results.jsonl"
                raise SweepError(f"{path}, line {lines[at] + 1}: more records than the shard has cases")
    finally:
        for file in files:
            file.close()


def shards(directories: list[Path]) -> tuple[list[Path], dict[str, Any]]:
    """The directories in the order of their shards, and what the whole run was asked for.

    Raises
    ------
    SweepError
        If they are not all the shards of one run.
    """
    found: dict[int, Path] = {}
    run: dict[str, Any] = {}
    for directory in directories:
        path = directory / ASKED
        try:
            asked = _read(path)
            shard = Shard.parse(asked.pop("shard"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SweepError(f"{path}: no such file; give the directories of `run --shard`") from error
        except SweepError:
            raise
        except ValueError as error:
            raise SweepError(f"{path}: shard: {error}") from error
        if run and asked != run:
            raise SweepError(f"{path}: another run than that of {directories[0]} ({run['implementation']})")
        if shard.count != len(directories):
            raise SweepError(f"{path}: shard {shard.index}/{shard.count}, got {len(directories)} directories")
        if shard.index in found:
            raise SweepError(f"{path}: shard {shard.index}/{shard.count} is also {found[shard.index]}")
        found[shard.index], run = directory, asked
    return [found[index] for index in sorted(found)], run
