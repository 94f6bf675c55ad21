"""What an evaluation came to: everything that its reports show. Computes nothing and reads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from raft_cli.data import Chunk
from raft_cli.evaluate.distractors import Leaks
from raft_cli.evaluate.earlier import Change, Stored
from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.records import Case, Grade, Item, Response
from raft_cli.evaluate.selfcheck import Failure
from raft_cli.evaluate.statistics import Difference, Interval

MODEL, BASE = "model", "base"
PRIMARY = "acc"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said to one case.

    Attributes:
        model: `model` or `base`.
        prompt: Hash of the conversation that it was asked with.
        grade: None when the answer is missing; `response.error` says why.
        judged: `CORRECT`, `INCORRECT` or `NOT_ATTEMPTED`; empty without a judge, or when the judge failed.
    """

    model: str
    item: Item
    case: Case
    prompt: str
    response: Response
    grade: Grade | None
    judged: str = ""


@dataclass(frozen=True, slots=True)
class Examinee:
    """A model that was examined.

    Attributes:
        label: `model` or `base`.
        name: As the person gave it.
        identity: Hashes of weights, template and precision, or address and model.
        prompt: How it was asked: `plain` (as in training), `instructed` (the format explained) or `worked` (with two
            worked examples as well).
        tried: For each way to ask that was tried beforehand, on other questions: its name, acc, questions.
        asked: Answers that this run asked for; equal prompts of several conditions count once, here and below.
        replayed: Answers that an earlier run had asked for.
        seconds: What asking took in this run.
    """

    label: str
    name: str
    identity: str
    prompt: str
    tried: tuple[tuple[str, float, int], ...]
    asked: int
    replayed: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Test:
    """`acc` of the model beside that of the base under one condition.

    Attributes:
        better, worse: Questions that only the model, or only the base, answered rightly.
        p: Exact McNemar.
        adjusted: The same after Holm over all conditions; None where there is no test.
        smallest: Smallest difference that a run like this finds in 80 % of cases; None when it cannot be told.
    """

    condition: str
    difference: Difference
    better: int
    worse: int
    p: float
    adjusted: float | None
    smallest: float | None


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference between conditions of one model, on the same questions.

    Attributes:
        name: `context_gain`, `distraction_4`, `retrieval_gap_5`, `interference`, `mid_drop`.
        meaning: The same in words.
    """

    model: str
    name: str
    meaning: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Slice:
    """`acc` of one model over a part of the questions.

    Attributes:
        kind: What divides them: `chunk` (seen or unseen in training), `source`, `language`, `question`.
        name: The part.
    """

    kind: str
    name: str
    model: str
    condition: str
    figure: Interval


@dataclass(frozen=True, slots=True)
class Position:
    """One model with the oracle at one place among the documents, 0 first and 1 last."""

    model: str
    place: float
    acc: Interval
    precision: Interval


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Whether the place of the oracle matters to one model.

    Attributes:
        consistent: Share of questions with the same verdict at all places; None without questions at all of them.
        n: Questions that have an answer at every place.
        q, p: Cochran's test over these; None when it cannot be made.
    """

    model: str
    consistent: float | None
    n: int
    q: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well passages were retrieved, whatever a model made of them.

    Attributes:
        hit: Questions with an oracle among those retrieved.
        right: By model: `acc` where there is an oracle, and where there is none.
    """

    condition: str
    hit: Interval
    mrr: Interval
    ndcg: Interval
    right: Mapping[str, tuple[Interval, Interval]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of the judge.

    Attributes:
        name: Model and address.
        asked, replayed, failed: Verdicts; pairs of question and answer count once, `failed` ones are missing.
        kappa: Cohen's kappa with `acc_lenient`, over different answers it was asked about; None when undefined.
        human: Cohen's kappa with the labels of people, and how many of these there are; None without labels.
        corrected: By model and condition: the share of right answers, corrected for the judge's errors on those labels.
    """

    name: str
    asked: int
    replayed: int
    failed: int
    kappa: float | None
    human: tuple[float | None, int] | None = None
    corrected: Mapping[tuple[str, str], float] | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """Everything about a finished evaluation.

    Attributes:
        data: The dataset as the person gave it.
        setting: The configuration, without secrets.
        versions: Of Python, raft and libraries.
        exam: What was examined, in words and numbers, for people.
        items: Questions, those left out for all not among them.
        chunks: The passages of the dataset, by id.
        examinees: The model first, then the base if there is one.
        primary: The condition whose `acc` decides.
        figures: By model, condition and metric; those of `measure.METRICS`, and `judged` with a judge.
        differences: Model less base, by condition and metric; empty without a base.
        grounded_refusal: F1 of grounded refusal by model, where it is defined.
        chances: For each condition how often a quotation from a random document would be from an oracle.
        failures: Of the self-check; with any of them no figure here is to be believed.
        stored: What a later run needs to compare itself with this one.
        clusters: The passage that each question is about: what is resampled.
        complete: Whether at most 1 % of the answers are missing.
        verdict: The result in one or two sentences.
        seconds: What each stage took.
    """

    data: str
    setting: Mapping[str, object]
    versions: Mapping[str, str]
    exam: tuple[tuple[str, str], ...]
    items: tuple[Item, ...]
    chunks: Mapping[str, Chunk]
    conditions: tuple[str, ...]
    primary: str
    examinees: tuple[Examinee, ...]
    answers: tuple[Answer, ...]
    figures: Mapping[tuple[str, str, str], Interval]
    differences: Mapping[tuple[str, str], Difference]
    tests: tuple[Test, ...]
    contrasts: tuple[Contrast, ...]
    slices: tuple[Slice, ...]
    positions: tuple[Position, ...]
    steadiness: tuple[Steadiness, ...]
    retrievals: tuple[Retrieval, ...]
    grounded_refusal: Mapping[str, float]
    chances: Mapping[str, float | None]
    leaks: Leaks
    failures: tuple[Failure, ...]
    judged: Judged | None
    gates: tuple[GateResult, ...]
    change: Change | None
    stored: Stored
    clusters: Mapping[str, str]
    complete: bool
    verdict: str
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]


def label_models(results: Results) -> list[str]:
    """Return the labels of the models, the tuned one first."""
    return [each.label for each in results.examinees]
