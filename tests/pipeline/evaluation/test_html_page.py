"""Pages show what they are given as text, whatever it holds."""

from __future__ import annotations

from html.parser import HTMLParser

from headrace.pipeline.evaluation.html_page import html_page

HOSTILE = "</pre><script>alert('1')</script> & \"x\""


def test_names_of_a_stranger_are_text_wherever_they_stand() -> None:
    page = html_page(
        "ablation.html.j2",
        title=HOSTILE,
        heading=HOSTILE,
        columns=(HOSTILE,),
        rows=[(HOSTILE,)],
        reading=[HOSTILE],
        figure=b"\x89PNG",
        runs=[HOSTILE, HOSTILE],
        config=HOSTILE,
    ).decode()
    found = _Page()
    found.feed(page)
    assert "script" not in found.tags
    assert "".join(found.texts).count(HOSTILE) == 9
    assert 'src="data:image/png;base64,iVBORw=="' in page


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
