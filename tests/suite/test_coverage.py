"""The page of options: what was compared, in which pairs, and what was not reached."""

import json

import report_support

from conformance.cases.case import Case
from conformance.generation import covering
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS
from conformance.report import write
from conformance.report.coverage import Coverage, matrix

OP = "pool_forward"


def covered(cases, status="passed"):
    found = Coverage()
    for case in cases:
        found.add(case, status)
    return found.to_dict()


def test_a_run_reaches_every_kind_and_every_pair():
    cases = list(generate([OPERATIONS[OP]], ["f32"], 200, 4))
    found = covered(cases)[OP]
    assert found["missing"] == []
    assert len(found["pairs"]) == len(covering.pairs(OP))
    for name, option in found["options"].items():
        assert option["meaning"]
        assert sum(counts["compared"] for counts in option["kinds"].values()) == len(cases)
        assert all(counts["compared"] for counts in option["kinds"].values()), name


def test_what_is_absent_or_was_not_drawn_is_said_to_be_missing():
    case = Case.parse(f"{OP}:f32:m2h9w7c3_f3x2s2_max_p1:normal:1")
    found = covered([case])[OP]
    assert found["pairs"]["f=tall p=even"] == {"compared": 1, "failed": 0, "absent": 0}
    assert "f=tall p=even" not in found["missing"]
    assert "f=wide p=even" in found["missing"]
    assert "mode=max border=exclude" not in found["pairs"]  # does not go together
    absent = covered([case], "absent")[OP]
    assert absent["options"]["p"]["kinds"]["even"] == {"compared": 0, "failed": 0, "absent": 1}
    assert len(absent["missing"]) == len(absent["pairs"])
    failed = covered([case], "failed")[OP]
    assert failed["options"]["f"]["kinds"]["tall"] == {"compared": 1, "failed": 1, "absent": 0}


def test_operations_without_options_are_left_out():
    assert covered([Case.parse("relu:f32:m2h9w7c3:normal:1")]) == {}


def test_the_matrix_has_each_pair_once():
    found = covered(list(generate([OPERATIONS[OP]], ["f32"], 200, 4)))[OP]
    rows = matrix(found)
    cells = [cell for row in rows for cell in row["cells"] if cell is not None]
    assert len(cells) == len(found["pairs"])
    assert all(len(row["cells"]) == place for place, row in enumerate(rows))


def test_the_reports_show_it(tmp_path):
    records = [report_support.record()]
    summary = report_support.summary_of(records)
    summary["coverage"] = covered([Case.parse(f"{OP}:f32:m2h9w7c3_f3x2s2_max_p1:normal:1")])
    results = tmp_path / "results.jsonl"
    results.write_text("".join(record.line() + "\n" for record in records))
    write(results, json.loads(json.dumps(summary)), tmp_path)
    page, plain = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    reached = len(summary["coverage"][OP]["pairs"]) - len(summary["coverage"][OP]["missing"])
    assert f"{reached} of {len(covering.pairs(OP))} pairs reached" in page
    assert "not reached" in page
    assert "<code>rounding</code>rounding of the output" in page
    assert "Not reached: " in page
    assert f"| {reached} of {len(covering.pairs(OP))} |" in plain
    assert "p ceil **not reached**" not in plain
    assert "rounding ceil **not reached**" in plain
