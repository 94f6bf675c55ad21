"""The order of training: prepare, write down, train, finish. The only place that knows it."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from traceback import clear_frames

from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError, Interrupted, RaftError, TrainingError
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_json, write_lines, write_text
from raft_cli.train.data.shelf import write_shelf
from raft_cli.train.folder import MANIFEST, SETTINGS, check_run, claim_run, compare_run, lock_run, unlock_run
from raft_cli.train.launch import launch
from raft_cli.train.metrics import read_metrics
from raft_cli.train.outcome import CHECKPOINTS, PLAN, RESULT, ROWS, Outcome, build_manifest, take_weights, write_outcome
from raft_cli.train.planning.figures import describe_time
from raft_cli.train.planning.plan import Plan, check_memory, measure_disk
from raft_cli.train.prepare import (
    Gathered,
    Prepared,
    check_installed,
    gather_run,
    group_training,
    group_validation,
    prepare_run,
)
from raft_cli.train.records import Recipe
from raft_cli.train.reports.report import render_report
from raft_cli.train.rows import show_row
from raft_cli.train.units import show_bytes
from raft_cli.train.worker import read_recipe, write_recipe
from raft_cli.weights import hash_weights

_FREE = {"model", "dry_run", "report_to", "keep", "preset", "node_rank", "rendezvous", "revision", "max_lost"}
_WAIT = 1800.0  # seconds that the other machines wait for the first


def plan_run(data: Path, config: TrainConfig) -> Prepared:
    """Return what a run would be; write nothing."""
    return prepare_run(gather_run(data, config), config)


def train_student(data: Path, out: Path, config: TrainConfig, progress: Progress) -> Outcome:
    """Train, or go on where an earlier start of the same command stopped, or tell that it is done.

    Raises:
        ConfigError: The folder holds a run with other settings.
        Interrupted: Stopped on request; the same command goes on.
        RaftError: The data, the model or the machine do not allow it.
    """
    with _interruptible():
        check_installed(config)
        check_run(out)
        gathered = gather_run(data, config)
        settings = describe_run(config, gathered)
        if config.node_rank:
            return _join(out, config, gathered, progress)
        if (out / SETTINGS).exists():
            compare_run(out, settings)
        if (out / MANIFEST).exists():
            return Outcome(out, read_json(out / MANIFEST), True, gathered.dataset.notes)
        prepared = prepare_run(gathered, config)
        if not (out / PLAN).exists():
            check_start(prepared, config)
        with _locked(out) as lock:
            return _train(data, out, config, prepared, settings=settings, progress=progress, lock=lock)


def _train(
    data: Path,
    out: Path,
    config: TrainConfig,
    prepared: Prepared,
    *,
    settings: Mapping[str, object],
    progress: Progress,
    lock: int,
) -> Outcome:
    claim_run(out, settings)
    if not (out / PLAN).exists():
        write_down(out, prepared)
    recipe = resume_recipe(out, prepared)
    if not (out / RESULT).exists():
        _announce(recipe, prepared, (*prepared.plan.notes, *note_disk(out, prepared.plan, recipe)), progress)
        with _reported(out, data, config, prepared, progress):
            launch(out, recipe, progress, node_rank=0, rendezvous=config.rendezvous, lock=lock)
    take_weights(out, recipe, prepared.model.revision)
    manifest = build_manifest(out, data, config, prepared, recipe)
    write_outcome(out, manifest)
    return Outcome(out, manifest, False, prepared.notes)


def check_start(prepared: Prepared, config: TrainConfig) -> None:
    """Make sure that a GPU can hold the run, unless the user has settled the micro-batch; on a CPU a note must do.

    Raises:
        ConfigError: It cannot.
    """
    if prepared.recipe.device == "cuda" and not config.micro_tokens:
        check_memory(prepared.plan)


def note_disk(out: Path, plan: Plan, recipe: Recipe) -> list[str]:
    """Tell when the checkpoints may fill the disk that the run folder lies on."""
    held = sum(path.stat().st_size for path in (out / CHECKPOINTS).rglob("*") if path.is_file())
    free, needed = shutil.disk_usage(out).free, measure_disk(plan, recipe) - held
    if needed <= free:
        return []
    return [
        f"checkpoints of about {show_bytes(plan.checkpoint)} may fill the disk: {show_bytes(needed)} more are needed, "
        f"and {show_bytes(free)} are free at {out}; a smaller --keep, or another -o"
    ]


def describe_run(config: TrainConfig, gathered: Gathered) -> dict[str, object]:
    """Return what makes a run this run: data, base, and every setting that changes a weight."""
    model = gathered.model
    bound = {name: value for name, value in asdict(config).items() if name not in _FREE}
    base = {"name": model.name, "revision": model.revision, "weights": hash_weights(model.path)}
    return {"data": dict(gathered.dataset.files), "base": base, **bound}


def resume_recipe(out: Path, prepared: Prepared) -> Recipe:
    """Return the recipe that the run began with, with what may change since: places, trackers, checkpoints to keep.

    Raises:
        ConfigError: It began on other devices than there are now.
    """
    begun, now = read_recipe(out), prepared.recipe
    if begun.device != now.device or begun.processes > now.processes:
        raise ConfigError(
            f"{out} was begun on {begun.processes} {begun.device} device(s), here it would be {now.processes} "
            f"{now.device}: go on where there are as many, or choose another -o"
        )
    recipe = replace(begun, base_path=now.base_path, report_to=now.report_to, keep=now.keep)
    if recipe != begun:
        write_recipe(out, recipe)
    return recipe


def write_down(out: Path, prepared: Prepared) -> None:
    """Write rows, recipe, one row to look at, what was set aside, and last the plan: the run can start."""
    recipe = prepared.recipe
    write_shelf(out / ROWS, "train", prepared.rows, group_training(prepared.rows, recipe))
    write_shelf(out / ROWS, "validation", prepared.validation, group_validation(prepared.validation, recipe))
    write_recipe(out, recipe)
    write_text(out / "example.txt", show_row(prepared.student, prepared.rows[0]))
    write_lines(out / "overflow.jsonl", prepared.overflow)
    write_json(out / PLAN, asdict(prepared.plan))


def _announce(recipe: Recipe, prepared: Prepared, notes: Sequence[str], progress: Progress) -> None:
    plan = prepared.plan
    progress.say(f"training on {plan.rows:,} rows: {recipe.steps:,} steps, {describe_time(plan.seconds)}")
    for note in notes:
        progress.say(f"note: {note}")


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("at once; whole checkpoints are kept, run the same command to go on") from error


@contextmanager
def _locked(out: Path) -> Iterator[int]:
    lock = lock_run(out)
    try:
        yield lock
    finally:
        unlock_run(lock)


@contextmanager
def _reported(out: Path, data: Path, config: TrainConfig, prepared: Prepared, progress: Progress) -> Iterator[None]:
    """Leave a report of what was trained so far, when training stops before its end."""
    try:
        yield
    except (RaftError, KeyboardInterrupt) as error:
        for each in (error, error.__cause__):  # their frames hold model and tensors: perhaps there is no memory left
            clear_frames(each.__traceback__ if each else None)
        with suppress(RaftError, MemoryError):  # a full disk, perhaps: what stopped training matters more
            if metrics := read_metrics(out):
                manifest = build_manifest(out, data, config, prepared, read_recipe(out))
                write_text(out / "report.html", render_report(manifest, metrics))
                progress.say(f"curves so far: {out / 'report.html'}")
        raise


def _join(out: Path, config: TrainConfig, gathered: Gathered, progress: Progress) -> Outcome:
    """Train as a machine other than the first, in the run folder that the first has prepared on shared storage."""
    _await(out / PLAN, "prepared the run")
    compare_run(out, describe_run(config, gathered))
    before = (out / MANIFEST).exists()
    if not (out / RESULT).exists():
        recipe = replace(read_recipe(out), base_path=str(gathered.model.path))
        launch(out, recipe, progress, node_rank=config.node_rank, rendezvous=config.rendezvous, lock=None)
    _await(out / MANIFEST, "written the tuned model")
    return Outcome(out, read_json(out / MANIFEST), before, gathered.dataset.notes)


def _await(path: Path, what: str) -> None:
    started = time.monotonic()
    while not path.exists():
        if time.monotonic() - started > _WAIT:
            raise TrainingError(
                f"{path.parent}: machine 0 has not {what} in {_WAIT / 60:.0f} minutes; is -o on storage that all "
                "machines share, and does the same command run there with --node-rank 0?"
            )
        time.sleep(1)
