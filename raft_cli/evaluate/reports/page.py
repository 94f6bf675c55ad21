"""The page of an evaluation: one HTML file with every figure, and the answers that tell most. Writes no file."""

import base64
import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from raft_cli.evaluate.reports.bars import (
    CLASSES,
    stack_declined,
    stack_lengths,
    stack_pairs,
    stack_quotes,
)
from raft_cli.evaluate.reports.browser import KINDS, PAIRS, VERDICTS, Example, show_examples
from raft_cli.evaluate.reports.charts import draw_positions, draw_sweep
from raft_cli.evaluate.reports.choice import REASONS, choose_examples
from raft_cli.evaluate.reports.headline import list_headlines, list_tiles
from raft_cli.evaluate.reports.shelf import Shelf
from raft_cli.evaluate.reports.tables import (
    list_asking,
    list_change,
    list_contrasts,
    list_costs,
    list_judged,
    list_metrics,
    list_retrievals,
    list_slices,
    list_steadiness,
    list_tried,
)
from raft_cli.evaluate.reports.words import explain_condition, shorten, show_count, show_seconds, show_share
from raft_cli.evaluate.results import Results

_FOLDER = Path(__file__).parent
_TITLE = 80
_SLICES = {
    "chunk": "Passages that training asked about, and others",
    "language": "Languages",
    "question": "Kinds of questions",
}


def render_page(results: Results) -> str:
    """Return the page: self-contained, readable without its script, loading nothing."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(_FOLDER),
        finalize=_clean,
    )
    environment.filters |= {"count": show_count, "number": "{:,}".format, "seconds": show_seconds, "share": show_share}
    script = (_FOLDER / "page.js").read_text("utf-8")
    return environment.get_template("page.html.j2").render(
        results=results,
        name=_title(results.examinees[0].name),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        explain=explain_condition,
        **_build_figures(results),
        **_build_examples(results),
    )


def _title(name: str) -> str:
    """Return the short name of a model: the end of its path, or what an endpoint calls it."""
    short = name.removeprefix("endpoint:").partition("@http")[0].rstrip("/").rpartition("/")[2]
    return shorten(short or name, _TITLE)


def _build_figures(results: Results) -> dict[str, object]:
    headers, headlines = list_headlines(results)
    metrics = {condition: list_metrics(results, condition) for condition in results.conditions}
    slices = {title: list_slices(results, kind) for kind, title in _SLICES.items()}
    return {
        "tiles": list_tiles(results),
        "headers": headers,
        "headlines": headlines,
        "missing": _count_missing(results),
        "sweep": draw_sweep(results),
        "positions": draw_positions(results),
        "steadiness": list_steadiness(results),
        "classes": {kind.value: label for kind, (_, label) in CLASSES.items()},
        "quotes": stack_quotes(results),
        "declined": stack_declined(results),
        "pairs": stack_pairs(results),
        "lengths": stack_lengths(results),
        "contrasts": list_contrasts(results),
        "retrievals": list_retrievals(results),
        "slices": {title: grid for title, grid in slices.items() if grid.rows},
        "sources": list_slices(results, "source"),
        "judged": list_judged(results),
        "change": list_change(results),
        "costs": list_costs(results),
        "asking": list_asking(results),
        "metrics": metrics,
        "tried": list_tried(results),
        "absent": list(_explain_absent(results)),
    }


def _build_examples(results: Results) -> dict[str, object]:
    shelf = Shelf()
    examples = show_examples(choose_examples(results), shelf)
    return {
        "examples": examples,
        "shown": sum(len(example.views) for example in examples),
        "documents": list(shelf.show()),
        "places": shelf.places,
        "options": _list_options(results, examples),
        "verdicts": VERDICTS,
        "reasons": REASONS,
        "pair_names": PAIRS,
    }


def _list_options(results: Results, examples: list[Example]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return what examples can be filtered by: attribute, label, and values that occur with their names."""
    views = [view for example in examples for view in example.views]
    verdicts = {verdict for view in views for verdict in view.verdicts}
    kinds = {kind for view in views for kind in view.kinds}
    pairs = {example.pair for example in examples}
    conditions = {example.condition for example in examples}
    models = [each.label for each in results.examinees]
    found: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("c", "Condition", [(name, name) for name in results.conditions if name in conditions]),
        ("m", "Model", [(label, label) for label in models] if len(models) > 1 else []),
        ("v", "Answer", [(name, label) for name, label in VERDICTS.items() if name in verdicts]),
        ("k", "With a quotation", [(kind.value, label) for kind, label in KINDS.items() if kind.value in kinds]),
        ("p", "Comparison", [(name, label) for name, label in PAIRS.items() if name in pairs]),
        ("s", "Document", [(name, name) for name in sorted({example.item.source for example in examples})]),
    ]
    return [each for each in found if len(each[2]) > 1]


def _count_missing(results: Results) -> list[tuple[str, int, int]]:
    """Return name, missing and all answers of each model that misses some."""
    counts = []
    for examinee in results.examinees:
        own = [answer for answer in results.answers if answer.model == examinee.label]
        missing = sum(answer.grade is None for answer in own)
        if missing:
            counts.append((examinee.label, missing, len(own)))
    return counts


def _explain_absent(results: Results) -> Iterator[tuple[str, str]]:
    """Yield what this page does not show, and why."""
    asked: Mapping[str, int] = {
        kind: sum(name.startswith(kind) for name in results.conditions) for kind in ("oracle", "pos@", "retrieved@")
    }
    if len(results.examinees) < 2:
        yield "Comparison with a base", "no baseline was given (--baseline)"
    if asked["oracle"] < 2:
        yield "More distractors", "fewer than two conditions show an oracle among a known number of distractors"
    if asked["pos@"] < 2:
        yield "Place of the oracle", "it was not moved (--conditions full)"
    if "distract" not in results.conditions:
        yield "Without the oracle", "the condition distract was not asked"
    if not asked["retrieved@"]:
        yield "Retrieval", "no condition retrieved@K was asked (--conditions standard)"
    if not results.contrasts:
        yield "Between conditions", "no two conditions that were asked make up one of the differences"
    if results.judged is None:
        yield "Judge", "none was asked (--judge)"
    if not results.gates:
        yield "Gates", "none was set (--fail-under)"
    if results.change is None:
        yield "Change", "no earlier run was given (--compare-to)"


def _clean(value: object) -> object:
    """Make visible what HTML has no characters for; what is markup already stays."""
    if type(value) is not str or value.isprintable():
        return value
    return "".join("\ufffd" if _is_forbidden(mark) else mark for mark in value)


def _is_forbidden(mark: str) -> bool:
    if unicodedata.category(mark) in ("Cc", "Cs"):
        return mark not in "\n\t"
    return ord(mark) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(mark) <= 0xFDEF
