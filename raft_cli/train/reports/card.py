"""The README.md of a run and of a merged model: what it is, how it must be asked, what nobody tested. Pure.

Says what was done and measured, and claims nothing beyond.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from raft_cli.cot import BEGIN, END, TAG
from raft_cli.train.reports.facts import (
    Lines,
    list_data,
    list_origin,
    list_results,
    list_settings,
    name_data,
    write_command,
)
from raft_cli.train.reports.serving import explain_adapter, explain_model
from raft_cli.train.units import look_up, show_value

_WRITTEN_HERE = ("native", "gorilla")
_UNTESTED = f"""\
- Loss on held-out rows says how well it predicts such answers, not whether they are right. `raft eval` asks it, with
  and without the oracle, and compares it with its base.
- Questions from other subjects, documents of other kinds, other languages, longer or many more documents than above.
- More than one turn of conversation; tools; following other instructions than answering from documents.
- Safety, bias, and documents written to mislead it. What the base did there may have changed.
- Whether a quotation is verbatim: check the text between `{BEGIN}` and `{END}` against the documents.
"""


def render_card(manifest: Mapping[str, Any]) -> str:
    """Return the card of a run, from its manifest."""
    base = str(look_up(manifest, "base.name", "an unnamed base"))
    full = look_up(manifest, "config.method") == "full"
    result = _table(list_results(manifest)) if manifest.get("result") else "Training is not finished.\n"
    return f"""\
{_front(base, library="transformers" if full else "peft", relation="finetune" if full else "adapter")}
# {_plain(base.rstrip("/").rpartition("/")[2])}, tuned with RAFT

{_warn(manifest)}A student for Retrieval Augmented Fine-Tuning (arXiv 2403.10131): it answers a question from the
documents in its prompt, some of which are distractors. Made with `raft train` from {_plain(base)}, whose licence holds.

## What it was trained on

{_table(list_data(manifest))}
{_advise(manifest)}
## How it must be asked

{_explain_prompt(manifest)}
## Settings

{_table(list_settings(manifest))}
## Results

{result}
Loss is the mean over the tokens of the answers; prompts do not count.

## What it has not been tested for

{_UNTESTED}
## Serving

{_serve(manifest, full=full)}
## To make it again

{_table(list_origin(manifest))}
{_fence(write_command(manifest))}
"""


def render_merged_card(merged: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Return the card of a merged model, from its own manifest and that of the run."""
    base = str(look_up(merged, "base.name", "an unnamed base"))
    facts: Lines = [
        ("Base", base),
        ("Revision of the base", look_up(merged, "base.revision")),
        ("Adapter", f"rank {look_up(merged, 'adapter.rank')}, {look_up(merged, 'adapter.layers', 0):,} layers"),
        ("Merged", look_up(merged, "adapter.way")),
        ("Weights", ", ".join(look_up(merged, "weights.types", []))),
        ("Run (SHA-256 of its manifest)", look_up(merged, "run.manifest")),
        ("Data", name_data(run)),
    ]
    quantised = (
        "The adapter was trained over a 4-bit base and merged into the same base in 16 bits: its answers differ a "
        "little from those seen in training. Evaluate this model, not the run.\n\n"
        if look_up(merged, "adapter.quantised")
        else ""
    )
    return f"""\
{_front(base, library="transformers", relation="merge")}
# {_plain(base.rstrip("/").rpartition("/")[2])}, tuned with RAFT, merged

{_warn(run)}{_plain(base)} with the adapter of a RAFT run in its weights, so that no server needs to know of adapters.
The licence of the base holds. Made with `raft merge`.

{_table(facts)}
{quantised}## How it must be asked

{_explain_prompt(run)}
## What it has not been tested for

{_UNTESTED}
## Serving

{explain_model(chat=_is_chat(run), longest=_longest(run))}"""


def _front(base: str, *, library: str, relation: str) -> str:
    return f"""\
---
base_model: {json.dumps(base, ensure_ascii=False)}
base_model_relation: {relation}
library_name: {library}
pipeline_tag: text-generation
tags:
- raft
- retrieval-augmented-generation
---
"""


def _warn(manifest: Mapping[str, Any]) -> str:
    if not look_up(manifest, "base.smoke"):
        return ""
    return (
        "> **Of no use.** Its base is a tiny model of random weights, made to try the tools. Its answers and its "
        "figures mean nothing.\n\n"
    )


def _advise(manifest: Mapping[str, Any]) -> str:
    size = look_up(manifest, "data.dataset.chunk_size")
    if size is None:
        return "Cut the documents of the index as those of the training rows were cut.\n"
    return (
        f"Cut the documents of the index into chunks of **{show_value(size)} tokens**, as those of the training rows: "
        "a student of short passages does worse on long ones, and the other way round.\n"
    )


def _explain_prompt(manifest: Mapping[str, Any]) -> str:
    system = str(look_up(manifest, "prompt.system", ""))
    wrapped = (
        "One user message, in the chat template of this folder"
        if _is_chat(manifest)
        else "Plain text without a chat template, two line breaks behind it"
    )
    begins = f", after this system message:\n\n{_fence(system)}\nThe user message" if system else ". It"
    if look_up(manifest, "data.format", "native") not in _WRITTEN_HERE:
        return f"{wrapped}{begins} is as the rows of the data had it; `example.txt` of the run shows one.\n"
    prompt = "<DOCUMENT>text of a document</DOCUMENT>\n<DOCUMENT>text of another</DOCUMENT>\nthe question"
    answer = f"Reasoning that quotes: {BEGIN}words copied from a document{END} and so on.\n{TAG} the answer"
    return f"""\
{wrapped}{begins} holds the documents, each on a line of its own between its tags, and the question last:

{_fence(prompt)}
Where `<DOCUMENT>`, `</DOCUMENT>`, `{TAG}`, `{BEGIN}` or `{END}` occur in a document, put a zero-width joiner (U+200D)
behind the `<` or the `##`, as in training. It answers so:

{_fence(answer)}
Ask with temperature 0. `example.txt` of the run shows one row to the letter.
"""


def _serve(manifest: Mapping[str, Any], *, full: bool) -> str:
    if full:
        return explain_model(chat=_is_chat(manifest), longest=_longest(manifest))
    return explain_adapter(
        base=shlex.quote(str(look_up(manifest, "base.name", "BASE"))),
        rank=int(look_up(manifest, "recipe.rank", 0)),
        dora=bool(look_up(manifest, "recipe.dora")),
        chat=_is_chat(manifest),
        longest=_longest(manifest),
    )


def _is_chat(manifest: Mapping[str, Any]) -> bool:
    return bool(look_up(manifest, "prompt.template", "chat") == "chat")


def _longest(manifest: Mapping[str, Any]) -> int:
    return int(look_up(manifest, "rows.percentiles.max", 0))


def _table(lines: Lines) -> str:
    rows = "".join(f"| {label} | {_cell(value)} |\n" for label, value in lines if show_value(value) != "–")
    return f"| | |\n|---|---|\n{rows}"


def _cell(value: object) -> str:
    return _plain(show_value(value)).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return text of others as one line that Markdown shows as it is."""
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", " ".join(text.split()))


def _fence(text: str) -> str:
    """Return a block of code, fenced by more backticks than stand in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}\n"
