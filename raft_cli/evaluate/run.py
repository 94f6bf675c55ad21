"""`raft eval` from dataset to report: the only place that knows the order of the stages."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from raft_cli.chat.journal import Journal
from raft_cli.chat.judging import Verdicts, judge_queries
from raft_cli.config.evaluate import EvalConfig
from raft_cli.errors import DatasetError, GateFailed, Incomplete
from raft_cli.evaluate.folder import check_folder, name_report, open_answers
from raft_cli.evaluate.judge import decide, make_query
from raft_cli.evaluate.outcome import Ground, sum_up
from raft_cli.evaluate.prepare import Prepared, prepare_exam
from raft_cli.evaluate.refusal import is_refusal
from raft_cli.evaluate.reports.write import write_report
from raft_cli.evaluate.results import Answer, Results
from raft_cli.evaluate.score import SCORER, Scorer, grade_response
from raft_cli.evaluate.selfcheck import Failure, check_scoring, choose_probed
from raft_cli.evaluate.sitting import Sitting, ask_models
from raft_cli.progress import Clock, Progress
from raft_cli.prompts import load_prompts

_PROBED = 1_000  # cases that the self-check looks at; more of them tell nothing new


def evaluate_models(data: Path, out: Path, config: EvalConfig, progress: Progress) -> Results:
    """Ask, grade, compare and report; every answer is kept as it comes.

    Raises:
        Incomplete: A model could not answer everything now; the same command asks for the rest alone.
        RaftError: As the stages say.
    """
    clock = Clock()
    names = name_report(str(data), config.model, config.baseline)
    check_folder(out, names, force=config.force)
    prepared = prepare_exam(data, config)
    clock.mark("reading")
    journal = open_answers(out, config.answers, in_flight=config.concurrency)
    try:
        sitting = ask_models(prepared, config, journal, progress)
        clock.mark("asking")
        scorer = choose_scorer(config)
        answers = _grade(sitting, scorer, progress)
        failures = _check(sitting.prepared, scorer)
        clock.mark("grading")
        verdicts = _judge(answers, config, journal, progress)
        clock.mark("judging")
    finally:
        progress.close()
        journal.close()
    answers = [replace(answer, judged=_decide(answer, verdicts)) for answer in answers] if verdicts else answers
    results = sum_up(Ground(str(data), config, sitting, failures), answers, verdicts)
    clock.mark("figures")
    results = replace(results, seconds=dict(clock.stages))
    write_report(out, results, names)
    return results


def judge_outcome(results: Results) -> None:
    """Make the process end with the code that stands for what came out.

    Raises:
        GateFailed: A gate that blocks was not passed.
        DatasetError: The self-check failed.
        Incomplete: Over 1 % of the answers are missing.
    """
    failed = [gate for gate in results.gates if gate.blocks and not gate.passed]
    if failed:
        raise GateFailed("\n".join(f"gate {gate.expression}: {gate.message}" for gate in failed))
    if results.failures:
        raise DatasetError("the self-check failed: no figure is to be believed; the report is written, and names it")
    if not results.complete:
        missing = sum(answer.grade is None for answer in results.answers)
        unjudged = sum(answer.grade is not None and not answer.judged for answer in results.answers)
        what = f"{missing:,} of {len(results.answers):,} answers" if missing else f"{unjudged:,} verdicts of the judge"
        raise Incomplete(f"{what} are missing, more than 1 %; the report is written, and says which")


def choose_scorer(config: EvalConfig) -> Scorer:
    """Return what grades, with the person's own ways to decline."""
    return replace(SCORER, refuses=partial(is_refusal, phrases=tuple(config.refusal_phrase or ())))


def _grade(sitting: Sitting, scorer: Scorer, progress: Progress) -> list[Answer]:
    prepared, answers = sitting.prepared, list[Answer]()
    items = {item.id: item for item in prepared.exam.items}
    total = sum(len(each.responses) for each in sitting.asked)
    places = [(each, at) for each in sitting.asked for at in range(len(each.responses))]
    for each, at in progress.track(places, title="grading", total=total, unit=" answer"):
        case, response = prepared.cases.cases[at], each.responses[at]
        item = items[case.item_id]
        grade = None if response.error else grade_response(item, case, response, scorer=scorer)
        answers.append(Answer(each.examinee.label, item, case, each.prompts[at], response, grade))
    return answers


def _check(prepared: Prepared, scorer: Scorer) -> tuple[Failure, ...]:
    """Grade known answers to the very questions of this run, of many an even part."""
    items = prepared.exam.items
    probed = choose_probed(items, prepared.cases.cases, _PROBED)
    return check_scoring(items, probed, scorer=scorer, declines=scorer.refuses)


def _judge(answers: Sequence[Answer], config: EvalConfig, journal: Journal, progress: Progress) -> Verdicts | None:
    if not config.judge:
        return None
    queries = [
        query
        for answer in answers
        if answer.grade and (query := make_query(answer.item, answer.case, answer.grade)) is not None
    ]
    return judge_queries(
        queries,
        judge=config.judge,
        base_url="",
        journal=journal,
        prompts=load_prompts(),
        env_file=config.env_file,
        timeout=config.timeout,
        concurrency=config.concurrency,
        extra_body="",
        partial=config.partial,
        max_outage=config.max_outage,
        progress=progress,
    )


def _decide(answer: Answer, verdicts: Verdicts) -> str:
    return decide(answer.item, answer.case, answer.grade, verdicts.given) if answer.grade else ""
