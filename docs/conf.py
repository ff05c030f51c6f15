"""Sphinx: the site that ci/docs builds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extension"))

import cnnref

project = "cnnref and conformance"
author = "the authors of cnnref"
copyright = "the authors of cnnref, BSD-3-Clause"
version = release = cnnref.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated",
    "mathml",
    "pictures",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "extension", "_generated/*.md"]
# What is copied is what one types: no prompts, no output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "cnnref and conformance"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["reach.js"]
nitpicky = True
# Types that stand in docstrings as words, not as names of something documented here.
nitpick_ignore_regex = [("py:.*", r"(?!cnnref\.).*")]
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"

#: What every example may use; anything else it imports itself.
doctest_global_setup = """
import numpy as np
import cnnref
from cnnref import blog

np.set_printoptions(precision=4, suppress=True)
"""
