"""The documentation site: `make docs` writes it to docs/_build/html."""

from importlib.metadata import version as installed

project = "Headrace"
author = "Headrace contributors"
project_copyright = "Headrace contributors, BSD-3-Clause"
release = version = installed("headrace")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_mock_imports = ["keras", "tensorflow", "torch"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "Headrace"
html_show_sourcelink = False
html_copy_source = False
