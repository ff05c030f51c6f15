"""Records, summaries and pages that the tests of the report share."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from html.parser import HTMLParser
from xml.etree import ElementTree

from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS
from conformance.report import write
from conformance.verdict.record import Record

#: The fields of a record of a call that raised: there was nothing to compare.
RAISED = dict.fromkeys(
    ("tier", "max_error_ulp", "max_bound_fraction", "index", "expected", "got", "detectability")
)


def record(op="conv_forward", number=0, status="passed", **fields):
    """A record as the runner writes it, of a plausible case."""
    output = fields.pop("output", OPERATIONS[op].outputs[0])
    dtype = fields.pop("dtype", "f32")
    family = fields.pop("family", "normal")
    measured = {
        "tier": "statistical",
        "max_error_ulp": 1.5,
        "max_bound_fraction": 0.25,
        "index": [0, 1, 2, 3],
        "expected": 1.0,
        "got": 1.0000001,
        "detectability": 0.99,
    }
    if status == "failed":
        measured |= {"max_error_ulp": 4e6, "max_bound_fraction": 1e5, "expected": -0.125, "got": 0.5}
        measured["reason"] = "12 of 96 elements exceed the bound"
    if status == "absent":
        measured = {"reason": f"has no {op}"}
    case = f"{op}:{dtype}:m2h9w7c3_f3k4_s2p1:{family}:{number}"
    return Record(case, op, output, dtype, family, FAMILIES[family].kind, status, **{**measured, **fields})


def full_run(count, status="passed", **fields):
    """Records of every output of every operation in both dtypes."""
    for op, operation in OPERATIONS.items():
        for dtype in ("f32", "f64"):
            for number in range(count):
                for output in operation.outputs:
                    yield record(op, number, status, output=output, dtype=dtype, **fields)


def summary_of(records, **changes):
    statuses: dict[str, set[str]] = {}
    for r in records:
        statuses.setdefault(r.case, set()).add(r.status)
    order = ("failed", "absent", "passed")
    counts = Counter(next(s for s in order if s in found) for found in statuses.values())
    return {
        "implementation": "cnnref",
        "versions": {"python": "3.11.9", "torch": "2.13.0", "platform": "Linux-6.1-x86_64"},
        "oracle": "PyTorch autograd in float64",
        "seed": 17,
        "cases": len(statuses),
        "passed": counts["passed"],
        "failed": counts["failed"],
        "absent": counts["absent"],
        "comparisons": sum(r.status != "absent" for r in records),
        "seconds": 61.25,
        "detectability": {"exact": 1.0},
        "blind": 0,
        "options": {"ops": list(OPERATIONS), "dtypes": ["f32", "f64"], "cases": 200},
        "operations": {},
    } | changes


class Page(HTMLParser):
    """The elements of a page; a tag left open or closed twice is an error."""

    VOID = frozenset(("meta", "link", "br", "wbr", "img", "hr", "input"))

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def named(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


class Written:
    """The three files of a report as text, the page also as elements, the totals as a tree."""

    def __init__(self, directory):
        self.html, self.markdown, self.junit = (
            (directory / name).read_text(encoding="utf-8")
            for name in ("report.html", "report.md", "junit.xml")
        )

    @cached_property
    def page(self):
        return Page(self.html)

    @cached_property
    def tree(self):
        return ElementTree.fromstring(self.junit)


def written(directory, records, **changes):
    """Write the report of some records; return its three files."""
    every = list(records)
    path = directory / "results.jsonl"
    path.write_text("".join(r.line() + "\n" for r in every), encoding="utf-8")
    page = write(path, summary_of(every, **changes), directory / "out")
    assert page == directory / "out" / "report.html"
    return Written(directory / "out")


def verdict_of(result):
    """Whether the page says passed; the other two files have to say the same."""
    (header,) = result.page.named("header")
    passed = {"ok": True, "bad": False}[header["class"]]
    assert result.markdown.startswith("## ✅" if passed else "## ❌")
    assert (result.tree.get("failures") == "0") == passed
    return passed
