"""Everything before the first model is asked: questions, cases, prompts, gates; what can fail cheaply fails here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raft_cli.chat.judging import find_judge
from raft_cli.chat.remote import is_endpoint
from raft_cli.config.evaluate import EvalConfig
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.evaluate.asking import WORKED, Asking, choose_examples
from raft_cli.evaluate.cases import CaseSet, build_cases, search_lexically
from raft_cli.evaluate.conditions import Condition, parse_condition, parse_conditions
from raft_cli.evaluate.distractors import Search
from raft_cli.evaluate.earlier import Stored, check_comparable
from raft_cli.evaluate.figures import DIRECTIONS, JUDGED, find_primary
from raft_cli.evaluate.gates import Gate, parse_gates
from raft_cli.evaluate.items import TRAIN, Exam, read_exam
from raft_cli.evaluate.judge import Label, read_labels
from raft_cli.evaluate.passages import digest_file
from raft_cli.evaluate.records import Case, Item
from raft_cli.evaluate.reports.record import read_earlier, read_record
from raft_cli.evaluate.results import BASE, MODEL
from raft_cli.evaluate.trec import read_run
from raft_cli.prompts import load_prompts
from raft_cli.store import read_json

_TRIALS = 40  # questions on which ways to ask are tried
_MANIFEST = "manifest.json"
_FAVOUR = (
    "no questions of another split to find the baseline's best prompt on: found on the very questions, in the "
    "baseline's favour"
)
_ELSEWHERE = ("validation", "train")
_DECIDING = ("seed", "retrieved", "prompt", "system", "max_tokens")  # what an answer depends on besides its model


@dataclass(frozen=True, slots=True)
class Trials:
    """Other questions than those of the exam, on which the best way to ask the baseline is found."""

    items: Mapping[str, Item]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is asked.

    Attributes:
        primary: The condition whose `acc` decides.
        trials: None when there is nothing to find out.
        earlier: The run to compare with, or None.
        labels: Verdicts of people, or None.
        teacher: Who wrote the dataset, as far as its manifest tells.
    """

    exam: Exam
    cases: CaseSet
    primary: str
    asking: Asking
    ways: tuple[str, ...]
    trials: Trials | None
    gates: tuple[Gate, ...]
    earlier: Stored | None
    labels: Mapping[Label, str] | None
    teacher: str
    warnings: tuple[str, ...]


def prepare_exam(data: Path, config: EvalConfig) -> Prepared:
    """Read, check and build all that is needed before a model is asked.

    Raises:
        ConfigError: A condition, gate or earlier report does not fit.
        DatasetError: There is nothing to ask, or a file is broken.
    """
    conditions = parse_conditions(config.names)
    if not conditions:
        raise ConfigError("--conditions is empty; quick, standard and full are presets")
    if config.judge:
        find_judge(config.judge, base_url="", env_file=config.env_file)
    gates = _read_gates(config, [condition.name for condition in conditions])
    exam = read_exam(
        data, split=config.split, keep_similar=config.keep_similar, limit=config.questions, seed=config.seed
    )
    search = search_lexically(exam.chunks)
    cases = _build_cases(exam, conditions, config, search, _read_ranking(config, exam))
    facts, primary = _read_manifest(config.model), find_primary(cases.conditions)
    others = _read_others(data, config)
    if lost := [gate for gate in gates if gate.condition in cases.left_out]:
        raise ConfigError(f"--fail-under {lost[0].expression!r} cannot be passed: {cases.left_out[lost[0].condition]}")
    asking = _build_asking(config, exam, facts, others)
    auto = bool(config.baseline) and config.baseline_prompt == "auto"
    trials = _build_trials(config, exam, others, primary, search) if auto else None
    lenient = (_FAVOUR,) if auto and trials is None else ()
    if lenient:
        own = [case for case in cases.cases if case.condition == primary][:_TRIALS]
        trials = Trials({item.id: item for item in exam.items}, tuple(own))
    ways = asking.ways(worked="full" in config.names) if auto else (config.baseline_prompt,)
    return Prepared(
        exam=exam,
        cases=cases,
        primary=primary,
        asking=asking,
        ways=ways,
        trials=trials,
        gates=tuple(gates),
        earlier=_read_earlier(config, exam),
        labels=read_labels(Path(config.judge_labels)) if config.judge_labels else None,
        teacher=str(_take(_read_manifest(str(data)), "settings").get("teacher") or ""),
        warnings=(*exam.warnings, *cases.warnings, *_warn(data, config, exam, facts), *lenient),
    )


def _read_earlier(config: EvalConfig, exam: Exam) -> Stored | None:
    if not config.compare_to:
        return None
    earlier = read_earlier(Path(config.compare_to))
    now = Stored(exam.data, exam.corpus, tuple(item.id for item in exam.items), {})
    check_comparable(now, earlier, place=config.compare_to, force=config.force)
    return earlier


def _read_ranking(config: EvalConfig, exam: Exam) -> Mapping[str, Sequence[str]] | None:
    if not config.retrieved:
        return None
    return read_run(Path(config.retrieved), questions={item.id for item in exam.items}, chunks=exam.chunks)


def _build_cases(
    exam: Exam,
    conditions: Sequence[Condition],
    config: EvalConfig,
    search: Search,
    run: Mapping[str, Sequence[str]] | None = None,
) -> CaseSet:
    return build_cases(
        exam.items,
        exam.chunks,
        conditions,
        seed=config.seed,
        distractors_trained=exam.distractors,
        search=search,
        run=run,
        pool=exam.pool,
    )


def _build_trials(config: EvalConfig, exam: Exam, others: Exam | None, primary: str, search: Search) -> Trials | None:
    """Return other questions to find the best way on; None when there are none that can be asked so."""
    if others is None:
        return None
    few = replace(others, items=others.items[:_TRIALS])
    own = search if others.corpus == exam.corpus else search_lexically(others.chunks)
    try:
        cases = _build_cases(few, [parse_condition(primary)], config, own)
    except DatasetError:
        return None
    return Trials({item.id: item for item in few.items}, cases.cases)


def _read_gates(config: EvalConfig, conditions: Sequence[str]) -> list[Gate]:
    directions: dict[str, str] = {name: direction for name, direction in DIRECTIONS.items()}
    if config.absent_policy == "abstain":
        directions["refusal_rate"] = "either"  # declining is what is wanted without an oracle, and is not with one
    if not config.judge:
        directions.pop(JUDGED)
    subjects = [MODEL, BASE, "delta"] if config.baseline else [MODEL]
    return parse_gates(config.fail_under or (), subjects=subjects, conditions=conditions, metrics=directions)


def _read_manifest(folder: str) -> Mapping[str, Any]:
    """Return the manifest of a run or dataset folder, empty where there is none."""
    path = Path(folder).expanduser() / _MANIFEST
    if is_endpoint(folder) or not path.is_file():
        return {}
    held = read_json(path)
    return held if isinstance(held, dict) else {}


def _take(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object within a record, empty when there is none: other tools write a manifest.json too."""
    held = record.get(key)
    return held if isinstance(held, dict) else {}


def _read_others(data: Path, config: EvalConfig) -> Exam | None:
    """Return questions of another split, None when there are none."""
    folder = data if data.is_dir() else data.parent
    asked = (data / f"{config.split}.jsonl" if data.is_dir() else data).resolve()
    for split in _ELSEWHERE:
        path = folder / f"{split}.jsonl"
        if path.is_file() and path.resolve() != asked:
            try:
                return read_exam(path, keep_similar=True, limit=_TRIALS, seed=config.seed)
            except DatasetError:  # empty, or nothing in it that can be asked: the next one will do
                continue
    return None


def _build_asking(config: EvalConfig, exam: Exam, facts: Mapping[str, Any], others: Exam | None) -> Asking:
    system = config.system if config.system is not None else str(_take(facts, "prompt").get("system") or "")
    wanted = config.prompt == WORKED or config.baseline_prompt == WORKED or "full" in config.names
    languages = {item.language for item in exam.items}
    examples = choose_examples(others.items, others.chunks, languages) if wanted and others else {}
    if WORKED in (config.prompt, config.baseline_prompt) and not any(examples.values()):
        raise ConfigError("worked examples are taken from validation.jsonl or train.jsonl beside the rows: none there")
    return Asking(system, load_prompts(), examples)


def _warn(data: Path, config: EvalConfig, exam: Exam, facts: Mapping[str, Any]) -> Iterator[str]:
    if config.retrieved and not any(each.kind == "retrieved" for each in parse_conditions(config.names)):
        yield "--retrieved was not used: none of the conditions asked is retrieved@K"
    known = _take(facts, "data")
    if known.get("corpus") and known["corpus"] != exam.corpus:
        yield f"{config.model} was trained on rows of another corpus than {data}: nothing here was seen in training"
    train = (data if data.is_dir() else data.parent) / TRAIN
    trained = _take(known, "files").get(TRAIN)
    if trained and train.is_file() and digest_file(train) != trained:
        yield f"{config.model} was trained on other rows than {train}: which passages it has seen is not known"
    seen = sum(item.seen for item in exam.items)
    if seen == len(exam.items):
        yield (
            "every question is about a passage that training asked about too; raft generate --split-by chunk keeps "
            "passages for the test alone"
        )
    if config.compare_to:
        before = _take(read_record(Path(config.compare_to)), "setting")
        for flag, then, now in ((name, before.get(name) or "", getattr(config, name) or "") for name in _DECIDING):
            if then != now:
                told = f"--{flag.replace('_', '-')} was {then or 'not set'} there and is {now or 'not set'} here"
                yield f"--compare-to {config.compare_to}: {told}: a difference may come from that"
    if _take(facts, "base").get("smoke"):
        yield f"{config.model} is a smoke model of random weights: its figures say that the tool works, nothing else"
    for name in filter(is_endpoint, (config.model, config.baseline)):
        yield f"{name}: which weights the server holds is not known; its answers are kept under this name"
    if config.baseline and _read_manifest(config.baseline).get("kind") == "run" and config.baseline_prompt == "auto":
        yield f"{config.baseline} is a tuned model too; --baseline-prompt plain asks it as in its training"
