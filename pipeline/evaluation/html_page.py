"""Pages of HTML from templates, which escape whatever they are given."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2


def html_page(template: str, title: str, **given: Any) -> bytes:
    """A whole page that needs no other file.

    Args:
        template: name of a file in `templates`, which extends page.html.j2.
        title: of the page.
        given: what the template shows; figures as PNG bytes.
    """
    return _TEMPLATES.get_template(template).render(title=title, **given).encode()


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {
    "base64": lambda content: base64.b64encode(content).decode(),
    "thousands": lambda number: f"{number:,}",
}
