"""The documentation site: `make docs` writes it to docs/_build/html."""

from importlib.metadata import version as installed

project = "Headrace"
author = "Headrace contributors"
project_copyright = "Headrace contributors, BSD-3-Clause"
release = version = installed("headrace")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "Headrace"
html_show_sourcelink = False
html_copy_source = False
