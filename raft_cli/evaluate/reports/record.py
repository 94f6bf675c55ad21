"""What `results.json` and `examples.jsonl` hold, and reading the former again. Computes no figure."""

import dataclasses
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from orjson import Fragment

from raft_cli.errors import ConfigError, DatasetError
from raft_cli.evaluate.earlier import Change, Stored, read_stored, store
from raft_cli.evaluate.figures import DIRECTIONS
from raft_cli.evaluate.folder import RESULTS
from raft_cli.evaluate.records import Grade, GradedQuote
from raft_cli.evaluate.results import Answer, Examinee, Results
from raft_cli.evaluate.statistics import Difference, Interval
from raft_cli.store import dumps, read_json

SCHEMA = 1  # of the file; what a later run compares itself with has a schema of its own, under `stored`
_NEEDED = frozenset(("data", "conditions", "primary", "models", "figures", "stored", "clusters"))
_UNREAD = frozenset(("stored", "clusters"))
_QUOTED = frozenset(("extracted", "lenient", "quotes"))  # of a grade: told apart from its scores


def build_record(results: Results) -> dict[str, object]:
    """Return what `results.json` holds: figures, what they are of and rest on; what is not finite is None."""
    record: dict[str, object] = {
        "schema": SCHEMA,
        "verdict": results.verdict,
        "complete": results.complete,
        "data": results.data,
        "hashes": {"data": results.stored.data, "corpus": results.stored.corpus},
        "questions": len(results.items),
        "exam": [list(pair) for pair in results.exam],
        "models": {each.label: _describe_model(each) for each in results.examinees},
        "conditions": results.conditions,
        "primary": results.primary,
        "directions": DIRECTIONS,
        **_list_figures(results),
        "self_check": {"passed": not results.failures, "failures": results.failures},
        "judge": _describe_judge(results),
        "gates": results.gates,
        "change": results.change and _describe_change(results.change),
        "warnings": results.warnings,
        "setting": results.setting,
        "versions": results.versions,
        "seconds": results.seconds,
        "clusters": [results.clusters.get(name, name) for name in results.stored.ids],
    }
    # The columns are finite already, resampling refuses others, and there may be millions of them.
    return {name: to_plain(value) for name, value in record.items()} | {"stored": store(results.stored)}


def pack_record(record: Mapping[str, object]) -> dict[str, object]:
    """Return the record for an indented file, with what no person reads on a single line."""
    return {name: Fragment(dumps(value)) if name in _UNREAD else value for name, value in record.items()}


def _list_figures(results: Results) -> dict[str, object]:
    figures: dict[str, dict[str, dict[str, object]]] = {}
    for (model, condition, metric), figure in results.figures.items():
        figures.setdefault(model, {}).setdefault(condition, {})[metric] = figure
    differences: dict[str, dict[str, object]] = {}
    for (condition, metric), difference in results.differences.items():
        differences.setdefault(condition, {})[metric] = difference
    leaks = results.leaks
    return {
        "figures": figures,
        "differences": differences,
        "tests": results.tests,
        "contrasts": results.contrasts,
        "slices": results.slices,
        "positions": results.positions,
        "steadiness": results.steadiness,
        "retrievals": [{**_fields(each), "right": _name_ends(each.right)} for each in results.retrievals],
        "grounded_refusal": results.grounded_refusal,
        "chances": results.chances,
        "leaks": {**_fields(leaks), "rate": leaks.rate},
    }


def _name_ends(right: Mapping[str, tuple[Interval, Interval]]) -> dict[str, object]:
    return {model: {"hit": hit, "miss": miss} for model, (hit, miss) in right.items()}


def _describe_model(examinee: Examinee) -> dict[str, object]:
    tried = [{"prompt": way, "acc": acc, "questions": count} for way, acc, count in examinee.tried]
    return {**_fields(examinee), "tried": tried}


def _describe_judge(results: Results) -> object:
    if results.judged is None:
        return None
    human, corrected = results.judged.human, results.judged.corrected
    by_model: dict[str, dict[str, float]] = {}
    for (model, condition), share in (corrected or {}).items():
        by_model.setdefault(model, {})[condition] = share
    return {
        **_fields(results.judged),
        "human": human and {"kappa": human[0], "labels": human[1]},
        "corrected": None if corrected is None else by_model,
    }


def _describe_change(change: Change) -> dict[str, object]:
    differences: dict[str, dict[str, object]] = {}
    for (condition, metric), difference in change.differences.items():
        differences.setdefault(condition, {})[metric] = difference
    return {**_fields(change), "differences": differences}


def list_examples(results: Results) -> Iterator[dict[str, object]]:
    """Yield the objects of `examples.jsonl`: one for each question, condition and model, missing answers included."""
    for answer in results.answers:
        yield {name: to_plain(value) for name, value in _describe_answer(answer).items()}


def _describe_answer(answer: Answer) -> dict[str, object]:
    item, case, response, grade = answer.item, answer.case, answer.response, answer.grade
    return {
        "id": item.id,
        "condition": case.condition,
        "model": answer.model,
        "question": item.question,
        "golds": case.golds,
        "type": item.type,
        "kind": item.kind,
        "language": item.language,
        "source": item.source,
        "oracle_ids": item.oracle_ids,
        "seen": item.seen,
        "documents": [{"id": chunk.id, "role": role} for chunk, role in zip(case.documents, case.roles, strict=True)],
        "oracle": case.oracle,
        "prompt": answer.prompt,
        "output": response.text,
        "finish": response.finish,
        "error": response.error or None,
        "extraction": grade and _name_extraction(grade),
        "extracted": grade and grade.extracted,
        "lenient": grade and grade.lenient,
        "quotes": [_describe_quote(answer, quote) for quote in grade.quotes] if grade else [],
        "scores": grade and {name: value for name, value in _fields(grade).items() if name not in _QUOTED},
        "judged": answer.judged or None,
        "prompt_tokens": response.prompt_tokens,
        "completion_tokens": response.completion_tokens,
    }


def _name_extraction(grade: Grade) -> str:
    if grade.extracted is not None:
        return "tag"
    return "last line" if grade.lenient else "none"


def _describe_quote(answer: Answer, quote: GradedQuote) -> dict[str, object]:
    documents = answer.case.documents
    return {
        "class": quote.kind,
        "text": quote.text,
        "document": None if quote.document is None else documents[quote.document].id,
        "spans": quote.spans,
        "likeness": quote.likeness,
        "also": [documents[at].id for at in quote.also],
    }


def read_record(path: Path) -> dict[str, Any]:
    """Read what `build_record` made.

    Args:
        path: `results.json`, or the folder of a report.

    Raises:
        ConfigError: There is none, it is of another version, or it is not whole.
    """
    place = path / RESULTS if path.is_dir() else path
    if not place.is_file():
        started = path.is_dir() and any(path.iterdir())
        advice = "; if that evaluation was stopped, run it again: its answers are kept" if started else ""
        raise ConfigError(f"{path}: no {RESULTS} there, so no finished report of raft eval{advice}")
    try:
        record = read_json(place)
    except DatasetError as error:
        raise ConfigError(f"{error}; run that evaluation again, its answers are kept") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(record, dict) or schema != SCHEMA:
        raise ConfigError(
            f"{place}: no results that this version can read (schema {schema}, expected {SCHEMA}); run that evaluation "
            "again, its answers are kept"
        )
    if missing := sorted(_NEEDED - record.keys()):
        raise ConfigError(f"{place}: not whole, {', '.join(missing)} missing; run that evaluation again")
    return record


def read_earlier(path: Path) -> Stored:
    """Read what `--compare-to` needs of an earlier report.

    Args:
        path: As `read_record`.

    Raises:
        ConfigError: As `read_record`, or it cannot be compared with.
    """
    try:
        record = read_record(path)
    except ConfigError as error:
        raise ConfigError(f"--compare-to {error}") from error
    return read_stored(record["stored"], place=str(path))


def _fields(record: Any) -> dict[str, object]:  # noqa: ANN401 - a dataclass
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def to_plain(value: object) -> object:
    """Return what JSON has words for."""
    if isinstance(value, Interval | Difference):
        return {name: to_plain(each) for name, each in _show_uncertain(value).items()}
    if dataclasses.is_dataclass(value):
        return {name: to_plain(each) for name, each in _fields(value).items()}
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(each) for each in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def _show_uncertain(figure: Interval | Difference) -> dict[str, object]:
    ends = {"low": "lo", "high": "hi", "missing": "n_missing"}
    return {ends.get(name, name): each for name, each in _fields(figure).items()}
