"""Rows to checked token ids: what cannot be trained on is set aside with its reason, never cut."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from raft_cli.cot import parse_answer
from raft_cli.errors import DatasetError
from raft_cli.student import Student
from raft_cli.train.data.documents import read_documents
from raft_cli.train.data.fit import Fitted, fit_rows
from raft_cli.train.data.formats import flatten
from raft_cli.train.records import Encoded, Overflow, Row

_BATCH = 256  # rows encoded at a time, so that only their text is held twice


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows as token ids, in the order they came, and what was left out.

    Attributes:
        unquoted: Rows of others whose answer quotes what stands in none of their documents.
        control: Rows whose prompt holds one of the model's special tokens as plain text.
    """

    rows: list[Encoded]
    overflow: list[Overflow]
    unquoted: int
    control: int


def encode_rows(rows: Sequence[Row], student: Student, limit: int) -> EncodedRows:
    """Encode rows to at most `limit` tokens each; longer ones lose distractors, or are set aside.

    Raises:
        DatasetError: A row of ours quotes what is not in its documents, or an answer does not end its turn once.
        ModelError: The chat template cannot render a row.
    """
    encoded: list[Encoded] = []
    overflow: list[Overflow] = []
    unquoted = control = 0
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        refused = [refusal for row in batch if (refusal := _refuse(row, student))]
        overflow.extend(refused)
        places = {refusal.place for refusal in refused}
        sound = [row for row in batch if row.place not in places]
        for row, fitted in zip(sound, fit_rows(sound, student, limit), strict=True):
            if fitted.length > limit:
                overflow.append(_set_aside(row, fitted, limit))
                continue
            documents = read_documents(fitted.messages[-1].content)
            encoded.append(_finish(row, fitted, documents, student))
            unquoted += not _check_quotes(row, documents)
            control += any(student.find_special(turn.content) for turn in fitted.messages)
    return EncodedRows(encoded, overflow, unquoted, control)


def _refuse(row: Row, student: Student) -> Overflow | None:
    if not row.answer.strip():
        return Overflow(row.id, row.place, "empty-answer", "the answer is empty")
    if token := student.find_special(row.answer):
        return Overflow(row.id, row.place, "control-token", f"the answer holds {token}, which steers this model")
    return None


def _set_aside(row: Row, fitted: Fitted, limit: int) -> Overflow:
    without = f" without {len(fitted.gone)} distractors" if fitted.gone else ""
    detail = f"{fitted.length:,} tokens{without}, {len(fitted.completion):,} of them the answer; at most {limit:,} fit"
    return Overflow(row.id, row.place, "too-long", detail, fitted.length)


def _finish(row: Row, fitted: Fitted, documents: Sequence[str], student: Student) -> Encoded:
    if fitted.completion.count(student.end_id) != 1 or fitted.completion[-1] != student.end_id:
        raise DatasetError(f"{row.place}: row {row.id}: its answer would not end with {student.end_token} alone")
    kept = [at for at in range(len(row.roles)) if at not in fitted.gone]
    return Encoded(
        id=row.id,
        prompt=array("i", fitted.prompt),
        completion=array("i", fitted.completion),
        present=row.present,
        dropped=len(fitted.gone),
        documents=len(kept) or len(documents),
        oracle=tuple(kept.index(at) for at in row.oracle),
    )


def _check_quotes(row: Row, documents: Sequence[str]) -> bool:
    """Tell whether each quote of the answer stands in a document, where the oracle is said to be there."""
    quotes = parse_answer(row.answer).quotes if row.present else ()
    if row.native:
        missing = [quote for quote in quotes if not any(quote in text for text in documents)]
        if missing:
            raise DatasetError(f"{row.place}: row {row.id} quotes what stands in none of its documents: {missing[0]!r}")
        return True
    flat = [flatten(text) for text in documents] if quotes else []
    return all(any(flatten(quote) in text for text in flat) for quote in quotes)


def show_row(student: Student, encoded: Encoded) -> str:
    """Return one row for the eye: the prompt with its special tokens, then what bears loss, and the counts."""
    oracle = ", ".join(str(at + 1) for at in encoded.oracle) or "none"
    return "\n".join(
        [
            f"row {encoded.id}: {encoded.length:,} tokens, {encoded.documents} documents (oracle: {oracle}; "
            f"{encoded.dropped} removed to fit)",
            f"----- prompt: {len(encoded.prompt):,} tokens without loss -----",
            student.decode(encoded.prompt, keep_special=True),
            f"----- answer: {len(encoded.completion):,} tokens with loss -----",
            student.decode(encoded.completion, keep_special=True),
            "----- end -----",
        ]
    )
