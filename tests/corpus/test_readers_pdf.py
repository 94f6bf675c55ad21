from collections.abc import Sequence

import pytest

from raft_cli.corpus.readers.paragraphs import join_pages
from raft_cli.corpus.readers.pdf import read_pdf
from raft_cli.corpus.readers.result import Unreadable
from raft_cli.data import Document

LONG = (
    "The supply terminals of the gateway are tightened with half a newton metre, and",
    "the cross-section of the wires must lie between a half and two and a half square",
    "millimetres.",
)
CHINESE = (
    "红隼网关的供电端子以零点五牛米的力矩紧固，导线截面积必须介于零点五与二点五平",
    "方毫米之间。",
)
IMAGE = "q 100 0 0 100 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q"


def write_lines(lines: Sequence[str]) -> str:
    """Return page content that shows each line below the one before, Latin in F1 and all else in F2."""
    shown = []
    for line in lines:
        text = f"/F1 10 Tf ({line}) Tj" if line.isascii() else f"/F2 10 Tf <{line.encode('utf-16-be').hex()}> Tj"
        shown.append(f"{text} 0 -14 Td")
    return f"BT 40 740 Td {' '.join(shown)} ET"


def make_pdf(
    pages: Sequence[Sequence[str] | str],
    *,
    bookmarks: Sequence[tuple[int, str]] = (),
    title: str = "",
    trailer: str = "",
) -> bytes:
    """Write a PDF whose pages show lines of text, or whose content is given as a string."""
    count = len(pages)
    first = 8
    outline = first + 2 * count
    kids = " ".join(f"{first + 2 * i} 0 R" for i in range(count))
    objects = {
        1: f"<< /Type /Catalog /Pages 2 0 R /Outlines {outline} 0 R >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        4: "<< /Type /Font /Subtype /Type0 /BaseFont /Song /Encoding /UniGB-UCS2-H /DescendantFonts [5 0 R] >>",
        5: "<< /Type /Font /Subtype /CIDFontType0 /BaseFont /Song /FontDescriptor 6 0 R "
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> >>",
        6: "<< /Type /FontDescriptor /FontName /Song /Flags 4 /Ascent 800 /Descent -200 /CapHeight 700 /ItalicAngle 0 "
        "/StemV 80 /FontBBox [0 -200 1000 800] >>",
        7: f"<< /Title ({title}) >>",
    }
    for i, page in enumerate(pages):
        content = page if isinstance(page, str) else write_lines(page)
        objects[first + 2 * i] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first + 2 * i + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>"
        )
        objects[first + 2 * i + 1] = f"<< /Length {len(content.encode('latin-1'))} >>\nstream\n{content}\nendstream"
    last = outline + len(bookmarks)
    objects[outline] = f"<< /First {outline + 1} 0 R /Last {last} 0 R >>" if bookmarks else "<< >>"
    for i, (page_index, name) in enumerate(bookmarks, outline + 1):
        following = f"/Next {i + 1} 0 R" if i < last else ""
        objects[i] = (
            f"<< /Title ({name}) /Parent {outline} 0 R {following} /Dest [{first + 2 * page_index} 0 R /Fit] >>"
        )
    body = b"%PDF-1.4\n"
    offsets = []
    for number, content in sorted(objects.items()):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    return body + (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
        f"<< /Size {len(objects) + 1} /Root 1 0 R /Info 7 0 R {trailer} >>\nstartxref\n{len(body)}\n%%EOF\n"
    ).encode("latin-1")


def read(data: bytes) -> Document:
    [document], problems = read_pdf(data, "a/manual.pdf")
    assert not problems
    return document


def refusal(data: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as raised:
        read_pdf(data, "manual.pdf")
    return raised.value


def test_wrapped_lines_become_paragraphs() -> None:
    document = read(make_pdf([[*LONG, *LONG]], title="The Manual"))
    assert document.text == " ".join(LONG) + "\n\n" + " ".join(LONG)
    assert (document.title, document.page_starts, document.plain) == ("The Manual", (0,), True)


def test_chinese_lines_are_joined_without_a_space() -> None:
    assert read(make_pdf([CHINESE])).text == "".join(CHINESE)


def test_pages_begin_where_they_say() -> None:
    document = read(make_pdf([[*LONG], ["Second page, with its own words."], [], ["Fourth page, with its own words."]]))
    starts = document.page_starts
    assert len(starts) == 4
    assert document.text[starts[0] :].startswith("The supply")
    assert document.text[starts[1] :].startswith("Second page")
    assert document.text[starts[3] :].startswith("Fourth page")


def test_bookmarks_make_headings() -> None:
    pages = [["Supply wiring", *LONG], ["2. First start", "# a comment in a listing", *LONG]]
    document = read(make_pdf(pages, bookmarks=[(0, "Supply wiring"), (1, "First start"), (1, "Not to be found")]))
    assert document.text.startswith("# Supply wiring\n\nThe supply")
    assert "\n\n# 2. First start\n\n    # a comment" in document.text
    assert document.title == "Supply wiring"
    assert not document.plain


def test_running_heads_and_page_numbers_go() -> None:
    pages = [
        ["Field Manual", f"Chapter {i} starts", *LONG, f"End {'abcdef'[i]}.", f"Page {i} of 5"] for i in range(1, 6)
    ]
    text = read(make_pdf(pages)).text
    assert "Field Manual" not in text
    assert "of 5" not in text
    assert text.count("millimetres.") == 5


def test_two_pages_keep_what_they_share() -> None:
    assert read(make_pdf([["Field Manual", *LONG], ["Field Manual", *LONG]])).text.count("Field Manual") == 2


def test_scanned_file() -> None:
    error = refusal(make_pdf([IMAGE, IMAGE, [*LONG]]))
    assert error.reason == "scanned"
    assert "2 of 3 pages" in error.detail
    assert "OCR" in error.detail


def test_scanned_pages_among_others_are_named() -> None:
    [document], [problem] = read_pdf(make_pdf([[*LONG], IMAGE, [*LONG]]), "a.pdf")
    assert document.text.count("millimetres.") == 2
    assert (problem.reason, "pages 2;" in problem.detail) == ("scanned", True)


def test_encrypted_file() -> None:
    name = f"<{'00' * 16}>"
    lock = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'ab' * 32}> /U <{'cd' * 32}> /P -4 >> /ID [{name}{name}]"
    assert refusal(make_pdf([[*LONG]], trailer=lock)).reason == "encrypted"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_damaged_file(share: float) -> None:
    data = make_pdf([[*LONG]] * 3)
    assert refusal(data[100 : int(len(data) * share)]).reason == "damaged"


def test_titles_that_programs_leave_behind_are_no_titles() -> None:
    assert read(make_pdf([[*LONG]], title="Microsoft Word - draft.doc")).title == "manual"


def test_lists_stay_lists() -> None:
    text, _, _ = join_pages([["The kit holds:", "• a screwdriver", "• a fuse", "1. one", "2. two"]], [])
    assert text == "The kit holds:\n\n- a screwdriver\n- a fuse\n1. one\n2. two"


def test_words_divided_at_a_line_end() -> None:
    lines = [*LONG[:2], "a self-test of the gate-", "way"]
    assert "gateway" in read(make_pdf([lines])).text
    assert "self-test" in read(make_pdf([lines])).text
