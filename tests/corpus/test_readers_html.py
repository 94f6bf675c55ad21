import io
import zipfile

import pytest

from raft_cli.corpus.readers.epub import read_epub
from raft_cli.corpus.readers.html import convert_html, read_html
from raft_cli.corpus.readers.result import Unreadable


def convert(html: str) -> str:
    return convert_html(html)[0]


def test_structure_becomes_markdown() -> None:
    html = (
        "<h1>Big <em>title</em></h1><p>Some <b>bold</b> te<i>xt</i><br>next <code>x = 1</code></p>"
        "<h2><div>Inner</div></h2><ul><li>one<ul><li>deep</li></ul></li><li><p>two</p></li></ul>"
        "<ol start=3><li>c</li><li>d</li></ol>"
    )
    assert convert(html) == (
        "# Big title\n\nSome bold text\nnext `x = 1`\n\n## Inner\n\n- one\n  - deep\n- two\n\n3. c\n4. d"
    )


def test_code_keeps_its_lines() -> None:
    html = '<pre><code class="language-py">def f():\n    # note\n    return 1\n</code></pre><pre>a<br>b</pre>'
    assert convert(html) == "```py\ndef f():\n    # note\n    return 1\n```\n\n```\na\nb\n```"


def test_a_fence_is_longer_than_those_inside() -> None:
    assert convert("<pre>```\nx\n```</pre>") == "````\n```\nx\n```\n````"


def test_tables() -> None:
    html = (
        "<table><caption>Limits</caption><tr><th>Model<th>Limit | unit</tr><tr><td rowspan=2>K100<td>1 A</tr>"
        "<tr><td><p>2</p><p>A</p></tr><tr><td colspan=2>none</table>"
    )
    assert convert(html).endswith(
        "| Model | Limit \\| unit |\n| --- | --- |\n| K100 | 1 A |\n| K100 | 2 A |\n| none |  |"
    )


def test_layout_tables_are_transparent() -> None:
    html = "<table><tr><td><h1>T</h1><p>text</p><td><table><tr><td>a<td>b</table></table>"
    assert convert(html) == "# T\n\ntext\n\n| a | b |\n| --- | --- |"
    assert convert("<table><tr><td><p>one</p><p>two</p></table>") == "one\n\ntwo"


def test_furniture_is_left_out() -> None:
    html = (
        "<head><style>p{}</style><title>Site</title></head><nav>menu</nav><header><h1>T</h1></header>"
        "<div role=navigation>x</div><aside>ad</aside><p>body<script>1</script></p><footer>foot</footer><!-- c -->"
    )
    assert convert(html) == "# T\n\nbody"


def test_main_is_preferred_when_it_holds_the_text() -> None:
    assert convert(f"<div>menu</div><main><p>{'word ' * 60}</p></main>") == ("word " * 60).strip()
    assert convert("<div>menu</div><main></main><p>text</p>") == "menu\n\ntext"


def test_chinese_lines_are_joined_without_a_space() -> None:
    assert convert("<p>网关的\n   保修期为 36\n个月</p>") == "网关的保修期为 36 个月"


def test_what_looks_like_a_heading_is_none() -> None:
    assert convert("<p># apt install</p>") == "    # apt install"


def test_titles() -> None:
    assert convert_html("<title>Site</title><h2>Head</h2>")[1] == "Head"
    assert convert_html("<title>Site</title><p>text")[1] == "Site"
    assert read_html(b"<p>text", "x/page.html")[0][0].title == "page"


@pytest.mark.parametrize("encoding", ["gb2312", "utf-8", "big5", "shift_jis"])
def test_declared_encodings(encoding: str) -> None:
    html = f'<meta http-equiv="Content-Type" content="text/html; charset={encoding}"><p>中文'
    assert read_html(html.encode(encoding), "a.html")[0][0].text == "中文"


@pytest.mark.parametrize("tag", ["div", "ul><li", "blockquote", "table><tr><td", "b", "span", "h1", "pre"])
def test_deep_nesting(tag: str) -> None:
    assert "deep" in convert(f"<{tag}>" * 5000 + "deep")


def test_xhtml_with_empty_elements() -> None:
    html = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><a id="x"/><p>text<br/>more</p>'
    assert convert(html) == "text\nmore"


def test_hostile_entities_do_not_expand() -> None:
    html = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><p>&b;text</p>'
    assert len(convert(html)) < 60


CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
PACKAGE = (
    '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf">'
    "<metadata><dc:title>The Book</dc:title></metadata>"
    '<manifest><item id="b" href="b.xhtml"/><item id="a" href="text/a%20one.xhtml"/><item id="n" href="n.xhtml" '
    'properties="nav"/></manifest>'
    '<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/>{}</spine></package>'
)


def make_epub(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


BOOK = {
    "META-INF/container.xml": CONTAINER,
    "OPS/book.opf": PACKAGE.format(""),
    "OPS/n.xhtml": "<p>contents</p>",
    "OPS/b.xhtml": "<h1>Two</h1><p>second</p>",
    "OPS/text/a one.xhtml": "<?xml version='1.0' encoding='utf-8'?><h1>One</h1><p>第一章</p>",
}


def test_epub_in_the_order_of_its_spine() -> None:
    [document], problems = read_epub(make_epub(BOOK), "a.epub")
    assert not problems
    assert (document.title, document.text) == ("The Book", "# One\n\n第一章\n\n# Two\n\nsecond")


def test_epub_with_a_missing_page() -> None:
    package = PACKAGE.format('<itemref idref="z"/>').replace("b.xhtml", "gone.xhtml")
    [document], [problem] = read_epub(make_epub(BOOK | {"OPS/book.opf": package}), "a.epub")
    assert document.text == "# One\n\n第一章"
    assert (problem.reason, "OPS/gone.xhtml" in problem.detail) == ("bad-record", True)


def test_locked_epub() -> None:
    lock = '<encryption><enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
    with pytest.raises(Unreadable) as raised:
        read_epub(make_epub(BOOK | {"META-INF/encryption.xml": lock}), "a.epub")
    assert raised.value.reason == "encrypted"


def test_archive_that_is_no_epub() -> None:
    with pytest.raises(Unreadable) as raised:
        read_epub(make_epub({"a.txt": "x"}), "a.epub")
    assert raised.value.reason == "damaged"
