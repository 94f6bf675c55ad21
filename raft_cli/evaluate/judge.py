"""Which answers a judge is asked about, and how far its verdicts are to be believed. Knows no server."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from raft_cli.chat.judging import Query
from raft_cli.chat.rubric import CORRECT, INCORRECT, NOT_ATTEMPTED, VERDICTS
from raft_cli.errors import ConfigError
from raft_cli.evaluate.records import Case, Grade, Item
from raft_cli.evaluate.results import BASE, MODEL, Answer
from raft_cli.evaluate.sheet import read_sheet

Label = tuple[str, str, str]
"""Which answer a person judged: id of the item, condition, model."""

FEWEST_LABELS = 20
_LABELLED = ("id", "condition", "model", "verdict")
_WORDS = {verdict: verdict for verdict in VERDICTS} | {"RIGHT": CORRECT, "WRONG": INCORRECT}
_FAMILIES = {
    name: re.compile(rf"(?<![a-z])(?:{pattern})")
    for name, pattern in {
        "openai": r"(?:chat)?gpt-?(?:\d|oss)|(?<![\d.-])o[134](?![\d.a-z])|davinci",
        "anthropic": "claude",
        "google": "gemini|gemma",
        "meta": r"(?:meta|code)?-?llama|vicuna",
        "mistral": "(?:open-)?mi[sx]tral|ministral|codestral|magistral|devstral|pixtral",
        "qwen": "qwen|qwq|qvq",
        "deepseek": "deepseek",
        "zhipu": "(?:chat)?glm",
        "moonshot": "kimi|moonshot",
        "microsoft": r"phi-?\d",
        "cohere": "command-|c4ai-|aya-",
        "xai": "grok",
        "01": r"yi-",
        "ibm": "granite",
        "internlm": "internlm",
        "allenai": "olmo|tulu",
        "huggingface": "smollm",
        "minimax": "minimax",
        "tencent": "hunyuan",
        "amazon": "nova-|titan-",
    }.items()
}


def make_query(item: Item, case: Case, grade: Grade) -> Query | None:
    """Return what a judge is asked about an answer, or None where it is decided without one.

    The judge reads the short answer, or the last line where there is no answer tag, so that words decide and not form:
    an answer in the words of a gold is right, and nothing is no attempt, with a tag or without.
    """
    if grade.em_lenient == 1.0 or not grade.lenient.strip():
        return None
    golds = tuple(gold for gold in case.golds if gold.strip())
    return Query(item.question, golds, grade.lenient, item.language)


def decide(item: Item, case: Case, grade: Grade, given: Mapping[Query, str]) -> str:
    """Return the verdict on an answer; empty when the judge gave none."""
    query = make_query(item, case, grade)
    if query is not None:
        return given.get(query, "")
    return CORRECT if grade.em_lenient == 1.0 else NOT_ATTEMPTED


def agree(answers: Sequence[Answer]) -> float | None:
    """Return Cohen's kappa of the judge (right or not) with `acc`; None when it is not defined.

    Over the different answers that the judge was asked about, each counted once however many models and conditions gave
    it. Those decided without it agree with `acc` by construction and would flatter it. Compared is `acc_lenient`, which
    is `acc` for the very words that the judge read: a missing answer tag is no disagreement.
    """
    pairs = {query: (answer.judged == CORRECT, grade.acc_lenient == 1.0) for query, answer, grade in _asked(answers)}
    return find_kappa(pairs.values())


def agree_with_people(answers: Sequence[Answer], labels: Mapping[Label, str]) -> tuple[float | None, int]:
    """Return Cohen's kappa of the judge (right or not) with people, and over how many labelled answers.

    Over answers that the judge was asked about, as in `agree`.
    """
    pairs = _pair_labels(answers, labels)
    return find_kappa(pairs), len(pairs)


def find_kappa(pairs: Iterable[tuple[bool, bool]]) -> float | None:
    """Return Cohen's kappa of two raters (Cohen, 1960); None where chance alone makes them agree on everything."""
    counts = Counter(pairs)
    total = counts.total()
    if not total:
        return None
    one = (counts[True, True] + counts[True, False]) / total
    other = (counts[True, True] + counts[False, True]) / total
    observed = (counts[True, True] + counts[False, False]) / total
    expected = one * other + (1 - one) * (1 - other)
    return None if expected == 1.0 else (observed - expected) / (1 - expected)


def read_labels(path: Path) -> dict[Label, str]:
    """Return the verdicts of people by item, condition and model.

    JSONL or CSV with the fields `id`, `condition`, `model` (`model` or `base`) and `verdict` (CORRECT, INCORRECT,
    NOT_ATTEMPTED, or right, wrong): the lines of `examples.jsonl` with a verdict added to them will do. Other fields
    are left alone; a row whose verdict is empty is not labelled.

    Raises:
        ConfigError: The file cannot be read, holds no verdict, or a line says something else; it is named.
    """
    labels: dict[Label, str] = {}
    lines: dict[Label, int] = {}
    for number, row in read_sheet(path, _LABELLED):
        item, condition, model, said = (str(row.get(name) or "").strip() for name in _LABELLED)
        if not said:
            continue
        place, label = f"{path}, line {number}", (item, condition, model)
        if not (item and condition):
            raise ConfigError(f"{place}: {'condition' if item else 'id'} is missing")
        if model not in (MODEL, BASE):
            raise ConfigError(f"{place}: model is {model[:40]!r}; expected {MODEL} or {BASE}")
        verdict = _WORDS.get(said.upper().replace(" ", "_").replace("-", "_"))
        if verdict is None:
            raise ConfigError(f"{place}: verdict is {said[:40]!r}; expected {', '.join(VERDICTS)}, right or wrong")
        if labels.setdefault(label, verdict) != verdict:
            raise ConfigError(f"{place}: {verdict}, but line {lines[label]} says {labels[label]} of the same answer")
        lines.setdefault(label, number)
    if not labels:
        raise ConfigError(f"{path}: no verdict in it; expected the fields {', '.join(_LABELLED)}")
    return labels


def find_strays(answers: Sequence[Answer], labels: Mapping[Label, str]) -> list[Label]:
    """Return the labels that are of no answer here: of another dataset, condition or model."""
    known = {_name(answer) for answer in answers}
    return [label for label in labels if label not in known]


def correct_rates(answers: Sequence[Answer], labels: Mapping[Label, str]) -> dict[tuple[str, str], float] | None:
    """Return the share of right answers by model and condition, corrected for the errors that people found.

    After Rogan and Gladen (1978): a share p of verdicts CORRECT becomes (p + specificity - 1) / (sensitivity +
    specificity - 1), clipped to 0 and 1. Sensitivity and specificity are those on the labelled answers that the judge
    was asked about, all models and conditions together, and only what it was asked about is corrected: what needs no
    judge (equal to a gold, empty) has none of its errors, and makes up another part of each model's answers.

    None with fewer than 20 labels of such answers, without both right and wrong ones among them, or when the judge is
    no better than chance (sensitivity + specificity at most 1).
    """
    counts = Counter(_pair_labels(answers, labels))
    right = counts[True, True] + counts[False, True]
    wrong = counts[True, False] + counts[False, False]
    if right + wrong < FEWEST_LABELS or not right or not wrong:
        return None
    sensitivity, specificity = counts[True, True] / right, counts[False, False] / wrong
    better_than_chance = sensitivity + specificity - 1
    if better_than_chance <= 0:
        return None
    asked: dict[tuple[str, str], list[bool]] = {}
    certain: dict[tuple[str, str], list[bool]] = {}
    for answer in answers:
        if answer.grade is not None and answer.judged:
            by_judge = make_query(answer.item, answer.case, answer.grade) is not None
            place = (asked if by_judge else certain).setdefault((answer.model, answer.case.condition), [])
            place.append(answer.judged == CORRECT)
    corrected = {}
    for key in {**asked, **certain}:
        said, known = asked.get(key, []), certain.get(key, [])
        raw = sum(said) / len(said) if said else 0.0
        share = min(1.0, max(0.0, (raw + specificity - 1) / better_than_chance))
        corrected[key] = (share * len(said) + sum(known)) / (len(said) + len(known))
    return corrected


def _asked(answers: Sequence[Answer]) -> list[tuple[Query, Answer, Grade]]:
    """Return the answers on which the judge gave a verdict, with what it was asked."""
    return [
        (query, answer, answer.grade)
        for answer in answers
        if answer.grade is not None
        and answer.judged
        and (query := make_query(answer.item, answer.case, answer.grade)) is not None
    ]


def _pair_labels(answers: Sequence[Answer], labels: Mapping[Label, str]) -> list[tuple[bool, bool]]:
    """Return for each labelled answer that the judge was asked about: right by the judge, right by people."""
    return [
        (answer.judged == CORRECT, labels[_name(answer)] == CORRECT)
        for _, answer, _ in _asked(answers)
        if _name(answer) in labels
    ]


def _name(answer: Answer) -> Label:
    return answer.item.id, answer.case.condition, answer.model


def same_family(judge: str, teacher: str) -> bool:
    """Tell whether two models are of one family by their names; addresses do not count."""
    one, other = (name.removeprefix("endpoint:").partition("@http")[0].lower() for name in (judge, teacher))
    return one == other or bool(_find_families(one) & _find_families(other))


def _find_families(name: str) -> set[str]:
    """Return the families that a name tells of; a distilled model has two."""
    return {family for family, pattern in _FAMILIES.items() if pattern.search(name)}
