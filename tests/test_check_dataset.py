"""The checker of datasets accepts a correct folder and catches each way of being wrong."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("check_dataset.py")
Tables = dict[str, Any]

FACTS = [
    ("en", "The reactor at Halden was shut down in June 2018.", "When did Halden close?", "June 2018"),
    ("en", "Copper melts at 1085 degrees. Write <DOCUMENT> first.", "Melting point of copper?", "1085 degrees"),
    (
        "en",
        "Orders above fifty euros travel free of charge.",
        "Which parcels cost nothing to send?",
        "above fifty euros",
    ),
    ("en", "Each backup is kept for ninety days.", "How long does a snapshot stay available?", "ninety days"),
    ("en", "The violin was built by Amati in Cremona.", "Who made this instrument?", "Amati in Cremona"),
    ("en", "Penguins incubate their eggs on their feet.", "Where are penguin eggs warmed?", "on their feet"),
    ("en", "A sonnet has fourteen lines.", "What length must sonnets obey?", "fourteen lines"),
    ("en", "Tickets are refunded within a fortnight.", "By what deadline is money returned?", "a fortnight"),
    ("zh", "故宫始建于永乐四年,位于北京。", "紫禁城从哪一年动工?", "永乐四年"),
    ("zh", "青霉素由弗莱明发现。", "是谁找到了这种药物?", "弗莱明"),
    ("zh", "长江全长六千三百公里。", "中国最长的河流有多远?", "六千三百公里"),
    ("zh", "茶叶应当避光保存。", "存放茶要注意什么?", "避光保存"),
]
SIZES = {"train": 6, "validation": 3, "test": 3}


def load_checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_dataset", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_dataset"] = module
    spec.loader.exec_module(module)
    return module


checker = load_checker()


def make_chunk(number: int) -> dict[str, Any]:
    language, text, _, _ = FACTS[number]
    document = f"doc{number // 2}"
    start = 0 if number % 2 == 0 else len(FACTS[number - 1][1]) + 2
    return {
        "id": f"c{number}",
        "document_id": document,
        "position": number % 2,
        "text": text,
        "start": start,
        "end": start + len(text),
        "heading": ["Notes"],
        "page": 1 + number % 2,
        "tokens": 12,
        "source": f"{document}.md",
        "title": f"Title {number // 2}",
        "language": language,
    }


def make_document(number: int, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    first, second = chunks[2 * number : 2 * number + 2]
    return {
        "id": first["document_id"],
        "source": first["source"],
        "title": first["title"],
        "text": f"{first['text']}\n\n{second['text']}",
        "page_starts": [0, second["start"]],
    }


def mark(text: str) -> str:
    return text.replace("<DOCUMENT>", "<\u200dDOCUMENT>")


def make_row(number: int, place: int | None, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Build a row of three documents with its oracle at `place`, or without it."""
    language, text, question, answer = FACTS[number]
    oracle = chunks[number]
    shown = [chunks[(number + step) % len(chunks)] for step in (3, 5, 7)]
    roles = ["hard", "random", "random"]
    quotes = []
    reasoning = "依据记忆作答。" if language == "zh" else "From memory this is known."
    if place is not None:
        shown[place], roles[place] = oracle, "oracle"
        quotes = [{"text": text, "chunk_id": oracle["id"], "start": 0, "end": len(text)}]
        lead = "文中写道:" if language == "zh" else "The text says "
        reasoning = f"{lead}##begin_quote##{mark(text)}##end_quote##."
    sentences = [mark(chunk["text"]) for chunk in shown]
    return {
        "id": f"row{number}",
        "type": "general",
        "question": question,
        "context": {"sentences": [sentences], "title": [[chunk["title"] for chunk in shown]]},
        "oracle_context": mark(text),
        "cot_answer": f"{reasoning}\n<ANSWER>: {answer}",
        "instruction": "".join(f"<DOCUMENT>{sentence}</DOCUMENT>\n" for sentence in sentences) + question,
        "answer": answer,
        "quotes": quotes,
        "documents": [
            {"chunk_id": chunk["id"], **{key: chunk[key] for key in ("source", "page", "heading")}, "role": role}
            for chunk, role in zip(shown, roles, strict=True)
        ],
        "oracle": [] if place is None else [place],
        "kind": "factoid",
        "language": language,
    }


def make_tables() -> Tables:
    chunks = [make_chunk(number) for number in range(len(FACTS))]
    rows: dict[str, list[dict[str, Any]]] = {}
    first = 0
    for split, size in SIZES.items():
        rows[split] = [make_row(first + n, n % 3 if n < size - 1 else None, chunks) for n in range(size)]
        first += size
    questions = [
        {"id": f"q{n}", "chunk_ids": [f"c{n}"], "text": fact[2], "kind": "factoid", "given": ""}
        for n, fact in enumerate(FACTS)
    ]
    return {
        **rows,
        "chunks": chunks,
        "documents": [make_document(number, chunks) for number in range(len(FACTS) // 2)],
        "questions": questions,
        "rejected": [{"stage": "ask", "reason": "not-a-question", "detail": "Copper."}],
        "manifest": {
            "settings": {
                "distractors": 2,
                "vary_distractors": "",
                "oracle_share": 0.8,
                "absent_target": "no-quotes",
                "chunk_size": 64,
                "both_contexts": False,
                "split_by": "question",
            },
            "counts": {"documents": 6, "chunks": 12, "questions": 12, "rejected": 1, "rows": dict(SIZES)},
            "rejects": {"not-a-question": 1},
        },
    }


def write_tables(folder: Path, tables: Tables) -> None:
    for name, content in tables.items():
        if name == "manifest":
            (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        else:
            lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in content)
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8", newline="\n")


def faults_of(folder: Path, tables: Tables) -> list[str]:
    write_tables(folder, tables)
    faults: list[str] = checker.check(folder)
    return faults


def rebuild(row: dict[str, Any]) -> None:
    sentences = row["context"]["sentences"][0]
    row["instruction"] = "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in sentences) + row["question"]


def show(row: dict[str, Any], place: int, chunk: dict[str, Any]) -> None:
    """Put another chunk at `place` of a row, consistently."""
    row["context"]["sentences"][0][place] = mark(chunk["text"])
    row["context"]["title"][0][place] = chunk["title"]
    row["documents"][place].update({key: chunk[key] for key in ("source", "page", "heading")}, chunk_id=chunk["id"])
    rebuild(row)


def ask(tables: Tables, split: str, place: int, number: int, text: str) -> None:
    """Put another question to a row, consistently."""
    tables["questions"][number]["text"] = tables[split][place]["question"] = text
    rebuild(tables[split][place])


def test_correct_folder_has_no_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path, make_tables()) == []


def swap_keys(tables: Tables) -> None:
    row = tables["train"][0]
    tables["train"][0] = {"type": row.pop("type"), **row}


def drop_key(tables: Tables) -> None:
    del tables["train"][0]["kind"]


def break_instruction(tables: Tables) -> None:
    tables["train"][0]["instruction"] = tables["train"][0]["instruction"].replace("</DOCUMENT>\n", "</DOCUMENT>")


def leave_unescaped(tables: Tables) -> None:
    row = tables["train"][1]
    row["context"]["sentences"][0] = [text.replace("\u200d", "") for text in row["context"]["sentences"][0]]
    rebuild(row)


def change_sentence(tables: Tables) -> None:
    row = tables["train"][0]
    row["context"]["sentences"][0][1] += " And more."
    rebuild(row)


def change_title(tables: Tables) -> None:
    tables["train"][0]["context"]["title"][0][1] = "Placeholder"


def change_page(tables: Tables) -> None:
    tables["train"][0]["documents"][1]["page"] = 9


def shift_chunk(tables: Tables) -> None:
    tables["chunks"][3]["start"] -= 1


def move_chunk_page(tables: Tables) -> None:
    tables["documents"][1]["page_starts"] = [0, len(tables["documents"][1]["text"])]


def fatten_chunk(tables: Tables) -> None:
    tables["chunks"][3]["tokens"] = 65


def invent_quote(tables: Tables) -> None:
    row = tables["train"][0]
    row["cot_answer"] = row["cot_answer"].replace("##begin_quote##The", "##begin_quote##Oh, the")


def mislocate_quote(tables: Tables) -> None:
    tables["train"][0]["quotes"][0]["start"] = 4


def list_other_quote(tables: Tables) -> None:
    quote = tables["train"][0]["quotes"][0]
    quote.update(text=quote["text"][4:], start=4)


def open_quote(tables: Tables) -> None:
    row = tables["train"][0]
    row["cot_answer"] = row["cot_answer"].replace("##end_quote##", "")


def quote_absent_oracle(tables: Tables) -> None:
    row = tables["train"][5]
    text = FACTS[5][1]
    row["cot_answer"] = f"##begin_quote##{text}##end_quote##\n<ANSWER>: {row['answer']}"
    row["quotes"] = [{"text": text, "chunk_id": "c5", "start": 0, "end": len(text)}]


def answer_twice(tables: Tables) -> None:
    tables["train"][0]["cot_answer"] = "<ANSWER>: perhaps\n" + tables["train"][0]["cot_answer"]


def answer_early(tables: Tables) -> None:
    tables["train"][0]["cot_answer"] += "\nThat is all."


def differ_in_answer(tables: Tables) -> None:
    tables["train"][0]["answer"] = "July 1944"


def misplace_oracle(tables: Tables) -> None:
    tables["train"][0]["oracle"] = [1]


def point_outside(tables: Tables) -> None:
    tables["train"][0]["oracle"] = [3]


def forget_oracle(tables: Tables) -> None:
    tables["train"][4] = make_row(4, None, tables["chunks"])


def crowd_positions(tables: Tables) -> None:
    for number in (1, 2):
        tables["train"][number] = make_row(number, 0, tables["chunks"])


def repeat_chunk(tables: Tables) -> None:
    show(tables["train"][0], 2, tables["chunks"][5])


def add_document(tables: Tables) -> None:
    row = tables["train"][0]
    row["documents"].append({**row["documents"][1]})
    for column in row["context"].values():
        column[0].append(column[0][1])
    show(row, 3, tables["chunks"][9])


def leak_answer(tables: Tables) -> None:
    row = tables["train"][0]
    row["answer"] = "ninety days"
    row["cot_answer"] = row["cot_answer"].replace("June 2018", "ninety days")
    show(row, 1, tables["chunks"][3])


def overlap_oracle(tables: Tables) -> None:
    chunk = {**tables["chunks"][0], "id": "c99", "position": 7, "text": FACTS[0][1][4:], "start": 4}
    tables["chunks"].append(chunk)
    show(tables["train"][0], 1, chunk)


def repeat_question(tables: Tables) -> None:
    ask(tables, "train", 3, 3, "When did Halden really close?")


def resemble_across(tables: Tables) -> None:
    ask(tables, "test", 0, 9, "紫禁城从哪一年才动工?")


def repeat_row_id(tables: Tables) -> None:
    tables["test"][0]["id"] = "row0"


def repeat_chunk_id(tables: Tables) -> None:
    tables["chunks"].append({**tables["chunks"][0], "position": 5})


def miscount_rows(tables: Tables) -> None:
    tables["manifest"]["counts"]["rows"]["train"] = 7


def miscount_rejects(tables: Tables) -> None:
    tables["manifest"]["rejects"] = {"no-quote": 1}


def reason_in_english(tables: Tables) -> None:
    row = tables["test"][0]
    row["cot_answer"] = row["cot_answer"].replace("文中写道:", "The text says ")


def invent_question(tables: Tables) -> None:
    row = tables["train"][0]
    row["question"] = "Who closed it, and why?"
    rebuild(row)


def split_by_document(tables: Tables) -> None:
    tables["manifest"]["settings"]["split_by"] = "document"


def unreadable_field(tables: Tables) -> None:
    tables["train"][0]["quotes"] = None


@pytest.mark.parametrize(
    ("mutate", "fault"),
    [
        (swap_keys, "first seven keys"),
        (drop_key, "lacks kind"),
        (break_instruction, "instruction is not its documents and question"),
        (leave_unescaped, "instruction holds 4 <DOCUMENT> for 3 documents"),
        (change_sentence, "sentence is not the chunk's escaped text"),
        (change_title, "title is 'Placeholder'"),
        (change_page, "page is 9"),
        (shift_chunk, "text is not document.text[start:end]"),
        (move_chunk_page, "page is 2, page_starts say 1"),
        (fatten_chunk, "65 tokens, chunk_size is 64"),
        (invent_quote, "not verbatim in the oracle"),
        (mislocate_quote, "text is not chunk.text[start:end]"),
        (list_other_quote, "what cot_answer quotes is not what quotes lists"),
        (open_quote, "quote marks are not balanced"),
        (quote_absent_oracle, "1 quotes although the oracle is absent"),
        (answer_twice, "2 <ANSWER>: in cot_answer"),
        (answer_early, "not at the start of its last line"),
        (differ_in_answer, "answer is 'July 1944'"),
        (misplace_oracle, "its position says"),
        (point_outside, "lie outside the documents"),
        (forget_oracle, "4 of 6 rows hold the oracle, a share of 0.8 is 5"),
        (crowd_positions, "are not level: [4, 1, 0]"),
        (repeat_chunk, "a chunk occurs twice"),
        (add_document, "4 documents, the settings ask for 3"),
        (leak_answer, "a distractor contains the answer 'ninety days'"),
        (overlap_oracle, "a distractor overlaps the oracle"),
        (repeat_question, "the same question as train.jsonl"),
        (resemble_across, "question as validation.jsonl row8"),
        (repeat_row_id, "test.jsonl row0: id occurs twice"),
        (repeat_chunk_id, "chunks.jsonl c0: id occurs twice"),
        (miscount_rows, "counts 7 train, the file has 6 lines"),
        (miscount_rejects, "rejects {'no-quote': 1}"),
        (reason_in_english, "language is zh"),
        (invent_question, "no question in questions.jsonl"),
        (split_by_document, "document doc4 is asked about in validation, test"),
        (unreadable_field, "a field is missing or of the wrong type"),
    ],
)
def test_each_violation_is_caught(tmp_path: Path, mutate: Callable[[Tables], None], fault: str) -> None:
    tables = make_tables()
    mutate(tables)
    assert [found for found in faults_of(tmp_path, tables) if fault in found]


def test_equal_texts_are_caught_across_chunks(tmp_path: Path) -> None:
    tables = make_tables()
    for number, text in ((5, "Same  text"), (7, "same text")):
        tables["chunks"][number].update(text=text, end=tables["chunks"][number]["start"] + len(text))
    show(tables["train"][0], 1, tables["chunks"][5])
    show(tables["train"][0], 2, tables["chunks"][7])
    assert any("equal normalised text" in fault for fault in faults_of(tmp_path, tables))


def test_rows_with_and_without_oracle(tmp_path: Path) -> None:
    tables = make_tables()
    tables["manifest"]["settings"]["both_contexts"] = True
    for split, size in SIZES.items():
        numbers = [int(row["id"][3:]) for row in tables[split]]
        tables[split] = [make_row(number, place % 3, tables["chunks"]) for place, number in enumerate(numbers)]
        tables[split] += [{**make_row(n, None, tables["chunks"]), "id": f"row{n}-absent"} for n in numbers]
        tables["manifest"]["counts"]["rows"][split] = 2 * size
    assert faults_of(tmp_path, tables) == []
    tables["train"][0] = {**make_row(0, None, tables["chunks"])}
    assert any("not once with and once without" in fault for fault in faults_of(tmp_path, tables))


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert "manifest.json" in checker.check(tmp_path)[0]
    write_tables(tmp_path, make_tables())
    (tmp_path / "questions.jsonl").unlink()
    assert "questions.jsonl: missing" in checker.check(tmp_path)


def test_rare_words_find_what_all_pairs_find() -> None:
    questions = [checker.question_tokens(fact[2]) for fact in FACTS]
    changed = [f"{words} exactly" for words in questions]
    every = set(checker.alike_pairs(questions, changed))
    assert every == set(checker.alike_by_rare_words(questions, changed))
    assert {(here, there) for here, there, _ in every} >= {(place, place) for place in range(len(FACTS))}


def test_script_prints_and_exits(tmp_path: Path) -> None:
    write_tables(tmp_path, make_tables())
    good = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, encoding="utf-8", check=False)
    assert (good.returncode, good.stdout) == (0, "12 rows checked, 0 faults\n")
    tables = make_tables()
    differ_in_answer(tables)
    write_tables(tmp_path, tables)
    bad = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, encoding="utf-8", check=False)
    assert bad.returncode == 1
    assert "train.jsonl row0: answer is 'July 1944'" in bad.stdout


def test_absent_oracle_may_be_refused_or_quoted_when_settings_say_so(tmp_path: Path) -> None:
    tables = make_tables()
    tables["manifest"]["settings"]["absent_target"] = "refuse"
    for split in SIZES:
        row = tables[split][-1]
        row["answer"] = "资料中没有答案" if row["language"] == "zh" else "The documents do not say."
        row["cot_answer"] = f"<ANSWER>: {row['answer']}"
    assert faults_of(tmp_path, tables) == []
    quoting = make_tables()
    quote_absent_oracle(quoting)
    quoting["manifest"]["settings"]["absent_target"] = "answer"
    faults = faults_of(tmp_path, quoting)
    assert [fault for fault in faults if "train.jsonl" in fault] == []
    assert any("0 quotes although the oracle is absent" in fault for fault in faults)
