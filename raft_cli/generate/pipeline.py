"""`raft generate` from corpus to folder: the only place that knows the order of the stages."""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_cli.chat.connect import check_name, is_remote
from raft_cli.chat.journal import Journal
from raft_cli.chat.keys import find_access, redact_json, strip_secrets
from raft_cli.chat.pace import Pace
from raft_cli.chat.session import Usage
from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import options_of
from raft_cli.corpus.tokens import TokenCounter, load_counter
from raft_cli.data import Chunk, Example, Reject
from raft_cli.errors import ChatError, CorpusError, DatasetError, Incomplete, Interrupted, RaftError
from raft_cli.generate.assemble import assemble, count_reasons
from raft_cli.generate.card import render_card
from raft_cli.generate.estimate import Estimate, estimate_run
from raft_cli.generate.figures import build_figures, flatten
from raft_cli.generate.folder import JOURNAL, claim_folder, leave_folder, open_folder
from raft_cli.generate.intake import Intake, check_prices, check_size, take_in
from raft_cli.generate.outcome import Outcome, build_manifest, sum_up
from raft_cli.generate.paid import Harvest
from raft_cli.generate.plan import Task, choose_pilot, plan_own_questions, plan_tasks, read_own_questions
from raft_cli.generate.report import render_report
from raft_cli.generate.teach import Taught, teach
from raft_cli.generate.write import finish_folder, write_data, write_nothing
from raft_cli.progress import Clock, Progress
from raft_cli.prompts import Prompts, load_prompts

_STAGED = ".documents.jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a run before anything is asked."""

    corpus: tuple[str, ...]
    out: Path
    config: GenerateConfig
    prompts: dict[str, Prompts]
    counter: TokenCounter
    clock: Clock


def generate_dataset(corpus: Sequence[str], out: Path, config: GenerateConfig, progress: Progress) -> Outcome:
    """Make a RAFT dataset of `corpus` in `out`, or bring the one there up to date.

    Raises:
        Incomplete: The run stopped early; everything paid for is kept and the same command goes on.
        RaftError: As the stages say.
    """
    run = _prepare(corpus, out, config)
    settings = _paid_settings(run)
    journal = open_folder(out, settings, update=config.update, in_flight=config.concurrency)
    try:
        intake = take_in(corpus, config, documents_file=out / _STAGED, progress=progress)
        tasks, unplanned = _plan(intake, config)
        run.clock.mark("reading")
        claim_folder(journal, settings)
        taught = _teach(run, tasks, journal, progress)
        run.clock.mark("asking")
        if isinstance(taught.stopped_by, ChatError | DatasetError | Interrupted):
            raise _explain_stop(taught)
        progress.open("writing rows", 0, "")
        outcome = _finish(run, intake, taught, unplanned, journal)
        if outcome.pending:
            raise _explain_stop(taught)
        return outcome
    finally:
        progress.close()
        (out / _STAGED).unlink(missing_ok=True)
        leave_folder(out, journal)


def estimate_dataset(corpus: Sequence[str], out: Path, config: GenerateConfig, progress: Progress) -> Estimate:
    """Say what `generate_dataset` would read, ask and spend; send nothing and write nothing.

    Raises:
        RaftError: As `generate_dataset`, for what can be known beforehand.
    """
    run = _prepare(corpus, out, config)
    intake = take_in(corpus, config, documents_file=None, progress=progress)
    tasks, _ = _plan(intake, config)
    return estimate_run(intake, tasks, config, run.prompts, run.counter, journaled=(out / JOURNAL).exists())


def _prepare(corpus: Sequence[str], out: Path, config: GenerateConfig) -> Run:
    """Check all that can be checked before the corpus is read."""
    check_name(config.teacher, flag="--teacher")
    check_prices(config)
    if any(out.resolve() == Path(path).resolve() for path in corpus):
        raise CorpusError(f"{out} is the corpus itself; choose another -o")
    if not config.dry_run and any(name and is_remote(name) for name in (config.teacher, config.judge)):
        find_access(config.base_url, role="COMPLETION", env_file=config.env_file)
    return Run(tuple(corpus), out, config, load_prompts(config.prompts), load_counter(config.tokenizer), Clock())


def _paid_settings(run: Run) -> dict[str, object]:
    """Return the settings that decide on requests; another value of one makes another dataset."""
    settings = {name: getattr(run.config, name) for name, _, known in options_of(GenerateConfig) if known.paid}
    prompts = {language: prompts.digests for language, prompts in run.prompts.items()}
    corpus = [str(Path(path).resolve()) for path in run.corpus]
    shown = {"base_url": strip_secrets(run.config.base_url), "extra_body": redact_json(run.config.extra_body)}
    return {**settings, **shown, "tokenizer": run.counter.name, "corpus": corpus, "prompts": prompts}


def _plan(intake: Intake, config: GenerateConfig) -> tuple[list[Task], list[Reject]]:
    check_size(intake, config)
    if config.questions_file:
        return plan_own_questions(read_own_questions(config.questions_file), intake.chunks)
    chunks = choose_pilot(intake.chunks, limit=config.limit, seed=config.seed)
    return plan_tasks(chunks, questions=config.questions, kinds=config.kinds.split(",")), []


def _teach(run: Run, tasks: list[Task], journal: Journal, progress: Progress) -> Taught:
    planned = sum(task.size for task in tasks)
    progress.open("asking", planned, " questions")

    def watch(harvest: Harvest, usage: Usage, pace: Pace) -> None:
        settled = len(harvest.answers) + len(harvest.rejects)
        progress.show(settled, lambda: _describe_state(harvest, usage, pace, len(tasks)))

    try:
        asking = teach(
            tasks,
            planned=planned,
            config=run.config,
            prompts=run.prompts,
            journal=journal,
            watch=watch,
            say=progress.say,
        )
        return asyncio.run(asking)
    finally:
        progress.close()


def _describe_state(harvest: Harvest, usage: Usage, pace: Pace, tasks: int) -> str:
    cost = f" ${usage.cost:.2f}" if usage.cost else ""
    limit = "" if pace.gauge.limited_by == "concurrency" else f", slowed by {pace.gauge.limited_by}"
    tokens = (usage.prompt_tokens + usage.completion_tokens) / 1e3
    return (
        f"{harvest.tasks_done}/{tasks} tasks, {len(harvest.answers)} kept, {len(harvest.rejects)} rejected, "
        f"{tokens:.0f}k tokens{cost}, {pace.in_flight} in flight{limit}"
    )


def _finish(run: Run, intake: Intake, taught: Taught, unplanned: list[Reject], journal: Journal) -> Outcome:
    """Do the free half and write the folder."""
    chunks = {chunk.id: chunk for chunk in intake.chunks}
    harvest = taught.harvest
    answered = [question for question in harvest.questions if question.id in harvest.answers]
    assembly = assemble(answered, harvest.answers, chunks, run.config, run.prompts, mark=run.clock.mark)
    rejects = [*intake.rejects, *unplanned, *harvest.rejects, *assembly.rejects]
    if not assembly.questions:
        write_nothing(run.out, rejects)
        raise _explain_nothing(run.out, rejects, taught)
    digests = write_data(
        run.out,
        splits=assembly.splits,
        chunks=chunks,
        questions=assembly.questions,
        rejects=rejects,
        formats=[name for name in run.config.format.split(",") if name],
        staged_documents=run.out / _STAGED,
    )
    run.clock.mark("writing")
    outcome = sum_up(
        run.out,
        run.config,
        intake,
        taught,
        assembly,
        unplanned=unplanned,
        counter=run.counter,
        totals=journal.totals(),
        stages=dict(run.clock.stages),
    )
    _finish_folder(run, outcome, rejects, assembly.splits, chunks, digests)
    return outcome


def _finish_folder(
    run: Run,
    outcome: Outcome,
    rejects: Sequence[Reject],
    splits: Mapping[str, Sequence[Example]],
    chunks: Mapping[str, Chunk],
    digests: Mapping[str, str],
) -> None:
    settings = {
        **dataclasses.asdict(run.config),
        "base_url": strip_secrets(run.config.base_url),
        "extra_body": redact_json(run.config.extra_body),
    }
    figures = build_figures(outcome, run.config)
    languages = sorted({chunk.language for chunk in chunks.values()})
    finish_folder(
        run.out,
        card=render_card(rows=outcome.rows, languages=languages, facts=flatten(figures), warnings=outcome.warnings),
        report=render_report(
            name=run.out.resolve().name,
            splits=splits,
            rejects=rejects,
            figures=figures,
            oracle_chunks={
                example.question.id: chunks[example.question.chunk_ids[0]]
                for examples in splits.values()
                for example in examples
            },
        ),
        manifest=build_manifest(
            outcome,
            corpus=run.corpus,
            settings=settings,
            prompts={language: prompts.digests for language, prompts in run.prompts.items()},
            digests=digests,
        ),
    )


def _explain_stop(taught: Taught) -> RaftError:
    """Return what to raise for a run that settled less than all."""
    harvest = taught.harvest
    settled = harvest.planned - harvest.pending
    state = f"{settled:,} of {harvest.planned:,} questions are settled; run the same command to go on"
    if taught.stopped_by is not None:
        return type(taught.stopped_by)(f"{taught.stopped_by}\n{state}")
    worst = sorted(harvest.failures.items(), key=lambda item: -item[1])[:3]
    reasons = "; ".join(f"{count} x {detail}" for detail, count in worst)
    return Incomplete(f"{harvest.pending} questions are pending because requests kept failing ({reasons})\n{state}")


def _explain_nothing(out: Path, rejects: Sequence[Reject], taught: Taught) -> RaftError:
    if taught.harvest.pending or taught.stopped_by is not None:
        return _explain_stop(taught)
    counted = ", ".join(f"{count} {reason}" for reason, count in count_reasons(rejects).items())
    return DatasetError(f"no question got a usable answer ({counted}); see {out / 'rejected.jsonl'}")
