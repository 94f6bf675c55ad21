"""Ask all models the same questions: how each is asked, how long answers may be, what does not fit one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raft_cli.chat.journal import Journal
from raft_cli.chat.streaming import open_stream
from raft_cli.chat.students import Examined, open_students
from raft_cli.config.evaluate import EvalConfig
from raft_cli.corpus.tokens import load_counter
from raft_cli.errors import ChatError, ConfigError, DatasetError, ModelError
from raft_cli.evaluate.examine import (
    Asked,
    Tried,
    choose_length,
    choose_way,
    count_by,
    examine,
    explain_overlong,
    find_overlong,
    find_refused_length,
)
from raft_cli.evaluate.figures import find_primary
from raft_cli.evaluate.prepare import Prepared
from raft_cli.evaluate.probe import Latency, choose_prompts, probe_latency
from raft_cli.evaluate.results import BASE, MODEL
from raft_cli.progress import Progress

_COUNTER = "o200k_base"


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one model is asked; `tried` is what came of trying several ways."""

    label: str
    student: Examined
    way: str
    tried: Tried = ()


@dataclass(frozen=True, slots=True)
class Sitting:
    """What came of asking.

    Attributes:
        prepared: The exam without the questions that were left out.
        skipped: How many these are.
        limit: Most tokens of an answer.
        latencies: By label, how long single answers take; empty unless that was asked for.
    """

    prepared: Prepared
    asked: tuple[Asked, ...]
    skipped: int
    limit: int
    latencies: Mapping[str, Latency]


def ask_models(prepared: Prepared, config: EvalConfig, journal: Journal, progress: Progress) -> Sitting:
    """Return what each model said.

    A question is left out for all models where one of its prompts does not fit one of them.

    Raises:
        ModelError, DatasetError: A prompt does not fit, and such questions are not to be left out.
        Incomplete: A model could not answer everything now.
        RaftError: A model cannot be asked.
    """
    students = _open_students(config, journal)
    limit = config.max_tokens or _choose_limit(prepared, students)
    plans = [_Plan(MODEL, students[0], config.prompt)]
    plans += [_plan_base(prepared, student, limit, config.partial, progress) for student in students[1:]]
    fitting = _leave_out(prepared, plans, config, limit)
    items = {item.id: item for item in fitting.exam.items}
    asked = []
    for plan in plans:
        each = examine(
            plan.student,
            plan.label,
            fitting.asking,
            plan.tried,
            plan.way,
            items,
            fitting.cases.cases,
            max_tokens=limit,
            partial=config.partial,
            progress=progress,
        )
        _check_refused(each, fitting, config)
        asked.append(each)
    fitting, asked = _drop_refused(fitting, asked)
    skipped = len(prepared.exam.items) - len(fitting.exam.items)
    del students, plans  # their weights make room for those that are probed
    latencies = {each.examinee.label: _probe(fitting, each, limit, config, progress) for each in asked}
    known = {label: latency for label, latency in latencies.items() if latency}
    return Sitting(fitting, tuple(asked), skipped, limit, known)


def _probe(prepared: Prepared, asked: Asked, limit: int, config: EvalConfig, progress: Progress) -> Latency | None:
    """Time single answers under the primary condition."""
    if not config.latency_probe:
        return None
    stream = open_stream(
        asked.examinee.name,
        base=config.base,
        device=config.device,
        dtype=config.precision,
        trust_remote_code=config.trust_remote_code,
        env_file=config.env_file,
        timeout=config.timeout,
        extra_body=config.extra_body,
    )
    items = {item.id: item for item in prepared.exam.items}
    cases = [case for case in prepared.cases.cases if case.condition == prepared.primary]
    prompts = [prepared.asking.render(items[case.item_id], case, asked.examinee.prompt) for case in cases]
    chosen = choose_prompts(prompts, config.latency_probe)
    try:
        return probe_latency(stream, chosen, max_tokens=limit, progress=progress)
    except (ChatError, ModelError) as error:  # the answers are there; a report without latency is worth more than none
        progress.say(f"no latency of {asked.examinee.name}: {error}")
        return None


def _open_students(config: EvalConfig, journal: Journal) -> list[Examined]:
    return list(
        open_students(
            [config.model, config.baseline] if config.baseline else [config.model],
            journal=journal,
            device=config.device,
            dtype=config.precision,
            base=config.base,
            batch_tokens=config.batch_tokens,
            continuous={"auto": None, "on": True, "off": False}[config.continuous],
            trust_remote_code=config.trust_remote_code,
            env_file=config.env_file,
            timeout=config.timeout,
            concurrency=config.concurrency,
            extra_body=config.extra_body,
            max_outage=config.max_outage,
        )
    )


def _choose_limit(prepared: Prepared, students: Sequence[Examined]) -> int:
    """Return the most tokens of an answer, as the first model that can count them does, else a common tokenizer."""
    count = next((count for student in students if (count := count_by(student))), None)
    if count is None:
        counter = load_counter(_COUNTER)
        return choose_length(prepared.exam.pool, lambda texts: [counter.count(text) for text in texts])
    return choose_length(prepared.exam.pool, count)


def _plan_base(prepared: Prepared, student: Examined, limit: int, partial: bool, progress: Progress) -> _Plan:
    if prepared.trials is None:
        return _Plan(BASE, student, prepared.ways[0])
    tried = choose_way(
        student,
        prepared.asking,
        prepared.ways,
        prepared.trials.items,
        prepared.trials.cases,
        max_tokens=limit,
        partial=partial,
        progress=progress,
    )
    return _Plan(BASE, student, tried[0][0] if tried else prepared.ways[0], tried)


def _leave_out(prepared: Prepared, plans: Sequence[_Plan], config: EvalConfig, limit: int) -> Prepared:
    items = {item.id: item for item in prepared.exam.items}
    cases = prepared.cases.cases
    names: set[str] = set()
    for plan in plans:
        prompts = [prepared.asking.render(items[case.item_id], case, plan.way) for case in cases]
        long = find_overlong(plan.student, prompts, limit)
        if long and config.on_overflow == "error":
            longest = max(plan.student.measure([prompts[at] for at in long]) or [0])
            raise explain_overlong(plan.student.name, longest, len(long), limit, plan.student.context)
        names |= {cases[at].item_id for at in long}
    return _without(prepared, names)


def _check_refused(asked: Asked, prepared: Prepared, config: EvalConfig) -> None:
    """Stop, before the next model is asked, where a server found prompts too long.

    Raises:
        DatasetError: It did, and such questions are not to be left out.
    """
    told = find_refused_length([asked], prepared.cases.cases)
    if told and config.on_overflow == "error":
        raise DatasetError(
            f"{asked.examinee.name}: the prompts of {len(told):,} questions are too long for the server; nothing is "
            "cut: give --on-overflow skip to leave these questions out for all models, or fewer --conditions"
        )


def _drop_refused(prepared: Prepared, asked: Sequence[Asked]) -> tuple[Prepared, list[Asked]]:
    """Leave out questions of which a server said, when it was asked, that a prompt is too long."""
    cases = prepared.cases.cases
    told = find_refused_length(asked, cases)
    kept = [at for at, case in enumerate(cases) if case.item_id not in told]
    return _without(prepared, told), [
        replace(
            each, prompts=tuple(each.prompts[at] for at in kept), responses=tuple(each.responses[at] for at in kept)
        )
        for each in asked
    ]


def _without(prepared: Prepared, names: set[str]) -> Prepared:
    if not names:
        return prepared
    items = tuple(item for item in prepared.exam.items if item.id not in names)
    if not items:
        raise ConfigError("no question is left: each has a prompt that does not fit; ask under fewer --conditions")
    cases = prepared.cases.without(names)
    return replace(
        prepared,
        exam=replace(prepared.exam, items=items),
        cases=cases,
        primary=prepared.primary if prepared.primary in cases.conditions else find_primary(cases.conditions),
        warnings=(*prepared.warnings, *cases.warnings[len(prepared.cases.warnings) :]),
    )
