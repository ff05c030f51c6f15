"""Screenshots of pages by width and colour scheme, what sticks out of them, and what axe-core finds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

OUT = Path("screens")
AXE = OUT / "package" / "axe.min.js"
_GRAVE = ("serious", "critical")


#: What README.md and the site's first page show.
PICTURE = Path("docs/report.png")


def main(arguments: list[str]) -> int:
    """Take them; 1 if a page is wider than its window, or axe-core finds something serious."""
    if arguments[:1] == ["--sheet"]:
        _sheet(Path(arguments[1]))
        return 0
    pages = [argument for argument in arguments if argument != "--picture"]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    wrong = 0
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if len(pages) < len(arguments):
            _picture(browser, Path(pages.pop(0)))
        for page in map(Path, pages):
            for width in (1280, 390):
                for scheme in ("light", "dark"):
                    wrong += _look(browser, page, width, scheme)
        browser.close()
    print(f"ci/screens: {len(pages)} pages, {wrong} findings{'' if AXE.exists() else '; axe-core not run'}")
    return int(wrong > 0)


def _sheet(path: Path) -> None:
    """A digit of the test, as if written small on a sheet of paper."""
    import numpy as np
    from PIL import Image

    from cnnref.classifier.data import digits

    sheet = np.full((300, 400), 230, np.uint8)
    sheet[150:230, 240:320] -= (190 * np.kron(digits().test.images[0, :, :, 0], np.ones((10, 10)))).astype(
        np.uint8
    )
    Image.fromarray(sheet).save(path)


def _picture(browser: Any, report: Path) -> None:
    """The top of a report, down to its first failure and the line that shows it again."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(report.resolve().as_uri())
    end = tab.evaluate("document.querySelector('#failures pre').getBoundingClientRect().bottom")
    tab.screenshot(path=PICTURE, full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": end + 24})
    print(f"ci/screens: {PICTURE}, {PICTURE.stat().st_size // 1024} KB")
    tab.close()


def _look(browser: Any, page: Path, width: int, scheme: str) -> int:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    name = f"{page.stem}-{width}-{scheme}"
    tab.screenshot(path=OUT / f"{name}.png", full_page=tab.evaluate("document.body.scrollHeight") < 15_000)
    found = []
    if (wide := tab.evaluate("document.documentElement.scrollWidth")) > width:
        found.append(f"is {wide} px wide")
    if AXE.exists():
        tab.add_script_tag(path=AXE)
        result = tab.evaluate("axe.run()")
        found += [
            f"{one['id']} ({one['impact']}, {len(one['nodes'])}): {one['nodes'][0]['html'][:120]}"
            for one in result["violations"]
            if one["impact"] in _GRAVE
        ]
    for text in found:
        print(f"{name}: {text}")
    context.close()
    return len(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
