"""What the page leads to and hides: failures, what is not declared, words beside figures, its script."""

from __future__ import annotations

import re
import shutil
import subprocess
from base64 import b64encode
from functools import partial
from hashlib import sha256

import pytest
from report_support import record, summary_of, written

from conformance.cases.case import Case
from conformance.report import terms, write
from conformance.report.coverage import Coverage, with_undeclared
from conformance.report.made import made, revision
from conformance.report.text import ulp


@pytest.fixture
def report(tmp_path):
    return partial(written, tmp_path)


def test_a_row_leads_to_its_failures_and_says_them_in_words(report):
    records = [
        record(number=n, status="failed", diagnosis=fault)
        for n, fault in enumerate(("bias-forgotten", "bias-forgotten", "filter-transposed", None))
    ]
    html = report([*records, record("relu", 9)]).html
    row = re.search(r'<th scope="row" class="output">Z</th>.*?</tr>', html, re.DOTALL)[0]
    places = re.findall(r'href="#(failure-\d+)"', row)
    assert len(places) == 4  # the count, and each diagnosis
    for place in places:
        assert html.count(f'id="{place}"') == 1
    assert "The bias is not added" in row
    group = html[html.index(f'id="{places[1]}"') :]
    assert "conformance explain bias-forgotten" in group[: group.index("</details>")]
    passed = re.search(r'<th scope="row" class="output">A</th>.*?</tr>', html, re.DOTALL)[0]
    assert "href" not in passed


def test_absent_functions_are_folded(report):
    html = report([record(), record("sigmoid", 0, "absent"), record("softmax", 0, "absent")]).html
    (aside,) = re.findall(r'<details class="aside">.*?</details>', html, re.DOTALL)
    assert "2 functions are absent" in aside
    assert "sigmoid" in aside
    assert "conv_" not in aside
    assert 'class="aside"' not in report([record()]).html


OP = "pool_forward"


def covered(*cases):
    seen = Coverage()
    for text, status in cases:
        seen.add(Case.parse(text), status)
    return seen.to_dict()[OP]


def test_what_is_not_declared_is_told_from_what_was_not_reached():
    plain = f"{OP}:f32:m2h9w7c3_f3s2_max:normal:1"
    padded = f"{OP}:f32:m2h9w7c3_f3s2_max_p1:normal:1"
    before = covered((plain, "passed"))
    after = with_undeclared(covered((plain, "passed"), (padded, "absent")))
    assert after["declared"]
    kinds = after["options"]["p"]["kinds"]
    assert not kinds["none"]["undeclared"]
    assert all(kinds[kind]["undeclared"] for kind in kinds if kind != "none")
    assert not any(kind["undeclared"] for kind in after["options"]["d"]["kinds"].values())
    assert set(after["missing"]) < set(before["missing"])
    assert not any("p=even" in name for name in after["missing"])
    assert after["wanted"] + after["undeclared"] == len(after["pairs"])
    assert with_undeclared(before)["undeclared"] == 0
    assert not with_undeclared(covered((plain, "absent")))["declared"]


def test_on_the_page_it_is_grey_and_folded(report):
    absent = {OP: covered((f"{OP}:f32:m2h9w7c3_f3s2_max_p1:normal:1", "absent"))}
    html = report([record()], coverage=absent).html
    (shown,) = re.findall(rf"<details[^>]*>\s*<summary><code>{OP}</code>.*?</details>", html, re.DOTALL)
    assert shown.startswith('<details class="aside">')
    assert "not compared, so no option of it either" in shown
    reached = {OP: covered((f"{OP}:f32:m2h9w7c3_f3s2_max_p1:normal:1", "passed"))}
    html = report([record()], coverage=reached).html
    (shown,) = re.findall(rf"<details[^>]*>\s*<summary><code>{OP}</code>.*?</details>", html, re.DOTALL)
    assert shown.startswith("<details open>")
    assert "not reached" in shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "\u2013"),
        (0.5, "0.50"),
        (1000, "1,000"),
        (1000.5, "> 1,000"),
        (1e45, "> 1,000"),
        (float("inf"), "∞"),
    ],
)
def test_errors_beyond_a_thousand_ulps_are_all_as_wrong(number, shown):
    assert ulp(number) == shown


def test_figures_have_words(report):
    words = report([record()]).page.words
    for text in (*terms.FIGURES.values(), *terms.TIERS.values()):
        assert text in words
    assert "No case is blind" in words
    blind = report([record()], blind=2).page.words
    assert "2 cases are blind" in blind
    assert "No case is blind" not in blind


def test_the_script_is_the_one_that_the_page_allows(report):
    html = report([record()]).html
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    allowed = re.search(r"script-src '(sha256-[^']+)'", html)[1]
    assert allowed == f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"
    assert not re.search(r"fetch|XMLHttp|import|eval|innerHTML", script)


def test_date_and_machine_are_on_the_page_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/some/where/conformance", "run", "--impl", "my kernels.py"])
    repository = tmp_path / "theirs"
    repository.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    facts = made(str(repository / "kernels.py:Class"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", facts["date"])
    assert re.fullmatch("[0-9a-f]{40}", facts["revision"])
    assert facts["command"] == "conformance run --impl 'my kernels.py'"
    assert "processors" in facts["machine"]
    assert "revision" not in made("exec:./program")
    assert "revision" not in made("no_such_module_at_all")
    assert revision(tmp_path) == "", "no repository there"
    records = tmp_path / "results.jsonl"
    records.write_text(record().line() + "\n", encoding="utf-8")
    summary = summary_of([record()])
    page = write(records, summary, tmp_path / "out", facts)
    assert facts["revision"] in page.read_text()
    assert not any(facts["revision"] in path.read_text() for path in page.parent.iterdir() if path != page)
    assert "date" not in summary


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
def test_in_a_browser_the_script_adds_its_buttons(report, tmp_path):
    failed = [record(number=n, status="failed", diagnosis=f"d{n}") for n in range(2)]
    page = tmp_path / "page.html"
    page.write_text(report(failed).html, encoding="utf-8")
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.count(">Copy</button>") == page.read_text().count("<pre ") > 0
    assert re.search(r'<th[^>]*data-column="\d+"[^>]*><button type="button">failed</button>', done.stdout)
    assert "Copy" not in page.read_text().partition("<script>")[0]
