"""The dataset's report is one safe page whose figures are those of the rows."""

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import pytest

from raft_cli.data import Chunk, Example, Question, Quote, Reject, Role
from raft_cli.generate.report import estimate_length, format_percent, render_report

EVIL = "<script>alert(1)</script>"
ENGLISH = f"Limits hold per key. {EVIL} A refused client waits for the time named in Retry-After."
CHINESE = "单体电压低于 2.05 伏时必须更换电池。其余情况继续观察。"
VOID = {"meta"}


def make_chunk(number: int, text: str = ENGLISH, language: str = "en", source: str = "") -> Chunk:
    return Chunk(
        id=f"chunk{number}",
        document_id=f"document{number}",
        position=0,
        text=text,
        start=0,
        end=len(text),
        heading=("Handbook", "Limits"),
        page=3,
        tokens=100 + number,
        source=source or f"handbook/{number}.md",
        title="Handbook",
        language=language,
    )


def make_example(
    number: int, *, place: int | None = 0, documents: int = 3, kind: str = "factoid", chinese: bool = False
) -> tuple[Example, Chunk]:
    text, words = (CHINESE, "低于 2.05 伏时") if chinese else (ENGLISH, "the time named in Retry-After")
    oracle = make_chunk(number, text, "zh" if chinese else "en")
    shown = [make_chunk(1000 + number * 10 + other) for other in range(documents)]
    roles = [Role.HARD, *[Role.RANDOM] * (documents - 1)]
    quotes: tuple[Quote, ...] = ()
    target = "From memory.\n<ANSWER>: as <named>"
    if place is not None:
        shown[place], roles[place] = oracle, Role.ORACLE
        start = text.index(words)
        quotes = (Quote(words, oracle.id, start, start + len(words)),)
        target = f"It says ##begin_quote##{words}##end_quote## & no more.\n<ANSWER>: as <named>"
    question = Question(f"question{number}", (oracle.id,), f"How long is wait {number}?", kind)
    oracle_places = () if place is None else (place,)
    example = Example(
        f"row{number:06}", question, tuple(shown), tuple(roles), oracle_places, target, quotes, "as <named>"
    )
    return example, oracle


def render(made: dict[str, list[tuple[Example, Chunk]]], rejects: tuple[Reject, ...] = ()) -> str:
    return render_report(
        name="Handbook <b>",
        splits={split: [example for example, _ in pairs] for split, pairs in made.items()},
        rejects=rejects,
        figures=[("Requests", [("Sent", "18,402"), ("Server", "<http://localhost>")])],
        oracle_chunks={
            example.question.id: oracle for pairs in made.values() for example, oracle in pairs if not example.oracle
        },
    )


def make_splits(rows: int) -> dict[str, list[tuple[Example, Chunk]]]:
    """Build rows of which every fifth lacks its oracle, the others holding it at each place in turn."""
    made: dict[str, list[tuple[Example, Chunk]]] = {"train": [], "validation": [], "test": []}
    for number in range(rows):
        split = ("train", "train", "validation", "test")[number // 5 % 4]
        place = None if number % 5 == 4 else (number - number // 5) % 3
        kind = ("factoid", "reasoning")[number % 2]
        made[split].append(make_example(number, place=place, kind=kind, chinese=number % 7 == 0))
    return made


class Balance(HTMLParser):
    """Checks that every element opened is closed, and keeps what was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def test_page_is_whole_safe_and_self_contained() -> None:
    reject = Reject("ask", "leans-on-document", f"detail {EVIL}", "a.md", "", "", "Which <table>?")
    page = render(make_splits(60), (reject,))
    parsed = parse(page)
    assert parsed.tags["script"] == parsed.tags["img"] == parsed.tags["table"] - 1 == 0
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert all(link.startswith("#") and link[1:] in parsed.ids for link in parsed.links)
    assert "url(" not in page and "@import" not in page
    assert "Handbook &lt;b&gt;" in page and "&lt;http://localhost&gt;" in page and "Which &lt;table&gt;?" in page


def test_headline_counts_are_those_of_the_rows() -> None:
    made = make_splits(100)
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", render(made))))
    assert "100 rows asked about 100 sources" in text
    assert "80 rows; not in 20" in text
    assert f"train {len(made['train'])} 50 % 40 80 %" in text
    assert "English 85 %, Chinese 15 %" in text
    assert "70 more 70 70 %" in text


def test_twenty_rows_cover_splits_kinds_languages_and_absence() -> None:
    page = render(make_splits(2000))
    chips = re.findall(r'<p class="chips"><b>.*?</b><span>(.*?)</span><span>(.*?)</span><span>(.*?)</span>', page)
    assert len(chips) == 20
    assert [set(column) for column in zip(*chips, strict=True)] == [
        {"train", "validation", "test"},
        {"factoid", "reasoning"},
        {"English", "Chinese"},
    ]
    assert 4 <= page.count("<span>oracle absent</span>") <= 8


def test_choice_of_rows_does_not_depend_on_order() -> None:
    made = make_splits(300)
    backwards = {split: pairs[::-1] for split, pairs in made.items()}
    ids = [re.findall(r'<span class="id">(.*?)</span>', render(splits)) for splits in (made, backwards)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("chinese", "words"), [(False, "the time named in Retry-After"), (True, "低于 2.05 伏时")])
def test_quotes_are_marked_in_oracle_and_target(chinese: bool, words: str) -> None:
    page = render({"train": [make_example(1, place=1, chinese=chinese)]})
    article = page[page.index("<article") :]
    assert article.count(f"<mark>{words}</mark>") == 2
    language = "zh" if chinese else "en"
    assert f'<p class="reasoning" dir="auto" lang="{language}">It says <mark>' in article
    assert "##" not in article
    assert "<strong>as &lt;named&gt;</strong>" in article
    assert '<details class="document oracle" open>' in article
    assert "oracle at 2 of 3" in article


def test_overlapping_quotes_keep_the_text_whole() -> None:
    example, oracle = make_example(1)
    spans = ((0, 11), (5, 20), (5, 8), (len(ENGLISH) - 4, len(ENGLISH)))
    quotes = tuple(Quote(ENGLISH[start:end], oracle.id, start, end) for start, end in spans)
    changed = Example(
        example.id,
        example.question,
        example.documents,
        example.roles,
        example.oracle,
        example.target,
        quotes,
        example.final,
    )
    page = render({"train": [(changed, oracle)]})
    shown = re.findall(r'<div class="text" dir="auto" lang="en">(.*?)</div>', page, re.DOTALL)[0]
    assert unescape(re.sub(r"</?mark>", "", shown)) == ENGLISH
    assert shown.startswith(f"<mark>{ENGLISH[:11]}</mark><mark>{ENGLISH[11:20]}</mark>")


def test_withheld_oracle_is_shown_apart() -> None:
    page = render({"test": [make_example(7, place=None)]})
    assert "which the student does not see" in page
    assert "oracle, withheld" in page and "handbook/7.md · page 3 · 107 tokens" in page
    assert '<details class="document oracle">' in page


def test_positions_are_counted_and_set_beside_the_level() -> None:
    page = render({"train": [make_example(number, place=(0, 0, 0, 1)[number]) for number in range(4)]})
    assert "Oracle positions in train: 1: 3, 2: 1, 3: 0" in page
    heights = [float(height) for height in re.findall(r'class="due" [^>]*y1="([\d.]+)%"', page)][-3:]
    assert len(set(heights)) == 1


def test_records_of_a_file_count_as_one_source() -> None:
    pairs = []
    for number in range(5):
        example, _ = make_example(number, place=None)
        pairs.append((example, make_chunk(number, source=f"faq.jsonl#{number}")))
    page = render({"train": pairs})
    assert "<strong>1 source</strong>" in page
    assert '<span class="label" dir="auto">faq.jsonl</span><span class="count">5</span>' in page


def test_rejects_are_grouped_with_an_example_that_says_something() -> None:
    rejects = (
        Reject("read", "empty", ""),
        Reject("answer", "no-quote", ""),
        Reject("answer", "no-quote", "long " * 200, "b.md"),
        Reject("answer", "no-quote", "not shown"),
    )
    page = render({"train": [make_example(1)]}, rejects)
    groups = re.findall(r'<span class="stage">(\w+) ›</span> ([\w-]+)</span><span class="count">(\d+)<', page)
    assert groups == [("read", "empty", "1"), ("answer", "no-quote", "3")]
    assert page.count("long long") > 0 and "long …</q> · b.md" in page and "not shown" not in page


@pytest.mark.parametrize("splits", [{}, {"train": []}, {"train": [make_example(1)], "test": []}])
def test_little_or_nothing_still_makes_a_page(splits: dict[str, list[tuple[Example, Chunk]]]) -> None:
    page = render(splits)
    parse(page)
    assert "Nothing was set aside." in page


def test_lengths_far_apart_stay_few_columns() -> None:
    pairs = [make_example(number, documents=1 + 40 * (number % 2)) for number in range(20)]
    page = render({"train": pairs})
    assert 2 <= page.count(" tokens: ") <= 24
    assert f"Longest <b>{max(estimate_length(example) for example, _ in pairs):,}</b>" in page


def test_question_and_target_add_to_the_length() -> None:
    example, _ = make_example(1, documents=1)
    chinese, _ = make_example(1, documents=1, chinese=True)
    written = len(example.question.text + example.target)
    assert estimate_length(example) == 101 + round(written / 4)
    assert estimate_length(chinese) > 101 + len(chinese.question.text + chinese.target) // 4


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0 %"), (0.8, "80 %"), (0.1234, "12.3 %"), (1, "100 %"), (0.0004, "< 0.1 %"), (0.9996, "> 99.9 %")],
)
def test_shares_are_never_rounded_to_none_or_all(share: float, written: str) -> None:
    assert format_percent(share).replace("\u00a0", " ") == written
