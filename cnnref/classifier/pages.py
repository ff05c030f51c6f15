"""Pages that stand alone in one file: style, script and pictures inside, nothing fetched."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from cnnref.classifier.data import DataError

_HERE = Path(__file__).parent

#: Pictures that a page of predictions shows.
MOST = 100

#: Steps are open where no script runs; folded on a phone, where their maps would be many screens.
_SCRIPT = """
if (matchMedia("(max-width: 40rem)").matches)
  for (const step of document.querySelectorAll("details.step")) step.open = false;
"""


def require() -> None:
    """Refuse with one line where the page could not be made.

    Raises
    ------
    DataError
        If a package of the extra ``train`` is missing.
    """
    for package in ("jinja2", "matplotlib", "PIL", "tqdm"):
        try:
            __import__(package)
        except ImportError:
            raise DataError(
                f"{package} is not installed; training and its pages need: pip install 'cnnref[train]'"
            ) from None


def write(path: Path, template: str, content: dict[str, Any]) -> None:
    """Fill a template of this folder and put the page at `path`, all at once.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    # The name of a folder is text, never markup.
    jinja = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    page = jinja.get_template(template).render(
        content,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(_SCRIPT),
        script_hash=Markup(f"sha256-{b64encode(sha256(_SCRIPT.encode()).digest()).decode()}"),
    )
    part = path.with_name(path.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
