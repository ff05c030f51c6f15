"""The form of the report: nothing under test can break it; small, self-contained, readable by anyone."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report_support import full_run, record, written

from conformance import report as package
from conformance.operations import OPERATIONS
from conformance.report.text import clean, error, repro

HOSTILE = "<script>alert('x')</script><b>&amp; \"q\" | `tick`\n```\u202e\x00\x1b[31m\ud800\ufffe ]]> @someone"


@pytest.fixture
def report(tmp_path):
    return partial(written, tmp_path)


def test_hostile_text_is_text_everywhere(report):
    records = [
        record(number=n, status="failed", reason=HOSTILE, diagnosis=HOSTILE, corner=HOSTILE) for n in range(3)
    ]
    result = report(records, implementation=HOSTILE, versions={HOSTILE: HOSTILE}, oracle=HOSTILE)
    tags = Counter(tag for tag, _ in result.page.elements)
    assert not tags.keys() & {"b", "img", "iframe", "object"}
    assert tags["script"] == 1, "the page's own alone"
    assert "<script>alert('x')</script><b>&amp;" in result.page.words
    assert not any(name.startswith("on") for _, attrs in result.page.elements for name in attrs)
    unescaped = re.sub(r"(?ms)^(`{3,})sh$.*?^\1$", "", result.markdown)
    assert "<" not in unescaped
    assert not re.search(r"@\w", unescaped)
    assert unescaped.count("`") == unescaped.count(r"\`"), "a backtick of the implementation opens code"
    for text in (result.html, result.markdown, result.junit):
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e\ufffe]", text)
    assert HOSTILE[:25] in result.tree.find(".//failure").text


def test_repro_line_survives_a_shell():
    for implementation in ("cnnref", "my kernels.py", "it's", "a;rm -rf b", "$HOME", "~/m.py:C", "é"):
        words = shlex.split(repro("conv_forward:f32:m1", implementation))
        assert words == ["conformance", "repro", "conv_forward:f32:m1", "--impl", implementation]
    assert repro("c", "~/m.py").endswith("'~/m.py'"), "a shell would expand it"


def test_markdown_fits_a_job_summary(report):
    records = full_run(6, "failed", reason="é€𝄞" * 400, diagnosis="x" * 500)
    many = [r.but(diagnosis=f"{n}{r.diagnosis}") for n, r in enumerate(records)]
    versions = {f"name{n}": "∑" * 900 for n in range(20)}
    markdown = report(many, versions=versions).markdown
    assert 40_000 < len(markdown.encode()) < 64 * 1024
    assert "### Run" in markdown
    assert "seed" in markdown.split("### Run")[1]
    assert re.search(r"… and \d+ further groups of failures", markdown)


def test_page_is_small_and_self_contained(report):
    records = list(full_run(170, "failed", reason="é" * 1200))
    assert len(records) > 10_000
    records = [r.but(diagnosis=f"reason-{n}") if n % 2 else r for n, r in enumerate(records)]
    result = report(records)
    assert len(result.html.encode()) < 25_000 * len(OPERATIONS)
    for tag, attrs in result.page.elements:
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert attrs.get(name, "#").startswith("#"), (tag, attrs)
    assert not re.search(r"@import|url\((?!#)", result.html)


def test_page_is_accessible(report):
    result = report([*full_run(1), record("relu", 9, "failed")])
    page = result.page
    assert page.named("html") == [{"lang": "en"}]
    assert "width=device-width" in next(
        a["content"] for a in page.named("meta") if a.get("name") == "viewport"
    )
    headers = page.named("th")
    assert headers
    assert all(header.get("scope") in ("col", "row", "colgroup", "rowgroup") for header in headers)
    identifiers = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)
    assert max(identifiers.values()) == 1
    links = {attrs["href"][1:] for attrs in page.named("a")}
    assert links
    assert links <= set(identifiers)
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.named("svg"))
    # Status is written, not only coloured.
    badges = re.findall(r'<span class="badge [^"]*">.*?</span>\s*(\w+)', result.html)
    assert set(badges) >= {"passed", "failed"}


def test_colours_have_contrast():
    """Text against what it stands on: 4.5 to 1 (WCAG 2.2, 1.4.3), in each scheme."""
    css = (Path(package.__file__).parent / "style.css").read_text(encoding="utf-8")
    schemes = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colour = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{3,6});", scheme))
        pairs = [(ink, "--page") for ink in ("--ink", "--muted", "--passed", "--failed", "--link")]
        pairs += [(f"--series-{n}", "--page") for n in (1, 2, 3, 4)]
        pairs += [("--passed", "--passed-soft"), ("--failed", "--failed-soft"), ("--muted", "--raised")]
        for ink, paper in pairs:
            light, dark = sorted((_luminance(colour[ink]), _luminance(colour[paper])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper, colour[ink], colour[paper])


def _luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_plots_name_every_output_and_their_units(report):
    html = report(full_run(1)).html
    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]
    assert len(drawings) == 2
    for svg, unit in zip(
        drawings, ("error / ULP of the output's dtype", "error / a-priori bound"), strict=True
    ):
        written = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert any(unit in text for text in written)
        assert {"f32 worst", "f64 worst", "median"} <= set(written)
        for op, operation in OPERATIONS.items():
            for output in operation.outputs:
                assert f"{op} {output}" in written
    assert not re.search(r"#(0[1-8])\1\1\b", html), "a stand-in colour reached the page"


def test_plots_have_a_far_end_only_for_what_lies_there(report):
    crosses = []

    def written_in(records):
        svgs = re.findall(r"<svg.*?</svg>", report(records).html, re.DOTALL)
        crosses.append([svg.count("var(--failed)") for svg in svgs])
        return [set(re.findall(r">([^<>]+)</text>", svg)) for svg in svgs]

    ulp, share = written_in([record(), record("relu", 2)])
    assert not ulp & {"&gt; 1,000", "fails"}
    assert "&gt; 100" not in share
    wrong = record("relu", 3, "failed", max_error_ulp="inf", max_bound_fraction=1e9)
    ulp, share = written_in([record(), wrong])
    assert {"&gt; 1,000", "fails"} <= ulp
    assert not any("e" in tick or "^" in tick for tick in ulp if tick[0].isdigit()), "an axis to 1e45"
    assert {"&gt; 100", "fails", "bound"} <= share
    ulp, _ = written_in([record("relu", 1, max_error_ulp=1.7e308), record("relu", 2, max_error_ulp="inf")])
    assert "&gt; 1,000" in ulp
    del crosses[-1]
    # Every mark has its colour written out; in a run that fails there are the crosses and their legend.
    written_in([record(), record("relu", 3), record("softmax", 4, "failed"), wrong])
    assert crosses[0][0] == 0 < crosses[1][0] < crosses[2][0]


def test_same_run_same_bytes(report):
    first, second = report(full_run(1)), report(full_run(1))
    assert (first.html, first.markdown, first.junit) == (second.html, second.markdown, second.junit)
    assert "<dc:date>" not in first.html


@pytest.mark.parametrize(
    ("number", "written"),
    [(None, "\u2013"), (0.0, "0"), (0.25, "0.25"), (12.345, "12.35"), (999.4, "999"), (1e6, "1.0e6"),
     (4e-5, "4.0e-5"), (float("inf"), "∞"), (float("nan"), "∞")],
)  # fmt: skip
def test_errors_are_written_short(number, written):
    assert error(number) == written


def test_clean_keeps_what_can_be_read():
    assert clean({"a\x00": ["é\n\t€", 1.5, None, "\ud800"]}) == {"a\ufffd": ["é\n\t€", 1.5, None, "\ufffd"]}
