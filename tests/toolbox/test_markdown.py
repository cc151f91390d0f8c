"""What becomes of HTML: a table of cases, and pages that mean no good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.toolbox.network.markdown import markdown

URL = "https://e.example/dir/page"

CASES = {
    "a paragraph": ("<p>one\n two</p><p>three", "one two\n\nthree"),
    "text without any tag": ("just & text", "just & text"),
    "headings": ("<h1>A <b>b</b></h1><h3>C</h3>d", "# A **b**\n\n### C\n\nd"),
    "emphasis and code": ("<em>a</em> <strong>b</strong> <code>c</code>", "*a* **b** `c`"),
    "a line break": ("<p>one<br>two<br/>\n three", "one\ntwo\nthree"),
    "a relative link": ('<a href="../x y">go</a>', "[go](https://e.example/x%20y)"),
    "a link with brackets": ('<a href="/a_(b)">x</a>', "[x](https://e.example/a_%28b%29)"),
    "links that lead nowhere": (
        '<a href="#top">a</a> <a href="javascript:x()">b</a> <a>c</a> <a href="/d"></a>',
        "a b c",
    ),
    "a link over a space": ('see<a href="/x"> this</a>', "see [this](https://e.example/x)"),
    "a base": ('<base href="https://o.example/"><a href="y">x</a>', "[x](https://o.example/y)"),
    "a list": ("<ul><li>a<li>b</ul>", "- a\n- b"),
    "a list in a list": ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n\n- c"),
    "a numbered list": ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
    "one that starts later": ("<ol start=7><li>a<li>b</ol>", "7. a\n8. b"),
    "one that starts nowhere": ('<ol start="x"><li>a</ol>', "- a"),
    "code keeps its shape": (
        "<pre><code>def f():\n\n\n    return <b>1</b>\n</code></pre>",
        "```\ndef f():\n\n\n    return 1\n```",
    ),
    "code with fences in it": ("<pre>```\nx</pre>", "````\n```\nx\n````"),
    "code that never ends": ("<pre>a\n b", "```\na\n b\n```"),
    "a quotation": ("<blockquote><p>a<p>b</blockquote>c", "> a\n\n> b\n\nc"),
    "a table": (
        "<table><tr><th>a<th>b</tr><tr><td>1|2<td><p>x<br>y</table>z",
        "| a | b |\n| --- | --- |\n| 1\\|2 | x y |\n\nz",
    ),
    "a table whose cells are closed, and some empty": (
        "<table><thead>\n<tr><th></th> <th>a</th> <th>b</th></tr>\n</thead><tbody>"
        "<tr><td>1</td><td></td><td>x</td></tr><tr><td>2</td><td>y</td></tr>"
        "<tr><td colspan=3>all</td></tr></tbody></table>",
        "|  | a | b |\n| --- | --- | --- |\n| 1 |  | x |\n| 2 | y |\n| all |",
    ),
    "a table for the layout": ("<table><tr><td><h1>Hi</h1><p>there</table>", "Hi there"),
    "pictures": ('<img src=x alt="a cat"> <img src=y>', "![a cat]"),
    "what is not text": ("<style>p{}</style><script>'</p>'</script>a<svg><text>b</svg>c", "ac"),
    "entities": ("&lt;b&gt; &amp;amp; &euro; &#x41; &bogus;", "<b> &amp; € A &bogus;"),
    "a rule": ("a<hr>b", "a\n\n---\n\nb"),
    "only the main part": (
        f"<nav>menu</nav><main><p>{'word ' * 60}</p></main><footer>foot</footer>",
        ("word " * 60).strip(),
    ),
    "a main part that is too small to be it": ("<nav>menu</nav><main>x</main>", "menu\n\nx"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_page(name: str) -> None:
    page, text = CASES[name]
    assert markdown(page, URL) == ("", text)


def test_the_title_is_apart() -> None:
    page = "<head><title>A\n &amp; b</title></head><body><title>no</title><p>c"
    assert markdown(page, URL)[0] == "A & b"


@pytest.mark.parametrize(
    "page",
    [
        "<p>" * 5_000,
        "<ul>" * 5_000 + "<li>x",
        "<blockquote>" * 5_000 + "x",
        "<table><tr><td>" * 2_000 + "x",
        "<a href=x>" * 2_000 + "y" + "</a>" * 2_000,
        "<pre>" + "`" * 200_000,
        "</p></ul></table></blockquote></a>" * 500,
        "<td>a</td></tr><li>b</pre><dd>c",
        '<a href="http://[">x</a><base href="http://[">',
    ],
)
def test_nesting_without_end_costs_no_stack(page: str) -> None:
    markdown(page, URL)


PIECES = """<p> </p> <table> </table> <tr> </tr> <td> </td> <ul> <ol> </ul> <li> <pre> </pre>
<a/href=x> </a> <b> </b> <code> </code> <h2> </h2> <br> <main> </main> <script> </script>
<blockquote> </blockquote> <dd> <title> </title> word | `"""


@given(st.lists(st.sampled_from(sorted(PIECES.split()))).map(" ".join))
def test_any_order_of_tags_is_a_page(page: str) -> None:
    title, text = markdown(page, URL)
    assert "\x0b" not in title + text
