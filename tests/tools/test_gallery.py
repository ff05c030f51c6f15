"""The gallery of faults is of the catalogue that there is."""

import re
from pathlib import Path

from conformance.faults import CATALOGUE

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "gallery.md").read_text()


def test_every_fault_stands_in_it_with_its_words():
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))
    words = {slip.id: slip.text.replace("|", "\\|").replace("*", "\\*") for slip in CATALOGUE.values()}
    assert rows == words, "run ci/gallery"


def test_every_picture_is_there_and_small():
    linked = set(re.findall(r"\(gallery/([\w-]+\.png)\)", PAGE))
    assert len(linked) > 200
    assert linked == {path.name for path in (DOCS / "gallery").iterdir()}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (DOCS / "gallery").iterdir())
    assert sum(path.stat().st_size for path in (DOCS / "gallery").iterdir()) < 500_000


def test_the_readme_counts_them():
    (count,) = re.findall(r"a gallery of (\d+) faults", (DOCS.parent / "README.md").read_text())
    assert int(count) == len(CATALOGUE)
