"""Check a finished dataset folder against its written format: `python tests/check_dataset.py OUT`.

Imports nothing of raft_cli, so that a misreading there cannot hide here.
"""

import json
import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

SPLITS = ("train", "validation", "test")
TABLES = ("documents", "chunks", "questions", "rejected")
FIRST_KEYS = ["id", "type", "question", "context", "oracle_context", "cot_answer", "instruction"]
OWN_KEYS = ["answer", "quotes", "documents", "oracle", "kind", "language"]
CHUNK_KEYS = [
    *("id", "document_id", "position", "text", "start", "end", "heading", "page", "tokens", "source", "title"),
    "language",
]
DOCUMENT_KEYS = ["id", "source", "title", "text", "page_starts"]

BEGIN, END, ANSWER, JOINER = "##begin_quote##", "##end_quote##", "<ANSWER>:", "\u200d"
MARKERS = re.compile(r"<(?=DOCUMENT>|/DOCUMENT>|ANSWER>:)|##(?=begin_quote##|end_quote##)")
IDEOGRAPH = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
CJK = re.compile(rf"[{IDEOGRAPH}\u3040-\u30ff\uac00-\ud7af]")
TOKEN = re.compile(rf"{CJK.pattern}|[^\W_{IDEOGRAPH}\u3040-\u30ff\uac00-\ud7af]+")
NUMBER = re.compile(
    r"\d+(?:[.,]\d+)*|[零〇一二三四五六七八九十百千万亿两]+"
    r"|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|first|second|third|twice|half)\b"
)
NEGATION = re.compile(
    r"\b(?:no|not|never|none|nor|nothing|neither|without|cannot|unsupported|unavailable)\b|n['’]t\b"
    r"|[不没沒无無非未勿莫]|禁止|ない|ません|ず|않|없|아니|못"
)
VAGUE = set("yes no true false 是 否 是的 不是 对 不对 有 没有 能 不能 可以 不可以 支持 不支持 需要 不需要".split())
SAME_QUESTION, SAME_SIDE = 90, 80
ALL_PAIRS = 20_000_000  # more pairs than this are compared only where they share a rare word
RARE = 4
BATCH = 256

Record = dict[str, Any]


@dataclass
class Seen:
    """What has to be compared across rows."""

    rows: int = 0
    ids: set[str] = field(default_factory=set)
    questions: list[tuple[str, str, str]] = field(default_factory=list)  # split, row id, question
    roots: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # oracle id → split → row id


@dataclass
class Folder:
    """A dataset's tables by id."""

    path: Path
    faults: list[str]
    manifest: Record = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    documents: dict[str, Record] = field(default_factory=dict)
    chunks: dict[str, Record] = field(default_factory=dict)
    questions: dict[str, list[Record]] = field(default_factory=dict)

    @property
    def settings(self) -> Record:
        settings: Record = self.manifest.get("settings", {})
        return settings

    def read(self, name: str) -> Iterator[Record]:
        path = self.path / f"{name}.jsonl"
        if not path.is_file():
            self.faults.append(f"{path.name}: missing")
            return
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                self.lines[name] += 1
                try:
                    record = json.loads(line)
                except ValueError as error:
                    self.faults.append(f"{path.name}:{number}: not JSON: {error}")
                    continue
                if not line.endswith("\n"):
                    self.faults.append(f"{path.name}:{number}: no newline at the end")
                if isinstance(record, dict):
                    yield record
                else:
                    self.faults.append(f"{path.name}:{number}: not an object")


def escape(text: str) -> str:
    return MARKERS.sub(lambda marker: marker[0] + JOINER, text)


def fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=50_000)
def fold_shown(text: str) -> str:
    return fold(text.replace(JOINER, ""))


def is_specific(answer: str) -> bool:
    return answer not in VAGUE and (len(answer) >= 4 or len(CJK.findall(answer)) >= 2)


def question_tokens(question: str) -> str:
    return " ".join(TOKEN.findall(unicodedata.normalize("NFKC", question).casefold()))


def question_sign(question: str) -> tuple[list[str], list[str]]:
    """Return what tells two alike questions apart: numbers and negations."""
    plain = unicodedata.normalize("NFKC", question).casefold()
    return sorted(NUMBER.findall(plain)), sorted(NEGATION.findall(plain))


def lacks(record: Record, keys: Sequence[str]) -> str:
    return ", ".join(key for key in keys if key not in record)


def check_documents(folder: Folder) -> None:
    for document in folder.read("documents"):
        where = f"documents.jsonl {document.get('id')}"
        if missing := lacks(document, DOCUMENT_KEYS):
            folder.faults.append(f"{where}: lacks {missing}")
            continue
        if document["id"] in folder.documents:
            folder.faults.append(f"{where}: id occurs twice")
        starts = document["page_starts"]
        if sorted(starts) != list(starts) or any(not 0 <= start <= len(document["text"]) for start in starts):
            folder.faults.append(f"{where}: page_starts do not rise within the text")
        folder.documents[document["id"]] = document


def chunk_faults(chunk: Record, folder: Folder) -> Iterator[str]:
    document = folder.documents.get(chunk["document_id"])
    if document is None:
        yield f"document {chunk['document_id']} is not in documents.jsonl"
        return
    if chunk["text"] != document["text"][chunk["start"] : chunk["end"]] or not chunk["text"].strip():
        yield "text is not document.text[start:end]"
    for key in ("source", "title"):
        if chunk[key] != document[key]:
            yield f"{key} is not its document's"
    page = (
        max(1, sum(start <= chunk["start"] for start in document["page_starts"])) if document["page_starts"] else None
    )
    if chunk["page"] != page:
        yield f"page is {chunk['page']}, page_starts say {page}"
    budget = folder.settings.get("chunk_size")
    if budget is not None and not 0 < chunk["tokens"] <= budget:
        yield f"{chunk['tokens']} tokens, chunk_size is {budget}"


def check_chunks(folder: Folder) -> None:
    positions: set[tuple[str, int]] = set()
    for chunk in folder.read("chunks"):
        where = f"chunks.jsonl {chunk.get('id')}"
        if missing := lacks(chunk, CHUNK_KEYS):
            folder.faults.append(f"{where}: lacks {missing}")
            continue
        if chunk["id"] in folder.chunks:
            folder.faults.append(f"{where}: id occurs twice")
        if (chunk["document_id"], chunk["position"]) in positions:
            folder.faults.append(f"{where}: another chunk has its position in the document")
        positions.add((chunk["document_id"], chunk["position"]))
        folder.faults.extend(f"{where}: {fault}" for fault in chunk_faults(chunk, folder))
        folder.chunks[chunk["id"]] = chunk


def check_questions(folder: Folder) -> None:
    ids: set[str] = set()
    for question in folder.read("questions"):
        where = f"questions.jsonl {question.get('id')}"
        if missing := lacks(question, ["id", "chunk_ids", "text", "kind"]):
            folder.faults.append(f"{where}: lacks {missing}")
            continue
        if question["id"] in ids:
            folder.faults.append(f"{where}: id occurs twice")
        ids.add(question["id"])
        unknown = [chunk_id for chunk_id in question["chunk_ids"] if chunk_id not in folder.chunks]
        if unknown or not question["chunk_ids"]:
            folder.faults.append(f"{where}: chunks not in chunks.jsonl: {unknown}")
            continue
        folder.questions.setdefault(question["text"], []).append(question)


def find_oracles(row: Record, folder: Folder) -> list[Record]:
    """Return the chunks the row's question was asked about: those its oracle_context shows."""
    for question in folder.questions.get(row["question"], []):
        chunks = [folder.chunks[chunk_id] for chunk_id in question["chunk_ids"]]
        texts = [escape(chunk["text"]) for chunk in chunks]
        alone = len(texts) == 1 and row["oracle_context"] == texts[0]
        if question["kind"] == row["kind"] and (
            alone or (len(texts) > 1 and all(text in row["oracle_context"] for text in texts))
        ):
            return chunks
    return []


def shape_faults(row: Record) -> Iterator[str]:
    if list(row)[:7] != FIRST_KEYS:
        yield f"first seven keys are {list(row)[:7]}"
    if missing := lacks(row, FIRST_KEYS + OWN_KEYS):
        yield f"lacks {missing}"
        return
    if row["type"] not in ("general", "api call"):
        yield f"type is {row['type']!r}"
    context = row["context"]
    shapes = [len(context.get(key) or []) == 1 and len(context[key][0]) for key in ("sentences", "title")]
    if list(context) != ["sentences", "title"] or shapes != [len(row["documents"])] * 2 or not row["documents"]:
        yield "context, title and documents differ in number or shape"
        return
    if any(not 0 <= position < len(row["documents"]) for position in row["oracle"]):
        yield f"oracle positions {row['oracle']} lie outside the documents"


def instruction_faults(row: Record) -> Iterator[str]:
    sentences = row["context"]["sentences"][0]
    if row["instruction"] != "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in sentences) + row["question"]:
        yield "instruction is not its documents and question"
    for tag in ("<DOCUMENT>", "</DOCUMENT>"):
        if row["instruction"].count(tag) != len(sentences):
            yield f"instruction holds {row['instruction'].count(tag)} {tag} for {len(sentences)} documents"
    if MARKERS.search(row["question"]):
        yield "question holds a marker"


def document_faults(row: Record, folder: Folder) -> Iterator[str]:
    sentences, titles = row["context"]["sentences"][0], row["context"]["title"][0]
    for place, (shown, sentence, title) in enumerate(zip(row["documents"], sentences, titles, strict=True)):
        chunk = folder.chunks.get(shown["chunk_id"])
        if chunk is None:
            yield f"document {place}: chunk {shown['chunk_id']} is not in chunks.jsonl"
            continue
        if sentence != escape(chunk["text"]):
            yield f"document {place}: sentence is not the chunk's escaped text"
        if title not in (chunk["title"], escape(chunk["title"])):
            yield f"document {place}: title is {title!r}, the chunk's is {chunk['title']!r}"
        if shown["heading"] not in (chunk["heading"], " > ".join(chunk["heading"])):
            yield f"document {place}: heading is {shown['heading']!r}, the chunk's is {chunk['heading']!r}"
        for key in ("source", "page"):
            if shown[key] != chunk[key]:
                yield f"document {place}: {key} is {shown[key]!r}, the chunk's is {chunk[key]!r}"
        expected = ("oracle",) if place in row["oracle"] else ("hard", "random")
        if shown["role"] not in expected:
            yield f"document {place}: role is {shown['role']!r}, its position says {' or '.join(expected)}"
    ids = [shown["chunk_id"] for shown in row["documents"]]
    if len(set(ids)) < len(ids):
        yield "a chunk occurs twice"
    elif len({fold(sentence) for sentence in sentences}) < len(sentences):
        yield "two documents have equal normalised text"


def oracle_faults(row: Record, oracles: list[Record], folder: Folder) -> Iterator[str]:
    """Tell what is wrong with the oracle's presence and with what stands beside it."""
    shown = [document["chunk_id"] for document in row["documents"]]
    there = sorted(shown[position] for position in row["oracle"])
    if there and there != sorted(chunk["id"] for chunk in oracles):
        yield f"oracle positions hold {there}, the question was asked about {[chunk['id'] for chunk in oracles]}"
    answer = fold_shown(row["answer"]).strip(" .。")
    for place, chunk_id in enumerate(shown):
        other = folder.chunks.get(chunk_id)
        if place in row["oracle"] or other is None:
            continue
        if any(
            other["document_id"] == chunk["document_id"]
            and other["start"] < chunk["end"]
            and chunk["start"] < other["end"]
            for chunk in oracles
        ):
            yield f"document {place}: a distractor overlaps the oracle"
        if any(fold(other["text"]) == fold(chunk["text"]) for chunk in oracles):
            yield f"document {place}: a distractor has the oracle's text"
        if is_specific(answer) and answer in fold_shown(row["context"]["sentences"][0][place]):
            yield f"document {place}: a distractor contains the answer {row['answer']!r}"


def number_faults(row: Record, oracles: list[Record], settings: Record) -> Iterator[str]:
    if settings.get("vary_distractors"):
        low, high = (int(bound) + 1 for bound in settings["vary_distractors"].split(":"))
    elif "distractors" in settings:
        low = high = settings["distractors"] + 1
    else:
        return
    high += max(0, len(oracles) - 1)  # a multi-hop row may bring a second oracle along
    if not low <= len(row["documents"]) <= high:
        yield f"{len(row['documents'])} documents, the settings ask for {low}" + (f" to {high}" if high > low else "")


def answer_faults(row: Record) -> Iterator[str]:
    target = row["cot_answer"]
    last = target.rsplit("\n", 1)[-1]
    if target.count(ANSWER) != 1 or not last.startswith(ANSWER):
        yield f"{target.count(ANSWER)} {ANSWER} in cot_answer, or not at the start of its last line"
    elif last.removeprefix(ANSWER).strip() != row["answer"] or not row["answer"]:
        yield f"answer is {row['answer']!r}, cot_answer ends {last!r}"
    if "<DOCUMENT>" in target or "</DOCUMENT>" in target:
        yield "cot_answer holds a document tag"
    reasoning = target[: -len(last)] if last.startswith(ANSWER) else target
    outside = re.sub(f"{BEGIN}.*?{END}", "", reasoning, flags=re.DOTALL)
    if row["oracle"] and not reasoning.strip():
        yield "cot_answer has no reasoning"
    wordless = not any(character.isalpha() for character in outside)
    if row["language"] == "zh" and not (CJK.search(row["question"]) and (wordless or CJK.search(outside))):
        yield "language is zh, question or reasoning is not"


def find_quotes(target: str) -> list[str] | None:
    """Return what stands between the marks, or None when they do not alternate."""
    pieces = re.split(f"({BEGIN}|{END})", target)
    marks = pieces[1::2]
    if len(marks) % 2 or marks != [BEGIN, END] * (len(marks) // 2):
        return None
    return pieces[2::4]


def quote_faults(row: Record, oracles: list[Record], settings: Record) -> Iterator[str]:
    marked = find_quotes(row["cot_answer"])
    if marked is None:
        yield "quote marks are not balanced"
        return
    present = bool(row["oracle"])
    quoting = present or settings.get("absent_target") == "answer"
    if quoting != bool(marked):
        yield f"{len(marked)} quotes although the oracle is {'present' if present else 'absent'}"
    if len(row["quotes"]) != len(marked):
        yield f"{len(row['quotes'])} quotes listed, {len(marked)} in cot_answer"
        return
    sources = [row["context"]["sentences"][0][place] for place in row["oracle"]] or [row["oracle_context"]]
    by_id = {chunk["id"]: chunk["text"] for chunk in oracles}
    for number, (shown, quote) in enumerate(zip(marked, row["quotes"], strict=True)):
        if not any(shown in source for source in sources) or not shown.strip():
            yield f"quote {number}: not verbatim in the oracle: {shown[:60]!r}"
        text = by_id.get(quote["chunk_id"])
        if text is None:
            yield f"quote {number}: chunk {quote['chunk_id']} is not an oracle of the question"
        elif quote["text"] != text[quote["start"] : quote["end"]]:
            yield f"quote {number}: text is not chunk.text[start:end]"
        elif shown.strip(JOINER) != escape_span(text, quote["start"], quote["end"]).strip(JOINER):
            yield f"quote {number}: what cot_answer quotes is not what quotes lists"


def escape_span(text: str, start: int, end: int) -> str:
    """Escape text[start:end] as a part of the whole text, where a cut marker is still a marker."""
    joiners = {marker.end() for marker in MARKERS.finditer(text)}
    return "".join((JOINER if place in joiners else "") + text[place] for place in range(start, end))


def row_faults(row: Record, folder: Folder) -> Iterator[str]:
    wrong = list(shape_faults(row))
    if wrong:
        yield from wrong
        return
    oracles = find_oracles(row, folder)
    if not oracles:
        yield "no question in questions.jsonl has its text, kind and oracle_context"
    yield from instruction_faults(row)
    yield from document_faults(row, folder)
    yield from oracle_faults(row, oracles, folder)
    yield from number_faults(row, oracles, folder.settings)
    yield from answer_faults(row)
    yield from quote_faults(row, oracles, folder.settings)


def remember(row: Record, split: str, folder: Folder, seen: Seen) -> None:
    seen.questions.append((split, row["id"], row["question"]))
    by = folder.settings.get("split_by")
    if by in ("chunk", "document"):
        for chunk in find_oracles(row, folder):
            seen.roots[chunk["id"] if by == "chunk" else chunk["document_id"]].setdefault(split, row["id"])


def split_faults(
    split: str, rows: int, present: int, places: dict[int, Counter[int]], settings: Record
) -> Iterator[str]:
    """Tell whether share and positions of the oracle are exact; `places`: documents in a row → position → oracles."""
    for documents, counts in sorted(places.items()):
        level = [counts[position] for position in range(documents)]
        if max(level) - min(level) > 1:
            yield f"{split}.jsonl: oracle positions of rows with {documents} documents are not level: {level}"
    share = 0.5 if settings.get("both_contexts") else settings.get("oracle_share")
    if share is not None and present != (due := math.floor(share * rows + 0.5)):
        yield f"{split}.jsonl: {present} of {rows} rows hold the oracle, a share of {share} is {due}"


def check_rows(split: str, folder: Folder, seen: Seen) -> None:
    places: dict[int, Counter[int]] = defaultdict(Counter)
    contexts: dict[str, list[bool]] = defaultdict(list)
    rows = 0
    for row in folder.read(split):
        rows += 1
        where = f"{split}.jsonl {row.get('id')}"
        if row.get("id") in seen.ids:
            folder.faults.append(f"{where}: id occurs twice")
        seen.ids.add(row.get("id", ""))
        try:
            folder.faults.extend(f"{where}: {fault}" for fault in row_faults(row, folder))
            places[len(row["documents"])].update(row["oracle"])
            contexts[row["question"]].append(bool(row["oracle"]))
            remember(row, split, folder, seen)
        except (AttributeError, KeyError, TypeError) as error:
            folder.faults.append(f"{where}: a field is missing or of the wrong type: {error!r}")
    seen.rows += rows
    present = sum(map(sum, contexts.values()))
    folder.faults.extend(split_faults(split, rows, present, places, folder.settings))
    if folder.settings.get("both_contexts"):
        odd = [question for question, present in contexts.items() if sorted(present) != [False, True]]
        folder.faults.extend(f"{split}.jsonl: not once with and once without its oracle: {text!r}" for text in odd)


def alike_pairs(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield (place in left, place in right, score) of similar questions; each pair once where left is right."""
    if len(left) * len(right) > ALL_PAIRS:
        yield from alike_by_rare_words(left, right)
        return
    for first in range(0, len(left), BATCH):
        skipped = first if left is right else 0
        scores = process.cdist(
            left[first : first + BATCH],
            right[skipped:],
            scorer=fuzz.token_set_ratio,
            score_cutoff=SAME_SIDE,
            workers=-1,
        )
        for row, column in zip(*(axis.tolist() for axis in scores.nonzero()), strict=True):
            if left is not right or row < column:
                yield first + row, skipped + column, float(scores[row, column])


def alike_by_rare_words(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    owners: dict[str, list[int]] = defaultdict(list)
    for place, words in enumerate(right):
        for word in set(words.split()):
            owners[word].append(place)
    for place, words in enumerate(left):
        rare = sorted((word for word in set(words.split()) if word in owners), key=lambda word: len(owners[word]))
        near = {other for word in rare[:RARE] for other in owners[word] if left is not right or place < other}
        choices = {other: right[other] for other in near}
        for _, score, other in process.extract(
            words, choices, scorer=fuzz.token_set_ratio, score_cutoff=SAME_SIDE, limit=None
        ):
            yield place, other, score


def check_alike(folder: Folder, questions: list[tuple[str, str, str]]) -> None:
    """Find equal questions anywhere, and similar ones on two sides of the split."""
    both = folder.settings.get("both_contexts")
    sides = {split: [(row_id, text) for side, row_id, text in questions if side == split] for split in SPLITS}
    words = {split: [question_tokens(text) for _, text in rows] for split, rows in sides.items()}
    for left, right in [*combinations(SPLITS[::-1], 2), *((split, split) for split in SPLITS)]:
        for here, there, score in alike_pairs(words[left], words[right]):
            (row_id, text), (other_id, other) = sides[left][here], sides[right][there]
            if left == right and both and text == other:
                continue
            signed = question_sign(text) == question_sign(other)
            same = score >= SAME_QUESTION and signed
            if same or left != right:
                what = "the same question" if same else "a similar question"
                what += "" if signed else ", numbers or negations apart,"
                folder.faults.append(f"{left}.jsonl {row_id}: {what} as {right}.jsonl {other_id} ({score})")


def check_manifest(folder: Folder) -> None:
    counts = folder.manifest.get("counts", {})
    stated = {**{table: counts.get(table) for table in TABLES}, **counts.get("rows", {})}
    for name in (*TABLES, *SPLITS):
        if stated.get(name) != folder.lines[name]:
            folder.faults.append(
                f"manifest.json: counts {stated.get(name)} {name}, the file has {folder.lines[name]} lines"
            )


def check_rejected(folder: Folder) -> None:
    reasons = Counter(reject.get("reason", "") for reject in folder.read("rejected"))
    stated = folder.manifest.get("rejects", {})
    if {reason: count for reason, count in stated.items() if count} != dict(reasons):
        folder.faults.append(f"manifest.json: rejects {stated}, rejected.jsonl has {dict(reasons)}")


def inspect(path: Path) -> tuple[list[str], int]:
    """Return every fault of a dataset folder, and the number of rows looked at."""
    folder, seen = Folder(path, []), Seen()
    manifest = path / "manifest.json"
    if not manifest.is_file():
        return [f"{manifest}: missing: the dataset is not complete"], 0
    folder.manifest = json.loads(manifest.read_text(encoding="utf-8"))
    check_documents(folder)
    check_chunks(folder)
    check_questions(folder)
    check_rejected(folder)
    for split in SPLITS:
        check_rows(split, folder, seen)
    for root, found in seen.roots.items():
        if len(found) > 1:
            folder.faults.append(f"{folder.settings['split_by']} {root} is asked about in {', '.join(found)}")
    check_alike(folder, seen.questions)
    check_manifest(folder)
    return folder.faults, seen.rows


def check(folder: Path) -> list[str]:
    """Return every violated rule of a dataset folder, each with the row it was found in."""
    return inspect(folder)[0]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python tests/check_dataset.py OUT", file=sys.stderr)
        return 2
    faults, rows = inspect(Path(sys.argv[1]))
    print("\n".join(faults) if faults else f"{rows} rows checked, 0 faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
