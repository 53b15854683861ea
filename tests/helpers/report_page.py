"""The page of a report, as tests read it."""

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """What a reader sees: titles, paragraphs, and tables as lists of rows.

    `grey` has the rows of `tables` that step back, `words` the marked words of hypotheses, `folded` the titles of what
    the reader unfolds.
    """

    def __init__(self, text: str):
        super().__init__()
        self.tables, self.sources, self.titles, self.paragraphs = [], [], [], []
        self.grey, self.folded, self.words, self.within = [], [], {"mark": [], "del": [], "i": []}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.within = tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
            self.grey += [self.tables[-1][-1]] * (("class", "grey") in attributes)
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self.sources += [value for key, value in attributes if key in ("src", "href")]
        assert tag not in ("script", "link", "iframe")

    def handle_data(self, data):
        if self.within in ("td", "th"):
            self.tables[-1][-1][-1] += data.strip().replace("\N{NO-BREAK SPACE}", " ")
        elif self.within in ("h1", "h2", "h3") and data.strip():
            self.titles.append(data.strip())
        elif self.within in self.words:
            self.words[self.within].append(data)
        elif self.within in ("p", "summary"):
            (self.paragraphs if self.within == "p" else self.folded).append(data.strip())

    def handle_endtag(self, tag):
        self.within = None


def page(folder: Path) -> Page:
    """The report in a folder."""
    return Page((folder / "report.html").read_text())
