"""Everything before the first step, without torch: the rows as token ids, the recipe, the plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_cli.config.train import TrainConfig
from raft_cli.data import make_id
from raft_cli.errors import DatasetError, MissingExtra
from raft_cli.model import ModelFolder, check_trainable, find_model, load_student
from raft_cli.student import Student
from raft_cli.train.data.pack import batch_rows, pack_rows
from raft_cli.train.data.source import Dataset, read_dataset
from raft_cli.train.planning.families import read_shape
from raft_cli.train.planning.hardware import Hardware, find_hardware
from raft_cli.train.planning.plan import Plan, plan_training
from raft_cli.train.planning.recipe import choose_recipe, group_rows, is_installed
from raft_cli.train.planning.shape import count_stored
from raft_cli.train.records import Encoded, Overflow, Recipe, Row
from raft_cli.train.rows import EncodedRows, encode_rows

_UNLIMITED = 1 << 30
_NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Data, model and machine, before anything is encoded: enough to tell which run this is."""

    model: ModelFolder
    dataset: Dataset
    hardware: Hardware


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        rows: To train on, encoded; `validation` those of an evaluation.
        overflow: Rows of either that are set aside.
        notes: What a person should be told of the data; the plan has its own.
    """

    model: ModelFolder
    student: Student
    dataset: Dataset
    rows: list[Encoded]
    validation: list[Encoded]
    overflow: list[Overflow]
    recipe: Recipe
    plan: Plan
    notes: tuple[str, ...]


def gather_run(data: Path, config: TrainConfig) -> Gathered:
    """Read the rows, find the model and look at the machine.

    Raises:
        DatasetError: The dataset cannot be read.
        ModelError: The model is not there.
        ConfigError: The device asked for is not there.
    """
    hardware = find_hardware(config.device)
    dataset = read_dataset(data, system=config.system, validation_share=config.validation_share, seed=config.seed)
    code = config.trust_remote_code
    model = find_model(config.model, weights=not config.dry_run, revision=config.revision, code=code)
    check_trainable(model)
    return Gathered(model, dataset, hardware)


def prepare_run(gathered: Gathered, config: TrainConfig) -> Prepared:
    """Encode the rows, and settle how to train on them.

    Raises:
        DatasetError: Too many rows do not fit.
        ModelError: The tokenizer of the model cannot be used.
        ConfigError: Settings that this machine or this model cannot follow.
    """
    model, dataset, hardware = gathered.model, gathered.dataset, gathered.hardware
    shape = read_shape(model.config, stored=count_stored(model.path))
    student = load_student(model.path, exact=not config.dry_run, code=config.trust_remote_code)
    limit = min(config.max_tokens or _UNLIMITED, shape.context or _UNLIMITED)
    train = encode_rows(dataset.train, student, limit)
    validation = encode_rows(choose_validation(dataset.validation, config.eval_rows, config.seed), student, limit)
    _check_lost(train.overflow, len(dataset.train), limit, config)
    recipe = choose_recipe(
        config,
        hardware=hardware,
        shape=shape,
        model=model,
        lengths=[row.length for row in train.rows],
        validation=len(validation.rows),
        pad=(student.pad_id, student.pad_token),
        end_id=student.end_id,
    )
    limit = min(limit, max(row.length for row in train.rows)) if limit == _UNLIMITED else limit
    plan = plan_training(
        recipe,
        hardware=hardware,
        shape=shape,
        rows=train.rows,
        validation=validation.rows,
        overflow=train.overflow,
        limit=limit,
    )
    return Prepared(
        model=model,
        student=student,
        dataset=dataset,
        rows=train.rows,
        validation=validation.rows,
        overflow=[*train.overflow, *validation.overflow],
        recipe=recipe,
        plan=plan,
        notes=(*dataset.notes, *_note_student(student), *_note_rows(train, validation)),
    )


def check_installed(config: TrainConfig, installed: Callable[[str], bool] = is_installed) -> None:
    """Make sure that what training imports, hours later at worst, is there.

    Raises:
        MissingExtra: It is not; the message says how to install it.
    """
    if missing := [name for name in _NEEDED if not installed(name)]:
        raise MissingExtra(f"training needs {', '.join(missing)}: pip install 'raft-cli[train]'")
    if config.method == "qlora" and not installed("bitsandbytes"):
        raise MissingExtra("--method qlora needs bitsandbytes: pip install 'raft-cli[qlora]'")
    if config.strategy == "deepspeed" and not installed("deepspeed"):
        raise MissingExtra("--strategy deepspeed needs deepspeed: pip install deepspeed")
    for tracker in filter(None, config.report_to.split(",")):
        if not installed(tracker):
            raise MissingExtra(f"--report-to {tracker} needs {tracker}: pip install {tracker}")


def choose_validation(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    """Return at most `most` rows, chosen by the hash of seed and id, in their order."""
    chosen = sorted(range(len(rows)), key=lambda at: make_id(seed, "validate", rows[at].id, at))[:most]
    return [rows[at] for at in sorted(chosen)]


def group_validation(rows: Sequence[Encoded], recipe: Recipe) -> list[list[int]]:
    """Return micro-batches of validation rows, each with rows that hold their oracle, or with rows that do not."""
    groups = []
    for present in (True, False):
        places = [at for at, row in enumerate(rows) if row.present == present]
        group = pack_rows if recipe.packing else batch_rows
        some = group([rows[at].length for at in places], recipe.micro_tokens)
        groups += [[places[number] for number in each] for each in some]
    return groups


def group_training(rows: Sequence[Encoded], recipe: Recipe) -> list[list[int]]:
    """Return micro-batches of training rows."""
    return group_rows(recipe, [row.length for row in rows])


def _check_lost(overflow: Sequence[Overflow], rows: int, limit: int, config: TrainConfig) -> None:
    """Stop when more rows are set aside than the user accepts."""
    if len(overflow) <= config.max_lost * rows:
        return
    first = overflow[0]
    needed = max((each.tokens for each in overflow), default=0)
    raise DatasetError(
        f"{len(overflow):,} of {rows:,} rows ({len(overflow) / rows:.1%}) cannot be trained on, more than --max-lost "
        f"{config.max_lost:g}; the first: {first.place}: {first.reason}, {first.detail}. "
        + (f"Allowed are {limit:,} tokens, the longest would need {needed:,}. " if needed > limit else "")
        + "Shorter chunks or a model with a longer context keep them; --max-lost 1 trains on the others"
    )


def _note_student(student: Student) -> list[str]:
    notes = []
    if student.apart:
        notes.append(
            "the chat template writes a past answer otherwise than it opens a new one: what stands between was taken "
            "from the opening; look at example.txt"
        )
    if not student.template:
        notes.append("the model has no chat template: prompts are plain paragraphs, one blank line apart")
    if student.pad_chosen:
        notes.append(f"the tokenizer names no pad token of its own; {student.pad_token!r} pads (it never gets loss)")
    if student.dated:
        notes.append("the chat template writes today's date into every prompt, so that of asking will differ")
    return notes


def _note_rows(train: EncodedRows, validation: EncodedRows) -> list[str]:
    notes = []
    if unquoted := train.unquoted + validation.unquoted:
        notes.append(f"{unquoted:,} rows quote text that does not stand in their documents")
    if control := train.control + validation.control:
        notes.append(f"{control:,} prompts contain control tokens of the model as text; servers read them as such")
    return notes
