"""HTML as Markdown: what a page says, without how it looks.

Made for pages as they are: tags that never close, tables for layout, several megabytes of them. One
pass, no recursion; whatever is not understood is text.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Dict, List, Optional, Tuple
from urllib.parse import urljoin

Attributes = List[Tuple[str, Optional[str]]]

SILENT = frozenset((
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas",
    "select",
))  # fmt: skip
BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
    "h4", "h5", "h6", "header", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "p",
    "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
))  # fmt: skip
MARKS = {"b": "**", "strong": "**", "em": "*", "i": "*", "del": "~~", "s": "~~"}
CODE = frozenset(("code", "kbd", "samp", "tt"))
MAIN = ("main", "article")
LEAST_MAIN_CHARS = 200
NESTING_MAX = 12
CELLS_MAX = 50
BREAK = "\x0b"  # stands for a line break until its block is whole
_SPACE = re.compile(r"[ \t\r\n\f]+")
_BREAKS = re.compile(r"\s*\x0b\s*")
_IN_LINKS = {ord(char): "%%%02X" % ord(char) for char in " ()<>\n\t"}
_FENCES = re.compile(r"`{3,}")


class Page(HTMLParser):
    """Feed it a page; `text` is its Markdown, `title` what the page calls itself."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._base = url
        self._blocks: List[str] = []
        self._line: List[str] = []
        self._silent = ""
        self._lists: List[int] = []  # numbers of ordered lists, -1 for bullets
        self._item = ""
        self._quotes = 0
        self._heading = 0
        self._pre: Optional[List[str]] = None
        self._in_title = False
        self._links: List[Tuple[str, int]] = []
        self._cells: Optional[List[str]] = None
        self._in_cell = False
        self._rows = 0
        self._main: Dict[str, Tuple[int, int]] = {}

    @property
    def text(self) -> str:
        """The main part where the page says which that is, else all of it."""
        if self._pre is not None:
            self._end_pre()
        self._end_row()
        self._flush()
        for tag in MAIN:
            first, last = self._main.get(tag, (0, 0))
            part = _joined(self._blocks[first : last or len(self._blocks)])
            if tag in self._main and len(part) >= LEAST_MAIN_CHARS:
                return part
        return _joined(self._blocks)

    # What the parser tells.

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._silent:
            return
        if tag in SILENT:
            self._silent = tag
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "base" and given.get("href"):
            self._base = self._absolute(given["href"])
        elif tag == "br":
            self._pre.append("\n") if self._pre is not None else self._say(BREAK)
        elif tag == "img":
            self._say("![%s]" % given["alt"] if given.get("alt") else "")
        elif tag == "a":
            self._links.append((given.get("href", ""), len(self._line)))
        elif tag in CODE and self._pre is None:
            self._line.append("`")
        elif tag in MARKS and self._pre is None:
            self._line.append(MARKS[tag])
        elif tag in ("td", "th"):
            self._end_cell()
            self._in_cell = self._cells is not None
        elif tag in BLOCKS:
            self._begin(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            self._silent = "" if tag == self._silent else self._silent
        elif tag == "title":
            self._in_title = False
        elif tag == "a":
            self._end_link()
        elif tag in CODE and self._pre is None:
            self._line.append("`")
        elif tag in MARKS and self._pre is None:
            self._line.append(MARKS[tag])
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag in BLOCKS:
            self._end(tag)

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._in_title:
            self.title = _SPACE.sub(" ", self.title + data).strip()
        elif self._pre is not None:
            self._pre.append(data)
        else:
            self._say(data)

    # Blocks.

    def _begin(self, tag: str, given: Dict[str, str]) -> None:
        if self._cells is not None and tag not in ("tr", "table", "tbody", "thead", "tfoot"):
            self._say(" ")  # a block in a cell is a part of its line
            return
        self._flush()
        if tag in MAIN and tag not in self._main:
            self._main[tag] = (len(self._blocks), 0)
        elif tag in ("ul", "ol", "menu"):
            self._lists.append(int(given.get("start") or 1) - 1 if _number(given) else -1)
            self._lists[-1] = self._lists[-1] if tag == "ol" else -1
        elif tag == "li":
            self._item = self._bullet()
        elif tag == "blockquote":
            self._quotes += 1
        elif tag == "pre":
            self._pre = []
        elif tag == "hr":
            self._blocks += ["", "---", ""]
        elif tag == "table":
            self._rows = 0
        elif tag == "tr":
            self._end_row()
            self._cells = []
        elif tag[0] == "h" and tag[1:].isdigit():
            self._heading = int(tag[1:])
        elif tag == "dd":
            self._item = "  "

    def _end(self, tag: str) -> None:
        if tag in ("tr", "table"):
            self._end_row()
        elif self._cells is not None:
            self._say(" ")
            return
        if tag == "pre":
            self._end_pre()
        self._flush()
        if tag in MAIN and self._main.get(tag, (0, 1))[1] == 0:
            self._main[tag] = (self._main[tag][0], len(self._blocks))
        elif tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
            self._gap()
        elif tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        elif tag == "table":
            self._cells = None
            self._gap()

    def _flush(self) -> None:
        """End the line that is being filled."""
        text = _SPACE.sub(" ", "".join(self._line)).strip().strip(BREAK)
        self._line, self._links = [], []
        heading, self._heading = self._heading, 0
        if not text or not text.strip("*`~"):
            return
        item, self._item = self._item, ""
        if heading:
            text = "%s %s" % ("#" * heading, text.replace(BREAK, " "))
        if self._cells is not None:
            return
        text = _BREAKS.sub("\n", text)
        quote = "> " * min(self._quotes, NESTING_MAX)
        if item:
            self._blocks.append(quote + item + text)
        elif self._lists:
            self._blocks.append(quote + "  " * min(len(self._lists), NESTING_MAX) + text)
        else:
            self._gap()
            self._blocks += [quote + text, ""]

    def _gap(self) -> None:
        if self._blocks and self._blocks[-1]:
            self._blocks.append("")

    def _bullet(self) -> str:
        depth = "  " * min(max(0, len(self._lists) - 1), NESTING_MAX)
        if self._lists and self._lists[-1] >= 0:
            self._lists[-1] += 1
            return "%s%d. " % (depth, self._lists[-1])
        return depth + "- "

    def _end_pre(self) -> None:
        text = "".join(self._pre or []).strip("\n")
        self._pre = None
        if text.strip():
            longest = max([2, *(len(fence) for fence in _FENCES.findall(text))])
            fence = "`" * (longest + 1)
            self._gap()
            self._blocks += [fence, text, fence, ""]

    def _end_cell(self) -> None:
        if self._cells is None:
            return
        text = "".join(self._line).replace(BREAK, " ").replace("|", "\\|")
        text = _SPACE.sub(" ", text).strip()
        if (text or self._in_cell) and len(self._cells) < CELLS_MAX:
            self._cells.append(text)
        self._line, self._links, self._in_cell = [], [], False

    def _end_row(self) -> None:
        if self._cells is None:
            return
        if "".join(self._line).strip():
            self._end_cell()
        cells, self._cells = self._cells, None
        self._line, self._in_cell = [], False
        while cells and not cells[-1]:
            cells.pop()
        if len(cells) == 1 and not self._rows:
            self._blocks.append(cells[0])
        elif cells:
            if not self._rows:
                self._gap()
            self._blocks.append("| %s |" % " | ".join(cells))
            if not self._rows:
                self._blocks.append("|%s" % (" --- |" * len(cells)))
            self._rows += 1

    # Parts of a line.

    def _say(self, text: str) -> None:
        self._line.append(text)

    def _end_link(self) -> None:
        if not self._links or self._pre is not None:
            return
        href, at = self._links.pop()
        text = _SPACE.sub(" ", "".join(self._line[at:])).strip()
        target = self._absolute(href) if href else ""
        if not text or not target or href.startswith(("#", "javascript:", "data:")):
            return
        before = " " if self._line[at:] and self._line[at][:1].isspace() else ""
        self._line[at:] = ["%s[%s](%s)" % (before, text, target)]

    def _absolute(self, href: str) -> str:
        try:
            return urljoin(self._base, href.strip()).translate(_IN_LINKS)
        except ValueError:
            return ""


def _joined(blocks: List[str]) -> str:
    kept = [block for at, block in enumerate(blocks) if block or (at and blocks[at - 1])]
    return "\n".join(kept).strip()


def _number(given: Dict[str, str]) -> bool:
    start = given.get("start", "1")
    return start.isascii() and start.isdigit() and len(start) < 9


def markdown(page: str, url: str) -> Tuple[str, str]:
    """A page as (title, Markdown)."""
    parser = Page(url)
    parser.feed(page)
    parser.close()
    return parser.title, parser.text
