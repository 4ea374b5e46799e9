"""Parts of a page of HTML without script: readable on a phone and when printed."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

STYLE = """
body { color: #111; background: #fff; font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { white-space: nowrap; padding: .2rem .8rem; border-bottom: 1px solid #ddd;
  text-align: right }
th:first-child, td:first-child { text-align: left }
.wide { overflow-x: auto }
img { max-width: 100%; height: auto }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto }
@media print { img, tr, pre { break-inside: avoid } pre { white-space: pre-wrap } }
.note { border-left: .3rem solid #d55e00; padding: .2rem .8rem; background: #fff6f0 }
"""


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; the first column is left-aligned, the others are numbers."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}</table></div>'


def image(description: str, png: bytes) -> str:
    """A figure within the page itself."""
    data = base64.b64encode(png).decode()
    return f'<p><img alt="{escape(description)}" src="data:image/png;base64,{data}"></p>'


def page(title: str, body: str) -> str:
    """A whole page that needs no other file."""
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
