"""bench.html: the rows of bench-rows.csv in a page that filters and sorts them, and loads nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

_HERE = Path(__file__).parent


def write(text: str) -> str:
    """The whole page for the rows `text`, as `listing.write` made them."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>cnnref: every measured row</title>\n'
        "<style>body { font: 0.9375rem/1.5 system-ui, sans-serif; margin: 1rem 3vw; }</style>\n"
        f"</head>\n<body>\n<main>\n<h1>Every measured row</h1>\n{part(text)}</main>\n</body>\n</html>\n"
    )


def part(text: str) -> str:
    """What stands in a page: the fields, the table, its rows, and the script that shows them."""
    head, *rows = csv.reader(io.StringIO(text))
    # No string of JSON may end the element that it stands in.
    data = json.dumps({"head": head, "rows": rows}, separators=(",", ":")).replace("<", "\\u003c")
    return _HERE.joinpath("page.html").read_text("utf-8").replace("{{ rows }}", data)
