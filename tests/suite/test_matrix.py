"""Several implementations side by side: a crash is a named failed case, and the others go on."""

import json
import re
import textwrap
from base64 import b64encode
from hashlib import sha256

import pytest

from conformance.cases.case import Case
from conformance.commands import cli
from conformance.conventions import Settings
from conformance.operations import select
from conformance.runs import matrix
from conformance.verdict.record import blank

DYING = """
import os, signal
from conformance.adapters.numpy_loops import *
from conformance.adapters import numpy_loops as n
differs = {
    "relu": {"relu-absolute": "It is <wrong> at odd places."},
    "pad3d": {lambda seen: seen.case["m"] == 0: "It dies of an empty batch."},
}

def pad3d(input, stride=1):
    if input.shape[0] == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    return n.pad3d(input, stride)

def relu(Z):
    return abs(Z), Z
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    place = tmp_path_factory.mktemp("matrix")
    dying = place / "dying.py"
    dying.write_text(textwrap.dedent(DYING))
    arguments = ["matrix", "--impl", "numpy_loops", str(dying), "no_such_peer", "--cases", "60"]
    status = cli.main([*arguments, "--ops", "pad3d", "relu", "--out", str(place / "out")])
    facts = json.loads((place / "out" / "matrix.json").read_text())
    return status, facts["implementations"], (place / "out" / "matrix.html").read_text()


def test_the_right_one_passes_and_the_dying_one_is_named(result):
    status, (right, dying, missing), page = result
    assert status == 1
    assert (right["passed"], right["failed"], right["crashed"]) == (240, 0, [])
    cell = dying["operations"]["pad3d"]
    assert cell["status"] == "differs"  # declared for empty batches; undeclared in test_differences
    assert cell["passed"] + cell["failed"] == 120  # the cases behind the crash went on
    assert cell["crashed"] == dying["crashed"]
    assert all(":m0" in case for case in cell["crashed"])
    assert cell["crashed"][0] in page
    assert "no such module" in missing["unusable"]
    assert "no such module" in page


def test_how_one_differs_is_one_sentence_and_text_not_markup(result):
    _, (_, dying, _), page = result
    assert dying["operations"]["relu"]["differs"] == "It is <wrong> at odd places."
    assert "It is &lt;wrong&gt; at odd places." in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_each_cell_leads_to_what_is_known_of_it_and_the_line_that_judges_it_again(result):
    _, (_, dying, _), page = result
    led = set(re.findall(r'href="#(peer-[\w-]+)"', page))
    assert led == {f"peer-{number}-{op}" for number in (1, 2) for op in ("pad3d", "relu")}
    assert led <= set(re.findall(r' id="([\w-]+)"', page))
    assert "<code>conformance run --impl numpy_loops --ops relu --cases 60 --seed 0</code>" in page
    spec, example = dying["implementation"], dying["operations"]["relu"]["example"]
    assert f"<code>conformance repro {example} --impl {spec}</code>" in page
    (script,) = re.findall(r"<script>(.*)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_a_process_that_dies_at_its_end_is_found(tmp_path, monkeypatch):
    late = tmp_path / "late.py"
    late.write_text(
        "import atexit, os\ndialect = 'contract'\nfrom conformance.adapters.numpy_loops import *\n"
        "from multiprocessing import util\nutil.Finalize(None, os.abort, exitpriority=1)\n"
    )
    case = "relu:f32:m1h2w3c4:small:0"
    monkeypatch.setattr(matrix, "HAZARDS", {case: "planted"})
    column = matrix.column(str(late), select(["relu"]), 2, 0, Settings())
    assert column["crashed"] == [case]
    assert column["failed"] == 1
    right = matrix.column("numpy_loops", select(["relu"]), 2, 0, Settings())
    assert (right["failed"], right["crashed"], right["passed"]) == (0, [], 5)


def test_an_overflow_that_the_bound_allows_is_a_word_in_the_json(tmp_path):
    """An infinity where the right answer is next to the largest number passes, infinitely many ULPs off."""
    cell = matrix.Cell()
    case = Case.parse("relu:f32:m1h2w3c4:small:0")
    passed = blank(case, "A", "passed", None, "").but(max_error_ulp="inf", max_bound_fraction="inf")
    cell.add([passed])
    column = {"implementation": "large", "seconds": 1.0, "operations": {"relu": cell.to_dict()}}
    facts = {**matrix.column("numpy_loops", select(["relu"]), 1, 0, Settings()), **column}
    page = matrix.write([facts], {"cases": 1, "seed": 0}, tmp_path).read_text()
    kept = json.loads((tmp_path / "matrix.json").read_text())["implementations"][0]["operations"]["relu"]
    assert (kept["status"], kept["max_error_ulp"], kept["max_bound_fraction"]) == ("passed", "inf", "inf")
    assert "inf of bound" in page
