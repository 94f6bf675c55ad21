"""Grade one answer: right or wrong, in which words, and on whose authority. Pure; knows no conditions or models."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from raft_cli.data import Chunk
from raft_cli.evaluate.calls import find_call_fault, is_program
from raft_cli.evaluate.extract import Reading, read_response
from raft_cli.evaluate.labels import match_label
from raft_cli.evaluate.normalise import PLAIN, Rules, holds, names_version, tokenise, tokenise_pair
from raft_cli.evaluate.quotes import (
    FALSE,
    FROM_ORACLE,
    grade_quotes,
    measure_evidence,
    quote_oracles,
    share_quoted,
    stands_in_quote,
)
from raft_cli.evaluate.records import Case, Grade, GradedQuote, Item, Response
from raft_cli.evaluate.refusal import is_refusal
from raft_cli.language import is_cjk, negations

API_CALL = "api call"
_TIMES, _MORE = 3, 10  # how much longer than the gold an answer that contains it may be, in tokens; first values
_CONTRACTED = frozenset(  # what normalising makes of isn't
    "isnt arent wasnt werent dont doesnt didnt cant couldnt wont wouldnt shouldnt hasnt havent mustnt neednt".split()
)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Bag-of-tokens agreement with one gold."""

    f1: float
    precision: float
    recall: float


def score_exact(answer: str, gold: str, rules: Rules = PLAIN) -> float:
    """Return 1 when answer and gold are equal after normalising."""
    said, wanted = tokenise_pair(answer, gold, rules)
    return float(said == wanted)


def score_overlap(answer: str, gold: str, rules: Rules = PLAIN) -> Overlap:
    """Return the overlap of the bags of tokens: F1 as SQuAD defines it, with its precision and recall."""
    said, wanted = tokenise_pair(answer, gold, rules)
    shared = (Counter(said) & Counter(wanted)).total()
    if not shared:
        return Overlap(0.0, 0.0, 0.0)
    precision, recall = shared / len(said), shared / len(wanted)
    return Overlap(2 * precision * recall / (precision + recall), precision, recall)


def score_contained(answer: str, gold: str, rules: Rules = PLAIN) -> float:
    """Return 1 when the gold's tokens stand in the answer one after the other."""
    said, wanted = tokenise_pair(answer, gold, rules)
    return float(holds(said, wanted))


def score_rouge(answer: str, gold: str, rules: Rules = PLAIN) -> float:
    """Return ROUGE-L: F1 of the longest common subsequence of tokens."""
    said, wanted = tokenise_pair(answer, gold, rules)
    common = LCSseq.similarity(said, wanted) if said and wanted else 0
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def score_right(answer: str, gold: str, rules: Rules = PLAIN) -> float:
    """Return 1 when an answer counts as right: the primary score.

    By label where the gold is one (yes, no, a letter); else equal, or containing the gold without being more than 3
    times its length and 10 tokens. "Not supported" does not contain "supported" in that sense.
    """
    by_label = match_label(answer, gold)
    if by_label is not None:
        return float(by_label)
    said, wanted = tokenise_pair(answer, gold, rules)
    if said == wanted:
        return 1.0
    return float(len(said) <= _TIMES * len(wanted) + _MORE and _affirms(said, wanted))


def _affirms(said: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Tell whether the gold stands in the answer at least once without a negation right before it."""
    if not holds(said, wanted):
        return False
    places = [at for at in range(len(said) - len(wanted) + 1) if said[at : at + len(wanted)] == wanted]
    return bool(negations(wanted[0])) or any(not _negates(said[max(0, at - 2) : at]) for at in places)


def _negates(before: tuple[str, ...]) -> bool:
    """Tell whether the last token of `before` negates what follows; of Chinese, the last two (不是, 没有)."""
    last = "".join(before) if before and is_cjk(before[-1]) else "".join(before[-1:])
    return last in _CONTRACTED or negations(last) > 0


def find_fault(answer: str, golds: Sequence[str]) -> str:
    """Return why a program matches none of the golds, or an empty string; golds that are no programs are skipped."""
    faults = [find_call_fault(answer, gold) for gold in golds if is_program(gold)]
    return "" if "" in faults else next(iter(faults), "")


def is_misled(answer: str, documents: Sequence[Chunk], oracle: Sequence[int], rules: Rules) -> bool:
    """Tell whether the answer's tokens stand in a document that is no oracle, and in none that is one."""
    wanted = tokenise(answer, rules)
    held = [at for at, chunk in enumerate(documents) if wanted and holds(tokenise(chunk.text, rules), wanted)]
    return bool(held) and not set(held) & set(oracle)


def is_grounded(right: float, quotes: Sequence[GradedQuote]) -> float:
    """Return 1 for a right answer that quotes an oracle document, and quotes nothing falsely."""
    kinds = {quote.kind for quote in quotes}
    return float(right == 1.0 and bool(kinds & FROM_ORACLE) and not kinds & FALSE)


@dataclass(frozen=True, slots=True)
class Scorer:
    """The functions that grade; tests put broken ones in their places to see the self-check notice."""

    read: Callable[[str], Reading] = read_response
    exact: Callable[[str, str, Rules], float] = score_exact
    overlap: Callable[[str, str, Rules], Overlap] = score_overlap
    contained: Callable[[str, str, Rules], float] = score_contained
    rouge: Callable[[str, str, Rules], float] = score_rouge
    right: Callable[[str, str, Rules], float] = score_right
    refuses: Callable[[str], bool] = is_refusal
    grade_quotes: Callable[[Sequence[str], Sequence[Chunk], Sequence[int]], tuple[GradedQuote, ...]] = grade_quotes
    misled: Callable[[str, Sequence[Chunk], Sequence[int], Rules], bool] = is_misled
    grounded: Callable[[float, Sequence[GradedQuote]], float] = is_grounded


SCORER = Scorer()


@dataclass(frozen=True, slots=True)
class _Words:
    """The scores of one short answer: the best over the golds, precision and recall of the gold with the best F1."""

    em: float
    overlap: Overlap
    contains: float
    rouge: float
    acc: float
    fault: str


_NOTHING = _Words(0.0, Overlap(0.0, 0.0, 0.0), 0.0, 0.0, 0.0, "")


def read_rules(item: Item, golds: Sequence[str]) -> Rules:
    """Return how answers to a question are normalised."""
    program = item.type == API_CALL
    return Rules(
        english=item.language in ("en", "") and not program,
        literal=program or any(names_version(text) for text in (item.question, *golds)),
    )


def _score_words(answer: str, item: Item, golds: Sequence[str], rules: Rules, scorer: Scorer) -> _Words:
    def best(score: Callable[[str, str, Rules], float]) -> float:
        return max((score(answer, gold, rules) for gold in golds), default=0.0)

    overlap = max((scorer.overlap(answer, gold, rules) for gold in golds), key=lambda each: each.f1)
    programs = item.type == API_CALL and any(map(is_program, golds))
    fault = find_fault(answer, golds) if programs else ""
    acc = float(not fault) if programs else best(scorer.right)
    return _Words(best(scorer.exact), overlap, best(scorer.contained), best(scorer.rouge), acc, fault)


def grade_response(item: Item, case: Case, response: Response, *, scorer: Scorer = SCORER) -> Grade:
    """Grade what a model said to a case, against the golds of the case.

    Raises:
        ValueError: There is no answer (a missing one is never scored), or nothing to compare it with.
    """
    golds = [gold for gold in case.golds if gold.strip()]
    if response.error or not golds:
        raise ValueError(f"{case.item_id}, {case.condition}: {response.error or 'no gold'}; not to be graded")
    reading = scorer.read(response.text)
    rules = read_rules(item, golds)
    lenient = _score_words(reading.lenient, item, golds, rules, scorer)
    strict = _NOTHING if reading.extracted is None else lenient
    refused = not lenient.acc and not any(map(scorer.refuses, golds)) and scorer.refuses(reading.lenient)
    wrong = reading.extracted is not None and not strict.acc and not refused
    is_label = any(match_label(reading.lenient, gold) is not None for gold in golds)
    quotes = scorer.grade_quotes(reading.quotes, case.documents, case.oracle)
    return Grade(
        extracted=reading.extracted,
        lenient=reading.lenient,
        em=strict.em,
        f1=strict.overlap.f1,
        precision=strict.overlap.precision,
        recall=strict.overlap.recall,
        contains=strict.contains,
        rouge=strict.rouge,
        acc=strict.acc,
        em_lenient=lenient.em,
        f1_lenient=lenient.overlap.f1,
        acc_lenient=lenient.acc,
        fault=strict.fault,
        refused=refused,
        quotes=quotes,
        malformed=reading.malformed,
        answer_in_quote=stands_in_quote(reading.extracted or "", quotes, rules),
        evidence=measure_evidence(item.quotes, quotes, case.documents, case.oracle),
        quoted_share=share_quoted(quotes, case.documents),
        cited_share=len(quote_oracles(quotes, case.oracle)) / len(case.oracle) if case.oracle else 0.0,
        grounded=scorer.grounded(strict.acc, quotes),
        misled=wrong and not is_label and scorer.misled(reading.extracted or "", case.documents, case.oracle, rules),
    )
