"""A line of ``results.jsonl``: what came of one output of one case."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from conformance.cases.case import Case
from conformance.generation.families import FAMILIES
from conformance.verdict.compare import Verdict

#: Every status there is. The numbers of cases with each add up to the number of cases.
STATUSES = ("passed", "failed", "absent", "refused")

#: How the reason of an output begins that passed in another shape, under ``--lenient-shapes``.
REMARK = "shape remark: "

#: How the reason of an output begins that passed under the accuracy asked of everybody, but not under a
#: stricter one.
TAILS = "tails remark: "
#: How the reason of an output begins that passed, and of which something else was seen.
NOTED = "remark: "

_ENCODE: Callable[[Any], str] = json.JSONEncoder(allow_nan=False).encode
_QUOTED: Callable[[str], str] = json.encoder.encode_basestring_ascii

#: Half of a surrogate pair, which an exception's text may hold and JSON that others read may not.
_HALF = re.compile("[\ud800-\udfff]")

#: The operation of the records of a `ModelNew` that is compared with a `Model` of several operations.
MODEL = "ModelNew"

Number = float | str | None


@dataclass(slots=True)  # not frozen: that takes as long again, for every output
class Record:
    """One output of one case, with the fields of a line in their order.

    ``kind`` is the family's, ``tier`` the one that judged; ``detectability`` the share of single
    dropped terms it would have seen; ``corner`` the corner case's name; ``diagnosis`` the known
    deviation that explains a failure exactly; ``form`` what of type, shape or dtype was not as asked for.
    """

    case: str
    op: str
    output: str
    dtype: str
    family: str
    kind: str
    status: str
    tier: str | None = None
    max_error_ulp: Number = None
    max_bound_fraction: Number = None
    index: list[int] | None = None
    expected: Number = None
    got: Number = None
    detectability: float | None = None
    corner: str | None = None
    reason: str = ""
    diagnosis: str | None = None
    form: str | None = None

    def line(self) -> str:
        """The record as one line of JSON, without the line feed."""
        q, j = _QUOTED, _json
        return (
            f'{{"case": {q(self.case)}, "op": {q(self.op)}, "output": {q(self.output)}, '
            f'"dtype": {q(self.dtype)}, "family": {q(self.family)}, "kind": {q(self.kind)}, '
            f'"status": {q(self.status)}, "tier": {j(self.tier)}, '
            f'"max_error_ulp": {j(self.max_error_ulp)}, "max_bound_fraction": {j(self.max_bound_fraction)}, '
            f'"index": {"null" if self.index is None else self.index}, "expected": {j(self.expected)}, '
            f'"got": {j(self.got)}, "detectability": {j(self.detectability)}, '
            f'"corner": {j(_whole(self.corner))}, '
            f'"reason": {q(_whole(self.reason))}, "diagnosis": {j(_whole(self.diagnosis))}, '
            f'"form": {j(_whole(self.form))}}}'
        )

    def but(self, **changes: Any) -> Record:
        """The same record with some fields changed."""
        return replace(self, **changes)


def blank(case: Case, output: str, status: str, corner: str | None = None, reason: str = "") -> Record:
    """A record without values: an absent function, an exception, a dead process."""
    kind = FAMILIES[case.family].kind
    return Record(
        str(case), case.op, output, case.dtype, case.family, kind, status, corner=corner, reason=reason
    )


def from_verdict(
    case: Case, output: str, verdict: Verdict, detectability: float | None, corner: str | None
) -> Record:
    """The record of a comparison."""
    return Record(
        str(case), case.op, output, case.dtype, case.family, FAMILIES[case.family].kind, verdict.status,
        tier=verdict.tier,
        max_error_ulp=plain(verdict.max_error_ulp),
        max_bound_fraction=plain(verdict.max_bound_fraction),
        index=None if verdict.index is None else list(verdict.index),
        expected=plain(verdict.expected),
        got=plain(verdict.got),
        detectability=detectability,
        corner=corner,
        reason=verdict.reason,
    )  # fmt: skip


def _whole(text: str | None) -> Any:
    """The text without halves of surrogate pairs."""
    return text if text is None or text.isascii() else _HALF.sub("\ufffd", text)


def _json(value: Number) -> str:
    """A field as JSON has it."""
    if value is None:
        return "null"
    if type(value) is float and math.isfinite(value):
        return repr(value)
    return _ENCODE(value)


def plain(value: float | None) -> Number:
    """A number as strict JSON takes it: NaN and infinities as words."""
    return value if value is None or math.isfinite(value) else str(value)


def number(written: Number) -> float:
    """A number that `plain` wrote; infinite where there is none, or it is NaN."""
    found = math.inf if written is None else float(written)
    return math.inf if math.isnan(found) else found


def case_status(records: list[Record]) -> str:
    """The status of a case from those of its outputs."""
    found = {record.status for record in records}
    if not found <= set(STATUSES) or not found:
        raise ValueError(f"statuses are {sorted(found)}, expected some of {', '.join(STATUSES)}")
    return next(status for status in ("failed", "refused", "absent", "passed") if status in found)
