import datetime
import io

import docx
import pptx
import pytest
import xlsxwriter
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from raft_cli.corpus.readers.result import Unreadable
from raft_cli.corpus.readers.sheets import read_csv, read_workbook
from raft_cli.corpus.readers.slides import read_pptx
from raft_cli.corpus.readers.word import read_docx
from raft_cli.data import Document


def save(document: docx.document.Document) -> Document:
    buffer = io.BytesIO()
    document.save(buffer)
    [read], problems = read_docx(buffer.getvalue(), "a/terms.docx")
    assert not problems
    return read


def csv_text(text: str | bytes, source: str = "a/limits.csv") -> str:
    return read_csv(text.encode() if isinstance(text, str) else text, source)[0][0].text


def test_docx_in_document_order() -> None:
    document = docx.Document()
    document.add_heading("保修条款", 1)
    document.add_paragraph("First paragraph.")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("Model", "Limit", "K100", "1 | A\n2 A"), strict=True):
        cell.text = text
    document.add_heading("Cases", 2)
    document.add_paragraph("lightning", style="List Bullet")
    document.add_paragraph("surges", style="List Bullet")
    document.add_paragraph("one", style="List Number")
    document.add_paragraph("two", style="List Number")
    document.add_paragraph("# apt install")
    read = save(document)
    assert read.title == "保修条款"
    assert read.text == (
        "# 保修条款\n\nFirst paragraph.\n\n| Model | Limit |\n| --- | --- |\n| K100 | 1 \\| A 2 A |\n\n## Cases\n\n"
        "- lightning\n- surges\n1. one\n2. two\n\n    # apt install"
    )


def test_docx_merged_cells() -> None:
    document = docx.Document()
    table = document.add_table(3, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 0).merge(table.cell(2, 0)).text = "tall"
    for row, column, text in ((0, 2, "c"), (1, 1, "x"), (1, 2, "y"), (2, 1, "z"), (2, 2, "w")):
        table.cell(row, column).text = text
    assert save(document).text.split("\n")[2:] == ["| tall | x | y |", "| tall | z | w |"]


def test_docx_frames_and_code() -> None:
    document = docx.Document()
    style = document.styles.add_style("Source Code", 1)
    document.add_table(1, 1).cell(0, 0).text = "in a frame"
    for line in ("def f():", "    # note", "    return 1"):
        document.add_paragraph(line, style=style)
    assert save(document).text == "in a frame\n\n```\ndef f():\n    # note\n    return 1\n```"


def test_docx_tracked_changes_and_content_controls() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("kept ")
    paragraph._p.append(parse_xml(f"<w:ins {nsdecls('w')}><w:r><w:t>new</w:t></w:r></w:ins>"))
    paragraph._p.append(parse_xml(f"<w:del {nsdecls('w')}><w:r><w:delText>old</w:delText></w:r></w:del>"))
    control = f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>inside</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    document.element.body.insert(1, parse_xml(control))
    assert save(document).text == "kept new\n\ninside"


def test_docx_titles() -> None:
    document = docx.Document()
    document.add_paragraph("text")
    assert save(document).title == "terms"
    document.core_properties.title = "Terms of sale"
    assert save(document).title == "Terms of sale"


def test_docx_without_text() -> None:
    with pytest.raises(Unreadable, match="no-text"):
        save(docx.Document())


def test_pptx_slide_by_slide() -> None:
    presentation = pptx.Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "Overview"
    first.placeholders[1].text = "one\ntwo"
    first.placeholders[1].text_frame.paragraphs[1].level = 1
    first.notes_slide.notes_text_frame.text = "Say hello."
    presentation.slides.add_slide(presentation.slide_layouts[6])
    third = presentation.slides.add_slide(presentation.slide_layouts[5])
    third.shapes.title.text = "数据"
    cells = third.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for i, text in enumerate(("a", "b", "1", "2")):
        cells.cell(i // 2, i % 2).text = text
    third.shapes.add_group_shape().shapes.add_textbox(0, 0, 10, 10).text_frame.text = "grouped"
    buffer = io.BytesIO()
    presentation.save(buffer)
    [document], _ = read_pptx(buffer.getvalue(), "a.pptx")
    assert document.text == (
        "## Overview\n\n- one\n  - two\n\nSay hello.\n\n## 数据\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\ngrouped"
    )
    assert len(document.page_starts) == 3
    assert document.text[document.page_starts[2] :].startswith("## 数据")
    assert document.title == "Overview"


def test_workbook_sheet_by_sheet() -> None:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        sheet = book.add_worksheet("限值")
        sheet.write_row(0, 0, ["Model", "Amperes", "Since"])
        sheet.write_row(1, 0, ["K|1\nb", 1.0])
        sheet.write_datetime(1, 2, datetime.datetime(2025, 1, 2), book.add_format({"num_format": "yyyy-mm-dd"}))
        sheet.write_row(3, 0, ["K300", 3.15])
        book.add_worksheet("empty")
        book.add_worksheet("more").write(0, 0, True)
    [document], _ = read_workbook(buffer.getvalue(), "a/book.xlsx")
    assert document.text == (
        "## 限值\n\n| Model | Amperes | Since |\n| --- | --- | --- |\n| K\\|1 b | 1 | 2025-01-02 |\n| K300 | 3.15 |  |"
        "\n\n## more\n\n| True |\n| --- |"
    )
    assert document.title == "book"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_whatever_separates_it(separator: str) -> None:
    rows = (("型号", "limit"), ("K100", '"1,5; ""x"""'), ("K200", "2"))
    text = "\r\n".join(separator.join(row) for row in rows)
    assert csv_text(text) == '## limits\n\n| 型号 | limit |\n| --- | --- |\n| K100 | 1,5; "x" |\n| K200 | 2 |'


def test_csv_in_a_chinese_encoding() -> None:
    assert "| 型号 | 保修期 |" in csv_text("型号,保修期\n红隼一百,二十四个月\n".encode("gbk"))


def test_csv_with_ragged_rows_and_long_fields() -> None:
    assert csv_text("a,b\n1\n1,2,3\n\n").endswith("| a | b |  |\n| --- | --- | --- |\n| 1 |  |  |\n| 1 | 2 | 3 |")
    assert "x" * 200_000 in csv_text("a,b\n1," + "x" * 200_000)


def test_tsv_with_commas() -> None:
    assert csv_text("a, b\tc\n1, 2\t3", "x.tsv").endswith("| a, b | c |\n| --- | --- |\n| 1, 2 | 3 |")
