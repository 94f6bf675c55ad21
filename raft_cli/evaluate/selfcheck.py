"""Check the scores on a run's own questions before anyone believes them. Pure; runs at each evaluation.

Each probe is a response whose figures are known beforehand: the gold, nothing, another question's gold, a quotation of
the first document, and so on. A figure that differs from what it must be is a failure of the scorer or of the data.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.cot import BEGIN, END, TAG, escape
from raft_cli.data import Chunk
from raft_cli.evaluate.labels import match_label
from raft_cli.evaluate.locate import clean_document
from raft_cli.evaluate.measure import Ratio, measure
from raft_cli.evaluate.normalise import Rules, count_units, tokenise
from raft_cli.evaluate.quotes import UNITS
from raft_cli.evaluate.records import Case, Grade, Item, Response
from raft_cli.evaluate.refusal import is_refusal
from raft_cli.evaluate.score import API_CALL, SCORER, Scorer, grade_response, read_rules

CHANCE = 0.02  # another question's gold may be right this often
_WORDS = ("em", "f1", "precision", "recall", "contains", "rougeL", "acc")
_RIGHT = dict.fromkeys(_WORDS, 1.0) | {"format_rate": 1.0, "misled_rate": 0.0, "refusal_rate": 0.0, "crag": 1.0}
_EMPTY = dict.fromkeys((*_WORDS, "acc_lenient", "format_rate", "quote_rate", "misled_rate"), 0.0)
_OTHER = dict.fromkeys(_WORDS, 0.0)
_UNTAGGED = {"em": 0.0, "acc": 0.0, "format_rate": 0.0, "em_lenient": 1.0, "acc_lenient": 1.0, "f1_lenient": 1.0}
_REFUSED = {"refusal_rate": 1.0, "acc": 0.0, "crag": 0.0, "wrong_rate": 0.0}
_FILLER = "filler"
_LONG = 16  # words of a quotation that is tampered with: one word more leaves it over 90 % alike
_STRANGE = "not 90817"

Measure = Callable[[str, Item, Case, Response, Grade], Ratio | None]


@dataclass(frozen=True, slots=True)
class Failure:
    """A figure that is not what it must be.

    Attributes:
        probe: What was answered: `gold`, `empty`, `other-gold`, `first-document` …
        answers: How many answers it was measured on.
        example: The first question whose figure differs.
    """

    probe: str
    metric: str
    expected: float
    found: float | None
    answers: int
    example: str


@dataclass(frozen=True, slots=True)
class _Probe:
    name: str
    text: str
    expected: Mapping[str, float]


def choose_probed(items: Sequence[Item], cases: Sequence[Case], most: int) -> list[Case]:
    """Return about `most` cases at the most: those of evenly spread questions, each under all its conditions."""
    stride = -(-len(cases) // most)
    probed = {item.id for item in items[::stride]}
    return [case for case in cases if case.item_id in probed]


def check_scoring(
    items: Sequence[Item],
    cases: Sequence[Case],
    *,
    scorer: Scorer = SCORER,
    measured: Measure = measure,
    declines: Callable[[str], bool] = is_refusal,
) -> tuple[Failure, ...]:
    """Return every figure that known answers to these cases get wrong; nothing when the scores can be believed.

    Args:
        declines: What reads like a refusal to this evaluation: where a gold does, no answer is one.

    Raises:
        KeyError: A case belongs to none of the items.
    """
    by_id = {item.id: item for item in items}
    others = _find_others(items, declines)
    tally: dict[tuple[str, str], list[tuple[str, float, Ratio | None]]] = defaultdict(list)
    for case in cases:
        item = by_id[case.item_id]
        for probe in _make_probes(item, case, others.get(item.id), declines):
            response = Response(probe.text, "stop", 1, 1)
            grade = grade_response(item, case, response, scorer=scorer)
            for metric, expected in probe.expected.items():
                found = measured(metric, item, case, response, grade)
                tally[probe.name, metric].append((item.id, expected, found))
    return tuple(failure for (probe, metric), rows in tally.items() if (failure := _judge(probe, metric, rows)))


def _judge(probe: str, metric: str, rows: Sequence[tuple[str, float, Ratio | None]]) -> Failure | None:
    expected = sum(row[1] for row in rows) / len(rows)
    ratios = [ratio for _, _, ratio in rows if ratio is not None]
    weight = sum(ratio[1] for ratio in ratios)
    found = sum(ratio[0] for ratio in ratios) / weight if weight else None
    margin = CHANCE if probe == "other-gold" else 1e-9
    if found is not None and len(ratios) == len(rows) and abs(found - expected) <= margin:
        return None
    example = next((name for name, wanted, ratio in rows if ratio is None or ratio[0] != wanted * ratio[1]), "")
    return Failure(probe, metric, expected, found, len(rows), example)


def _find_others(items: Sequence[Item], declines: Callable[[str], bool]) -> dict[str, str]:
    """Return for each question the gold of the next one that shares no token with its own; none for some."""
    found = {}
    for at, item in enumerate(items):
        rules = read_rules(item, item.golds)
        own = _tokens(item.golds, rules)
        for step in range(1, min(len(items), 50)):
            other = items[(at + step) % len(items)].golds[0]
            if not own & _tokens((other,), rules) and not declines(other):
                found[item.id] = other
                break
    return found


def _tokens(golds: Sequence[str], rules: Rules) -> set[str]:
    return {token for gold in golds for token in tokenise(gold, rules)}


def _make_probes(item: Item, case: Case, other: str | None, declines: Callable[[str], bool]) -> Iterator[_Probe]:
    yield from _probe_words(item, case, other, declines)
    if case.documents:
        yield from _probe_first(case)
        yield from _probe_evidence(item, case)
        yield from _probe_misled(item, case)


def _probe_words(item: Item, case: Case, other: str | None, declines: Callable[[str], bool]) -> Iterator[_Probe]:
    gold = escape(case.golds[0])
    tagged = f"{TAG} {gold}"
    yield _Probe("gold", tagged, _RIGHT)
    yield _Probe("last-tag", f"{TAG} {_FILLER}\nNo.\n{tagged}", _RIGHT)
    yield _Probe("end-of-turn", f"{tagged}<|im_end|>\n{TAG} {_FILLER}", _RIGHT)
    yield _Probe("thought", f"<think>{tagged}</think>", _EMPTY)
    yield _Probe("empty", "", _EMPTY)
    yield _Probe("empty-tag", TAG, {**_EMPTY, "format_rate": 1.0})
    rules = read_rules(item, case.golds)
    if other is not None and not _tokens(case.golds, rules) & _tokens((other,), rules):
        yield _Probe("other-gold", f"{TAG} {escape(other)}", _OTHER)
    if len(gold.splitlines()) == 1:
        yield _Probe("no-tag", gold, _UNTAGGED)
    if not any(map(declines, case.golds)):
        yield _Probe("refusal", f"{TAG} I don't know.", _REFUSED)
    if item.type == API_CALL or match_label("", gold) is not None or not tokenise(gold):
        return
    glued = " ".join(f"x{token}x" for token in tokenise(gold, rules) if token.isascii())
    if glued and gold.isascii():
        yield _Probe("glued", f"{TAG} {glued}", {"em": 0.0, "contains": 0.0, "f1": 0.0, "acc": 0.0})
    length = 11 + 2 * len(tokenise(gold))
    dump = f"{TAG} {gold} {' '.join([_FILLER] * length)}"
    yield _Probe("dump", dump, {"em": 0.0, "contains": 1.0, "recall": 1.0, "acc": 0.0})


def _quote(text: str) -> str:
    return f"{BEGIN}{escape(text)}{END}"


def _in_oracle(text: str, case: Case) -> bool:
    return any(clean_document(text) in clean_document(case.documents[at].text) for at in case.oracle)


def _probe_first(case: Case) -> Iterator[_Probe]:
    """Quote the first document whole: the share of quotations from an oracle is that of cases that begin with one."""
    first = case.documents[0].text
    if case.oracle and count_units(first) >= UNITS:
        right = float(_in_oracle(first, case))
        figures = {"citation_precision": right, "citation_precision_mean": right, "distractor_citation_rate": 1 - right}
        always = {"verbatim_rate": 1.0, "fabrication_rate": 0.0, "quote_rate": 1.0, "overquoted": 1.0}
        yield _Probe("first-document", _quote(first), {**figures, **always})


def _probe_evidence(item: Item, case: Case) -> Iterator[_Probe]:
    """Give the gold with a passage of an oracle, of a distractor, and with an oracle's passage tampered with."""
    tagged = f"{TAG} {escape(case.golds[0])}"
    for at in case.oracle[:1]:
        if passage := _cut_passage(case.documents[at]):
            cited = {"citation_precision": 1.0, "fabrication_rate": 0.0, "grounded_acc": 1.0, "lucky": 0.0}
            recalled = {"citation_recall": 1.0} if len(case.oracle) == 1 else {}
            yield _Probe("evidence", f"{_quote(passage)}\n{tagged}", {**cited, **recalled, "acc": 1.0})
            words = passage.split(" ")
            words.insert(len(words) // 2, _STRANGE)
            altered = {"fabrication_rate": 1.0, "near_rate": 0.0, "citation_precision": 0.0, "grounded_acc": 0.0}
            yield _Probe("tampered", f"{_quote(' '.join(words))}\n{tagged}", altered)
    strange = next((at for at in range(len(case.documents)) if at not in case.oracle), None)
    passage = "" if strange is None else _cut_passage(case.documents[strange])
    if passage and case.oracle and not _in_oracle(passage, case):
        cited = {"citation_precision": 0.0, "distractor_citation_rate": 1.0, "distractor_citation_share": 1.0}
        yield _Probe("distractor", f"{_quote(passage)}\n{tagged}", {**cited, "grounded_acc": 0.0, "lucky": 1.0})


def _cut_passage(chunk: Chunk) -> str:
    """Return the longest line of a document, at most 400 characters to a blank; empty if that is short."""
    line = max(chunk.text.splitlines(), key=len, default="").strip()
    passage = line if len(line) <= 400 else line[: max(line.rfind(mark, 0, 400) for mark in " 。，；、")].strip()
    return passage if count_units(passage) >= _LONG else ""


def _probe_misled(item: Item, case: Case) -> Iterator[_Probe]:
    """Answer with a word that only a distractor has."""
    if item.type == API_CALL or any(match_label("", gold) is not None for gold in case.golds):
        return
    rules = read_rules(item, case.golds)
    known = _tokens((*case.golds, *(case.documents[at].text for at in case.oracle)), rules)
    for at, chunk in enumerate(case.documents):
        if at not in case.oracle:
            words = (word for word in tokenise(chunk.text, rules) if word.isalpha() and len(word) > 3)
            word = next((word for word in words if word not in known and not is_refusal(word)), None)
            if word is not None:
                yield _Probe("misled", f"{TAG} {word}", {"misled_rate": 1.0, "acc": 0.0, "wrong_rate": 1.0})
                return
