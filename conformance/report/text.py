"""How numbers, names and commands are written in every form of the report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from conformance.verdict.compare import FAR_ULP

# What no report may carry: control characters and lone surrogates (illegal in XML, not encodable as
# UTF-8), the two non-characters XML forbids, and the marks that reorder the text a reader sees.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


#: Stands where there is no number: an en dash.
NOTHING = "\u2013"


def clean(value: Any) -> Any:
    """Return `value` (text, or JSON holding text) with every unprintable character made U+FFFD."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, an ellipsis last where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str) -> str:
    """Return `text` with every run of white space made one space."""
    return " ".join(text.split())


def whole(number: int) -> str:
    """Write a count: ``9,600``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Write a count and its noun: ``1 case``, ``9,600 cases``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def error(number: float | None) -> str:
    """Write an error (in ULPs, or as a share of the bound), decimal points under each other in a column."""
    if number is None:
        return NOTHING
    if math.isnan(number) or math.isinf(number):
        return "∞"
    if number == 0:
        return "0"
    if 0.01 <= abs(number) < 100:
        return f"{number:.2f}"
    if 100 <= abs(number) < 1e6:
        return f"{number:,.0f}"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def ulp(number: float | None) -> str:
    """Write an error in ULPs; of one that is nothing but wrong only that."""
    far = number is not None and FAR_ULP < number < math.inf
    return f"> {FAR_ULP:,}" if far else error(number)


def value(item: Any) -> str:
    """Write one array element in full: the shortest digits that read back as the same number."""
    if item is None:
        return NOTHING
    return repr(item) if isinstance(item, float) else str(item)


def index(item: Any) -> str:
    """Write the index of an element: ``[0, 3, 2, 1]``."""
    return NOTHING if item is None else str(item)


def listed(names: Iterable[str], limit: int) -> str:
    """Write names with commas, no more than `limit` of them."""
    every = list(names)
    more = len(every) - limit
    return ", ".join(every[:limit]) + (f" and {more} more" if more > 0 else "")


def repro(case: str, implementation: str) -> str:
    """Return the command that runs one case again, ready to paste into a shell."""
    return f"conformance repro {_quoted(case)} --impl {_shell(implementation)}"


def rerun(finding: Mapping[str, Any], implementation: str) -> str:
    """The command that shows a finding again: its smallest case, or where that is right by itself the run."""
    if finding.get("alone", True):
        return repro(finding["shrunk"], implementation)
    return f"conformance run --impl {_shell(implementation)} --ops {finding['case'].partition(':')[0]}"


def _shell(text: str) -> str:
    return text if re.fullmatch(r"[\w./:@%+=,-]+", text, re.ASCII) else _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
