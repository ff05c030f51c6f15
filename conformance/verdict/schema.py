"""The door for every file that is read back: what it may hold, and what a line says that it must not.

``results.jsonl`` is a `Record` a line; ``run.json``, ``summary.json`` and baselines are the structures below,
with the number of this schema in them. Types are msgspec's to check; what follows is about meaning: a record
is of the case that its line names, numbers are finite or spelt out, counts add up.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS
from conformance.verdict.document import NOTHING, Document, MisfitError, SchemaError
from conformance.verdict.form import fault
from conformance.verdict.record import MODEL, STATUSES, Record

#: The number of this schema. Files of version 0.1.0 have none and are read as 0: its baselines have the same
#: form; its runs are not taken up, because another suite judged them.
SCHEMA = 1

#: The tiers that can have judged.
TIERS = ("exact", "equal", "bound", "statistical", "measured")

#: A record is some hundred bytes; a line longer than this is not read into memory.
LONGEST_LINE = 1 << 16

#: How a number is written that JSON has not.
WORDS = ("nan", "inf", "-inf")

Count = Annotated[int, msgspec.Meta(ge=0)]
Cases = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Size = Annotated[float, msgspec.Meta(ge=0)] | Literal["inf"]
Names = Annotated[list[str], msgspec.Meta(min_length=1)]
Name = Annotated[str, msgspec.Meta(min_length=1)]


class Figures(msgspec.Struct, forbid_unknown_fields=True):
    """What a baseline says of one output."""

    cases: Count
    max_error_ulp: Size
    max_bound_fraction: Size


class KnownFailures(msgspec.Struct, forbid_unknown_fields=True):
    """The failures of one output that have a diagnosis in common."""

    output: Name
    diagnosis: str
    reason: str
    cases: Names


class State(msgspec.Struct, forbid_unknown_fields=True):
    """What a baseline says of one operation."""

    state: Literal["agrees", "compared", "disagrees", "too-little"]
    rule: str | None = None


class Drawn(msgspec.Struct, forbid_unknown_fields=True):
    """Which cases a baseline is of."""

    ops: Names
    dtypes: Names
    cases: Cases
    seed: Seed
    own: list[str] = msgspec.field(default_factory=list)
    only: bool = False


class Baseline(Document, forbid_unknown_fields=True):
    """What ``gate --update`` writes."""

    implementation: Name
    options: Drawn
    operations: dict[str, dict[str, dict[str, Figures]]]
    families: dict[str, list[str]]
    corners: dict[str, list[str]]
    known_failures: list[KnownFailures]
    states: dict[str, State] = msgspec.field(default_factory=dict)
    faults: list[str] = msgspec.field(default_factory=list)
    schema: Count = 0

    def misfits(self) -> None:
        """As `Document.misfits`."""
        _written_by_now(self.schema)
        _names("options.dtypes", self.options.dtypes, KNOWN)
        _once("options.ops", self.options.ops)
        for number, text in enumerate(self.options.own):
            _case_of(("options", "own", number), text.partition(":")[0], text)
        for op, dtypes in self.operations.items():
            for dtype, outputs in dtypes.items():
                if dtype not in KNOWN:
                    raise MisfitError(("operations", op, dtype), f"one of {', '.join(KNOWN)}", dtype)
                for output, figures in outputs.items():
                    at = ("operations", op, dtype, output)
                    _output(at, op, output)
                    if figures.cases > self.options.cases + len(self.options.own):
                        most = f"at most the {self.options.cases} of options.cases"
                        raise MisfitError((*at, "cases"), most, figures.cases)
        for number, text in enumerate(self.faults):
            words = text.split(" ")
            op, _, output = words[0].partition(".")
            if len(words) != 2 or not fault(words[1]):
                raise MisfitError(("faults", number), "OPERATION.OUTPUT and a fault of form", text)
            _output(("faults", number), op, output)
        known: set[tuple[str, str]] = set()
        for number, group in enumerate(self.known_failures):
            op, _, output = group.output.partition(".")
            _output(("known_failures", number, "output"), op, output)
            for i, text in enumerate(group.cases):
                place = ("known_failures", number, "cases", i)
                _case_of(place, op, text)
                if (text, output) in known:
                    raise MisfitError(place, "each failure once", text)
                known.add((text, output))


class Settings(msgspec.Struct):
    """How strictly an implementation was read."""

    conventions: dict[str, str]
    lenient_shapes: bool
    dialect: str | None = None
    device: str | None = None
    stress: bool = False
    model: str | None = None


class Run(Document):
    """``run.json``: what decides the records of a directory."""

    implementation: Name
    operations: Names
    dtypes: Names
    cases: Cases
    seed: Seed
    settings: Settings
    isolate: bool
    time_limit: Annotated[float, msgspec.Meta(gt=0)]
    shard: str
    own: list[str] = msgspec.field(default_factory=list)
    only: bool = False
    digest: str = ""
    schema: Count = 0

    def misfits(self) -> None:
        """As `Document.misfits`."""
        _written_by_now(self.schema)
        if self.schema == 0:
            raise MisfitError(
                ("schema",), f"{SCHEMA}: an earlier version began this run; start it anew", NOTHING
            )
        _names("operations", self.operations, {**OPERATIONS, MODEL: None})
        _names("dtypes", self.dtypes, KNOWN)
        for number, text in enumerate(self.own):
            if text.partition(":")[0] not in self.operations:
                raise MisfitError(("own", number), "a case of one of the operations", text)
            _case_of(("own", number), text.partition(":")[0], text)


class Summary(Document):
    """What a merge needs of a shard's ``summary.json``."""

    implementation: Name
    versions: dict[str, str]
    oracle: str
    seed: Seed
    arithmetic: str
    options: dict[str, Any]
    cases: Count
    passed: Count
    failed: Count
    absent: Count
    seconds: Seconds
    refused: Count = 0
    shape_remarks: Count = 0
    dialect: str = "contract"
    schema: Count = 0

    def misfits(self) -> None:
        """As `Document.misfits`."""
        _written_by_now(self.schema)
        total = self.passed + self.failed + self.absent + self.refused
        if total != self.cases:
            parts = f"passed + failed + absent + refused = {total}"
            raise MisfitError(("cases",), parts, self.cases)


def _written_by_now(number: int) -> None:
    if number > SCHEMA:
        raise MisfitError(("schema",), f"at most {SCHEMA}: a later version wrote it", number)


def _once(field: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise MisfitError((*field.split("."), i), "each name once", name)


def _names(field: str, names: list[str], known: Any) -> None:
    """Each of `names` is one that is `known`, and is there once."""
    _once(field, names)
    for i, name in enumerate(names):
        if name not in known:
            raise MisfitError((*field.split("."), i), f"one of {', '.join(known)}", name)


def _output(place: tuple[str | int, ...], op: str, output: str) -> None:
    """`output` is one of the operation's; an operation that the suite has no more is coverage lost."""
    if op in OPERATIONS and output not in OPERATIONS[op].outputs:
        raise MisfitError(place, f"an output of {op}, {' or '.join(OPERATIONS[op].outputs)}", output)


def _case_of(place: tuple[str | int, ...], op: str, text: str) -> None:
    """`text` is a case of `op`."""
    if text.partition(":")[0] != op:
        raise MisfitError(place, f"a case of {op}", text)
    if op in OPERATIONS:
        try:
            Case.parse(text)
        except ValueError:
            raise MisfitError(place, f"a case of {op}", text) from None


_LINE: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def record(line: bytes, to_the_byte: bool = True) -> Record:
    """The record that `line` is, with or without its line feed.

    Whoever keeps the line, or puts it beside others, wants it as it is written, `to_the_byte`.

    Raises
    ------
    SchemaError
        If `Record.line` did not write it, or it contradicts itself; the message names the field.
    """
    line = line.rstrip(b"\n")
    try:
        found = _LINE.decode(line)
        same = not to_the_byte or found.line().encode() == line
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SchemaError(f"not a record: {str(error)[:200]}; got {_start(line)}") from None
    if not same:
        raise SchemaError(f"not a record: {_unlike(found.line().encode(), line)}")
    try:
        consistent(found)
    except MisfitError as error:
        raise SchemaError(str(error)) from None
    return found


def _unlike(written: bytes, line: bytes) -> str:
    """Where a line first differs from the one that would have been written."""
    at = next(
        (i for i, (a, b) in enumerate(zip(written, line, strict=False)) if a != b),
        min(len(written), len(line)),
    )
    names = [name for name in Record.__slots__ if written.find(f'"{name}": '.encode()) <= at]
    start = written.find(f'"{names[-1]}": '.encode()) if names else 0
    return f"{names[-1] if names else 'case'}: expected {_start(written[start:])}, got {_start(line[start:])}"


def _start(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace"))


def consistent(record: Record) -> None:
    """Raise `MisfitError` for a record that is not of the case it names, or not of its status."""
    operation, family = OPERATIONS.get(record.op), FAMILIES.get(record.family)
    if operation is None and record.op != MODEL:
        raise MisfitError(("op",), "an operation of `conformance list`", record.op)
    parts = record.case.split(":", 4)
    if len(parts) != 5:
        raise MisfitError(("case",), "operation:dtype:parameters:family:seed", record.case)
    for name, part in zip(("op", "dtype", "family"), (parts[0], parts[1], parts[3]), strict=True):
        if getattr(record, name) != part:
            raise MisfitError((name,), f"{part}, which the case names", getattr(record, name))
    if operation is not None and record.output not in operation.outputs:
        raise MisfitError(("output",), f"{' or '.join(operation.outputs)} of {record.op}", record.output)
    if record.dtype not in KNOWN:
        raise MisfitError(("dtype",), f"one of {', '.join(KNOWN)}", record.dtype)
    if family is None:
        raise MisfitError(("family",), "a family of `conformance list`", record.family)
    if record.kind != family.kind:
        raise MisfitError(("kind",), f"{family.kind}, which {family.name} is", record.kind)
    if record.status not in STATUSES:
        raise MisfitError(("status",), f"one of {', '.join(STATUSES)}", record.status)
    _figures(record)


def _figures(record: Record) -> None:
    """The numbers of a record are numbers, and of its status."""
    ulp, fraction, seen = record.max_error_ulp, record.max_bound_fraction, record.detectability
    for name, value in (("max_error_ulp", ulp), ("max_bound_fraction", fraction)):
        if value is not None and not (value in ("inf", "nan") if isinstance(value, str) else value >= 0):
            raise MisfitError((name,), "a number that is not negative, inf or nan", value)
    for name, value in (("expected", record.expected), ("got", record.got)):
        if isinstance(value, str) and value not in WORDS:
            raise MisfitError((name,), f"a number, or {', '.join(WORDS)}", value)
    if seen is not None and not 0 <= seen <= 1:
        raise MisfitError(("detectability",), "a share, 0 to 1", seen)
    if record.index is not None and any(place < 0 for place in record.index):
        raise MisfitError(("index",), "places from 0", record.index)
    if record.tier is not None and record.tier not in TIERS:
        raise MisfitError(("tier",), f"one of {', '.join(TIERS)}", record.tier)
    if record.status == "failed":
        return
    if record.diagnosis is not None:
        raise MisfitError(("diagnosis",), f"none of what {record.status}", record.diagnosis)
    if record.status in ("absent", "refused"):
        if record.tier is not None:
            raise MisfitError(("tier",), f"none of what is {record.status}", record.tier)
    elif record.tier is None:
        raise MisfitError(("tier",), "the one that passed it", None)
    elif isinstance(fraction, str) or fraction is None or fraction > 1:
        raise MisfitError(("max_bound_fraction",), "at most 1 of what passed", fraction)
