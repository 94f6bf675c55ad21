"""The README.md of a dataset folder: a dataset card that `datasets.load_dataset` reads. Pure."""

from collections.abc import Mapping, Sequence

_FEATURES = """\
  features:
  - {name: id, dtype: string}
  - {name: type, dtype: string}
  - {name: question, dtype: string}
  - name: context
    struct:
    - name: sentences
      sequence:
        sequence: string
    - name: title
      sequence:
        sequence: string
  - {name: oracle_context, dtype: string}
  - {name: cot_answer, dtype: string}
  - {name: instruction, dtype: string}
  - {name: answer, dtype: string}
  - name: quotes
    list:
    - {name: text, dtype: string}
    - {name: chunk_id, dtype: string}
    - {name: start, dtype: int64}
    - {name: end, dtype: int64}
  - name: documents
    list:
    - {name: chunk_id, dtype: string}
    - {name: source, dtype: string}
    - {name: page, dtype: int64}
    - {name: heading, dtype: string}
    - {name: role, dtype: string}
  - name: oracle
    sequence: int64
  - {name: kind, dtype: string}
  - {name: language, dtype: string}
"""


def render_card(
    *, rows: Mapping[str, int], languages: Sequence[str], facts: Sequence[tuple[str, str]], warnings: Sequence[str]
) -> str:
    """Return the card: splits and column types for `datasets`, then what the dataset is, for people.

    Args:
        rows: Rows of each split; empty splits are left out, since they have no file.
        facts: Label and value of each line of the table.
    """
    files = "".join(f"  - split: {name}\n    path: {name}.jsonl\n" for name, count in rows.items() if count)
    tags = "".join(f"- {language}\n" for language in languages if language != "other") or "- und\n"
    table = "".join(f"| {label} | {value.replace('|', '/')} |\n" for label, value in facts)
    notes = "".join(f"- {warning}\n" for warning in warnings)
    return f"""\
---
language:
{tags}task_categories:
- question-answering
tags:
- raft
configs:
- config_name: default
  data_files:
{files}dataset_info:
  config_name: default
{_FEATURES}---

# RAFT dataset

Rows for Retrieval Augmented Fine-Tuning (arXiv 2403.10131): a question among its documents, and a chain-of-thought
answer that quotes the oracle document. Made with `raft generate`.

| | |
|---|---|
{table}
{f"Keep in mind:{chr(10)}{chr(10)}{notes}{chr(10)}" if notes else ""}\
Load it with `datasets.load_dataset("PATH_OF_THIS_FOLDER")`. `instruction` is what the student sees, `cot_answer` what
it is to say; `documents` and `quotes` follow each passage to its file, page and characters (`chunks.jsonl`,
`documents.jsonl`).
"""
