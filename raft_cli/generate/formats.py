"""Rows as JSON: our native row, whose first seven keys are the original's, and the formats that trainers read. Pure."""

import re
from collections.abc import Callable
from typing import Any

from raft_cli.cot import BEGIN, END, escape, escape_span
from raft_cli.data import Example, Role
from raft_cli.prompts import render_instruction

STOP = "<STOP>"
Row = dict[str, Any]

_TAGGED = re.compile(r"<ANSWER>:[ \t]*(.*)\Z", re.DOTALL)


def build_row(example: Example, oracle_text: str, language: str) -> Row:
    """Return the native row of an example.

    Args:
        oracle_text: Raw text of the oracle chunk(s), present in the documents or not.
    """
    sentences = [escape(chunk.text) for chunk in example.documents]
    return {
        "id": example.id,
        "type": "general",
        "question": example.question.text,
        "context": {"sentences": [sentences], "title": [[chunk.title for chunk in example.documents]]},
        "oracle_context": escape(oracle_text),
        "cot_answer": example.target,
        "instruction": render_instruction(example.question.text, example.documents),
        "answer": example.final,
        "quotes": [
            {"text": quote.text, "chunk_id": quote.chunk_id, "start": quote.start, "end": quote.end}
            for quote in example.quotes
        ],
        "documents": [
            {
                "chunk_id": chunk.id,
                "source": chunk.source,
                "page": chunk.page,
                "heading": " > ".join(chunk.heading),
                "role": role.value,
            }
            for chunk, role in zip(example.documents, example.roles, strict=True)
        ],
        "oracle": list(example.oracle),
        "kind": example.question.kind,
        "language": language,
    }


def check_row(row: Row, example: Example) -> str:
    """Return what is wrong with a row that is about to be written, or an empty string; nothing should ever be."""
    documents = row["context"]["sentences"][0]
    if len(set(documents)) != len(documents):
        return "a document stands twice"
    if row["instruction"] != "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in documents) + row["question"]:
        return "the instruction is not documents and question"
    if row["cot_answer"].count("<ANSWER>:") != 1:
        return "not exactly one answer tag"
    if any((role is Role.ORACLE) != (at in example.oracle) for at, role in enumerate(example.roles)):
        return "the oracle positions are wrong"
    held = {chunk.id: chunk.text for chunk in example.documents}
    for quote in example.quotes if example.oracle else ():
        text = held.get(quote.chunk_id, "")
        marked = f"{BEGIN}{escape_span(text, quote.start, quote.end)}{END}"
        if text[quote.start : quote.end] != quote.text or marked not in row["cot_answer"]:
            return "a quote does not stand in its document"
    return ""


def _to_messages(row: Row, system: str) -> Row:
    opening = [{"role": "system", "content": system}] if system else []
    turns = [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["cot_answer"]}]
    return {"messages": opening + turns}


def _to_prompt_completion(row: Row, system: str) -> Row:
    return {"prompt": _lead(system) + row["instruction"], "completion": row["cot_answer"]}


def _to_completion(row: Row, system: str) -> Row:
    return {"prompt": _lead(system) + row["instruction"], "completion": row["cot_answer"] + STOP}


def _to_sharegpt(row: Row, system: str) -> Row:
    opening = [{"from": "system", "value": system}] if system else []
    return {
        "conversations": [
            *opening,
            {"from": "human", "value": row["instruction"]},
            {"from": "gpt", "value": row["cot_answer"]},
        ]
    }


def _to_alpaca(row: Row, system: str) -> Row:
    documents = row["instruction"][: len(row["instruction"]) - len(row["question"])]
    made = {"instruction": row["question"], "input": documents.rstrip("\n"), "output": row["cot_answer"]}
    return {**made, "system": system} if system else made


def _to_eval(row: Row, system: str) -> Row:
    """Return gorilla's evaluation row: question, final answer, and the documents without the question."""
    tagged = _TAGGED.search(row["cot_answer"])
    documents = row["instruction"][: len(row["instruction"]) - len(row["question"])].removesuffix("\n")
    return {
        "question": row["question"],
        "gold_final_answer": tagged[1] if tagged else row["cot_answer"],
        "context": documents,
    }


def _lead(system: str) -> str:
    return f"{system}\n\n" if system else ""


CONVERTERS: dict[str, Callable[[Row, str], Row]] = {
    "messages": _to_messages,
    "chat": _to_messages,
    "prompt-completion": _to_prompt_completion,
    "completion": _to_completion,
    "sharegpt": _to_sharegpt,
    "alpaca": _to_alpaca,
    "eval": _to_eval,
}
