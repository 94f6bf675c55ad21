"""From graded answers to everything that the reports show. Pure."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from raft_cli import __version__
from raft_cli.chat.judging import Verdicts
from raft_cli.chat.keys import redact_json
from raft_cli.config.evaluate import EvalConfig
from raft_cli.evaluate.earlier import Change, Stored, compare_to
from raft_cli.evaluate.figures import (
    JUDGED,
    MOST_MISSING,
    Table,
    compare_models,
    compare_primary,
    estimate_all,
    tabulate_answers,
)
from raft_cli.evaluate.gates import GateResult, check_gates
from raft_cli.evaluate.judge import Label, agree, agree_with_people, correct_rates, find_strays, same_family
from raft_cli.evaluate.prepare import Prepared
from raft_cli.evaluate.probe import describe_latency
from raft_cli.evaluate.reports.words import show_share
from raft_cli.evaluate.results import Answer, Examinee, Judged, Results
from raft_cli.evaluate.robustness import (
    contrast_conditions,
    follow_oracle,
    measure_refusals,
    measure_retrieval,
    slice_questions,
)
from raft_cli.evaluate.selfcheck import Failure
from raft_cli.evaluate.sitting import Sitting
from raft_cli.evaluate.statistics import Difference, Interval
from raft_cli.evaluate.verdict import tell_verdict
from raft_cli.resources import find_versions

_FORMATTED = 0.95
_LIBRARIES = ("torch", "transformers", "peft", "numpy", "rapidfuzz", "openai")


@dataclass(frozen=True, slots=True)
class Ground:
    """What an evaluation rests on, besides the answers.

    Attributes:
        data: The dataset as it was given.
        failures: Of the self-check.
    """

    data: str
    config: EvalConfig
    sitting: Sitting
    failures: tuple[Failure, ...]

    @property
    def prepared(self) -> Prepared:
        """The exam as it was asked."""
        return self.sitting.prepared

    @property
    def examinees(self) -> tuple[Examinee, ...]:
        """The models."""
        return tuple(each.examinee for each in self.sitting.asked)


def sum_up(ground: Ground, answers: Sequence[Answer], verdicts: Verdicts | None) -> Results:
    """Return figures, tests, gates and verdict.

    Raises:
        ConfigError: The earlier report does not fit.
    """
    config, prepared = ground.config, ground.prepared
    items, conditions, primary = prepared.exam.items, prepared.cases.conditions, prepared.primary
    models = [each.label for each in ground.examinees]
    clusters = {item.id: item.source if config.cluster == "document" else item.oracle_ids[0] for item in items}
    table = tabulate_answers(answers, clusters, judged=verdicts is not None, seed=config.seed)
    figures, differences = estimate_all(table), compare_models(table)
    tests = compare_primary(table, differences, conditions)
    positions, steadiness = follow_oracle(figures, table, models, conditions)
    stored = Stored(prepared.exam.data, prepared.exam.corpus, table.ids, table.columns)
    complete = sum(answer.grade is None for answer in answers) <= MOST_MISSING * len(answers)
    complete = complete and not (verdicts and _count_unjudged(answers) > MOST_MISSING * len(answers))
    results = Results(
        data=ground.data,
        setting=asdict(config) | {"extra_body": redact_json(config.extra_body), "system_turn": prepared.asking.system},
        versions={"raft": __version__, "python": platform.python_version(), **find_versions(_LIBRARIES)},
        exam=tuple(_describe_exam(ground)),
        items=items,
        chunks=prepared.exam.chunks,
        conditions=conditions,
        primary=primary,
        examinees=ground.examinees,
        answers=tuple(answers),
        figures=figures,
        differences=differences,
        tests=tuple(tests),
        contrasts=tuple(contrast_conditions(table, models, conditions)),
        slices=tuple(slice_questions(table, items, models, conditions, primary)),
        positions=tuple(positions),
        steadiness=tuple(steadiness),
        retrievals=tuple(measure_retrieval(table, items, prepared.cases.cases, models)),
        grounded_refusal=measure_refusals(table, models, primary),
        chances=prepared.cases.chances,
        leaks=prepared.cases.leaks,
        failures=ground.failures,
        judged=_sum_up_judge(answers, verdicts, prepared.labels) if verdicts else None,
        gates=tuple(_check_gates(ground, figures, differences)),
        change=_compare_earlier(config, prepared, stored, clusters),
        stored=stored,
        clusters=clusters,
        complete=complete,
        verdict="",
        warnings=(*_warn(ground, answers, table), *(verdicts.notes if verdicts else ())),
        seconds={},
    )
    return replace(results, verdict=tell_verdict(results))


def _describe_exam(ground: Ground) -> Iterator[tuple[str, str]]:
    exam, cases = ground.prepared.exam, ground.prepared.cases
    yield "Questions", f"{len(exam.items):,}"
    yield "Passages asked about", f"{len({item.oracle_ids[0] for item in exam.items}):,}"
    yield "Passages in all", f"{len(exam.chunks):,}"
    yield "About passages seen in training", f"{sum(item.seen for item in exam.items):,}"
    left_out = (
        ("asked by training in nearly the same words", exam.similar),
        ("repeated", exam.repeated),
        ("without an answer", exam.unanswered),
        ("without a known oracle", exam.unplaced),
        ("too long for a model", ground.sitting.skipped),
    )
    for reason, count in left_out:
        if count:
            yield f"Left out, {reason}", f"{count:,}"
    rate = cases.leaks.rate
    if rate is not None:
        told = f"{cases.leaks.answer:,} held an answer, {cases.leaks.overlap + cases.leaks.alike:,} repeated the oracle"
        yield "Distractors barred", f"{100 * rate:.1f} % of {cases.leaks.examined:,} ({told})"
    yield "Distractors in training rows", f"{exam.distractors}"
    yield "Longest answer", f"{ground.sitting.limit:,} tokens"
    for label, latency in ground.sitting.latencies.items():
        yield from describe_latency(label, latency)
    yield "SHA-256 of the rows", exam.data
    yield "SHA-256 of the passages", exam.corpus


def _count_unjudged(answers: Sequence[Answer]) -> int:
    return sum(answer.grade is not None and not answer.judged for answer in answers)


def _sum_up_judge(answers: Sequence[Answer], verdicts: Verdicts, labels: Mapping[Label, str] | None) -> Judged:
    return Judged(
        name=verdicts.name,
        asked=verdicts.asked,
        replayed=verdicts.replayed,
        failed=verdicts.failed,
        kappa=agree(answers),
        human=agree_with_people(answers, labels) if labels is not None else None,
        corrected=correct_rates(answers, labels) if labels is not None else None,
    )


def _check_gates(
    ground: Ground,
    figures: Mapping[tuple[str, str, str], Interval],
    differences: Mapping[tuple[str, str], Difference],
) -> list[GateResult]:
    """Judge the gates; none is passed when the scores cannot be believed."""
    everything: dict[tuple[str, str, str], Interval | Difference] = dict(figures)
    everything |= {("delta", *key): value for key, value in differences.items()}
    advisory = () if ground.config.gate_judge else (JUDGED,)
    results = check_gates(ground.prepared.gates, everything, advisory=advisory)
    if ground.failures:
        told = "the self-check failed, so no figure is to be believed"
        return [replace(each, passed=False, message=told) for each in results]
    return results


def _compare_earlier(
    config: EvalConfig, prepared: Prepared, stored: Stored, clusters: Mapping[str, str]
) -> Change | None:
    if prepared.earlier is None:
        return None
    place = config.compare_to
    return compare_to(stored, prepared.earlier, clusters, place=place, force=config.force, seed=config.seed)


def _warn_format(ground: Ground, examinee: Examinee, own: Sequence[Answer]) -> Iterator[str]:
    """Say what a model that does not keep the format might know after all."""
    grades = [each.grade for each in own if each.grade and each.case.condition == ground.prepared.primary]
    tagged = sum(grade.extracted is not None for grade in grades)
    if tagged < _FORMATTED * len(grades):
        lenient = sum(grade.acc_lenient for grade in grades)
        yield (
            f"{examinee.name}: {show_share(tagged / len(grades))} of its answers at {ground.prepared.primary} have an "
            f"answer tag; read leniently {show_share(lenient / len(grades))} are right"
        )


def _warn(ground: Ground, answers: Sequence[Answer], table: Table) -> Iterator[str]:
    yield from ground.prepared.warnings
    exam = ground.prepared.exam
    if exam.unanswered or exam.unplaced:
        yield (
            f"rows left out: {exam.unanswered:,} hold no answer, of {exam.unplaced:,} the oracle is not known; "
            f"{len(exam.pool):,} are left"
        )
    if ground.config.judge and (unjudged := _count_unjudged(answers)):
        yield (
            f"{unjudged:,} of {len(answers):,} verdicts of the judge are missing; where over 1 % are, `judged` is left "
            "undefined"
        )
    for examinee in ground.examinees:
        yield from (f"{examinee.name}: {note}" for note in examinee.notes)
        own = [answer for answer in answers if answer.model == examinee.label]
        missing = [answer for answer in own if answer.grade is None]
        if missing:
            yield (
                f"{examinee.name}: {len(missing):,} of {len(own):,} answers are missing and scored nowhere "
                f"({missing[0].response.error})"
            )
        if empty := sum(not answer.response.text.strip() for answer in own if answer.grade):
            yield f"{examinee.name}: {empty:,} of {len(own):,} answers are empty, and count as wrong"
        yield from _warn_format(ground, examinee, own)
        cut = sum(answer.response.finish == "length" for answer in own)
        if cut > 0.05 * len(own):
            yield (
                f"{examinee.name}: {100 * cut / len(own):.0f} % of its answers were cut off at "
                f"{ground.sitting.limit:,} tokens; raise --max-tokens"
            )
    if len(set(table.units)) < 20:
        yield (
            f"only {len(set(table.units))} passages are asked about: questions are resampled in their place, and "
            "intervals are rather too narrow"
        )
    if ground.prepared.labels and (strays := find_strays(answers, ground.prepared.labels)):
        yield f"--judge-labels: {len(strays):,} labels are of no answer here; the first is {' / '.join(strays[0])}"
    teacher, judge = ground.prepared.teacher, ground.config.judge
    if judge and teacher and same_family(judge, teacher):
        yield f"the judge {judge} and the teacher {teacher} are of one family: it may favour what sounds like itself"
