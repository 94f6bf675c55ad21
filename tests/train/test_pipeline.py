"""What is settled before the first step: what a run is, what of it may change, what is written down first."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from test_drill_train import write_data

from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError, MissingExtra, TrainingError
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_json
from raft_cli.train.data.shelf import Shelf
from raft_cli.train.outcome import build_manifest, take_weights
from raft_cli.train.pipeline import (
    check_start,
    describe_run,
    note_disk,
    plan_run,
    resume_recipe,
    train_student,
    write_down,
)
from raft_cli.train.prepare import Prepared, check_installed, choose_validation, group_training, group_validation
from raft_cli.train.tiny import write_tiny_model
from raft_cli.train.worker import read_recipe


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pipeline")
    write_tiny_model(folder / "base", vocabulary=384, hidden=32, layers=1)
    return write_data(folder / "data"), folder / "base"


def prepare(places: tuple[Path, Path], **changes: object) -> tuple[TrainConfig, Prepared]:
    config = TrainConfig(**{"model": str(places[1]), "device": "cpu", "dry_run": True, **changes})  # type: ignore[arg-type]
    return config, plan_run(places[0], config)


def test_what_a_run_is_changes_with_what_changes_a_weight_and_with_nothing_else(places: tuple[Path, Path]) -> None:
    known = describe_run(*prepare(places))
    for free in ({"keep": 9}, {"report_to": "tensorboard"}, {"max_lost": 0.5}, {"preset": ""}):
        assert describe_run(*prepare(places, **free)) == known
    bound = (
        {"seed": 1},
        {"rank": 8},
        {"batch": 4},
        {"eval_rows": 2},
        {"patience": 1},
        {"max_steps": 5},
        {"dora": True},
    )
    for change in bound:
        assert describe_run(*prepare(places, **change)) != known, change


def test_everything_a_process_needs_is_written_and_the_plan_last(places: tuple[Path, Path], tmp_path: Path) -> None:
    _, prepared = prepare(places)
    write_down(tmp_path, prepared)
    assert read_recipe(tmp_path) == prepared.recipe
    for name, rows in (("train", prepared.rows), ("validation", prepared.validation)):
        shelf = Shelf(tmp_path / "rows", name)
        assert shelf.rows == len(rows)
        assert sorted(each for group in range(len(shelf)) for each in shelf.name_rows(group)) == sorted(
            row.id for row in rows
        )
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert max(written, key=lambda name: written[name]) == "plan.json"
    assert read_json(tmp_path / "plan.json")["rows"] == len(prepared.rows)
    assert "answer" in (tmp_path / "example.txt").read_text(encoding="utf-8")


def test_a_run_goes_on_as_it_began_but_for_what_changes_no_weight(places: tuple[Path, Path], tmp_path: Path) -> None:
    _, prepared = prepare(places)
    write_down(tmp_path, prepared)
    moved = replace(prepared.recipe, base_path="/moved", keep=9, report_to=("tensorboard",), micro_tokens=7)
    resumed = resume_recipe(tmp_path, replace(prepared, recipe=moved))
    assert resumed == replace(prepared.recipe, base_path="/moved", keep=9, report_to=("tensorboard",))
    assert read_recipe(tmp_path) == resumed


def test_the_record_of_a_run_that_went_on_is_that_of_its_first_start(places: tuple[Path, Path], tmp_path: Path) -> None:
    config, prepared = prepare(places)
    write_down(tmp_path, prepared)
    memory = replace(prepared.plan.memory, total=1)
    today = replace(prepared.plan, memory=memory, available=2, seconds=3.0, step_rows=4.0)
    manifest = build_manifest(tmp_path, places[0], config, replace(prepared, plan=today), prepared.recipe)
    begun = prepared.plan
    assert manifest["plan"]["memory"]["total"] == begun.memory.total
    assert (manifest["plan"]["available"], manifest["plan"]["seconds"]) == (begun.available, begun.seconds)
    assert manifest["rows"]["step"] == begun.step_rows and manifest["rows"]["percentiles"]["max"] == begun.lengths[3]


@pytest.mark.parametrize(("revision", "written"), [("a09a35", "a09a35"), ("", None)])
def test_an_adapter_remembers_the_commit_of_its_base(
    revision: str, written: str | None, places: tuple[Path, Path], tmp_path: Path
) -> None:
    best = tmp_path / "checkpoints" / "checkpoint-4"
    best.mkdir(parents=True)
    write_json(tmp_path / "result.json", {"best_step": 4})
    write_json(best / "adapter_config.json", {"r": 8, "base_model_name_or_path": "/cache/base", "revision": "old"})
    take_weights(tmp_path, replace(prepare(places)[1].recipe, base="org/base"), revision)
    known = read_json(tmp_path / "adapter_config.json")
    assert known == {"r": 8, "base_model_name_or_path": "org/base", "revision": written}


def test_a_gpu_must_hold_the_run_and_a_cpu_may_try(places: tuple[Path, Path]) -> None:
    config, prepared = prepare(places)
    tight = replace(prepared, plan=replace(prepared.plan, fits=False, lack="this does not fit"))
    check_start(tight, config)
    on_gpu = replace(tight, recipe=replace(tight.recipe, device="cuda"))
    with pytest.raises(ConfigError, match=r"this does not fit.* give --micro-tokens"):
        check_start(on_gpu, config)
    check_start(on_gpu, replace(config, micro_tokens=512))
    check_start(replace(prepared, recipe=on_gpu.recipe), config)


def test_a_disk_too_small_for_the_checkpoints_is_told(places: tuple[Path, Path], tmp_path: Path) -> None:
    _, prepared = prepare(places)
    assert note_disk(tmp_path, prepared.plan, prepared.recipe) == []
    large = replace(prepared.plan, checkpoint=1 << 60)
    (said,) = note_disk(tmp_path, large, prepared.recipe)
    assert "may fill the disk: 5,368,709,120.0 GiB more are needed" in said and str(tmp_path) in said


def test_memory_that_ran_out_is_let_go_and_told_even_if_there_is_none_for_the_report(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Weights:
        """What a training process holds."""

    held: list[weakref.ref[Weights]] = []

    def run_out(run: Path, *_: object, **__: object) -> None:
        weights = Weights()
        held.append(weakref.ref(weights))
        (run / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n', encoding="utf-8")
        try:
            raise RuntimeError("can't allocate memory")
        except RuntimeError as error:
            raise TrainingError("not enough memory") from error

    def write_page(*_: object) -> str:
        gc.collect()
        assert held and held[0]() is None
        raise MemoryError

    monkeypatch.setattr("raft_cli.train.pipeline.launch", run_out)
    monkeypatch.setattr("raft_cli.train.pipeline.render_report", write_page)
    config = TrainConfig(model=str(places[1]), device="cpu", max_steps=2)
    with pytest.raises(TrainingError, match="not enough memory"):
        train_student(places[0], tmp_path / "run", config, Progress())
    assert held and "curves so far" not in capfd.readouterr().err


@pytest.mark.parametrize("begun", [{"processes": 8}, {"device": "cuda"}])
def test_a_run_does_not_go_on_where_there_are_fewer_devices(
    begun: dict[str, object], places: tuple[Path, Path], tmp_path: Path
) -> None:
    _, prepared = prepare(places)
    write_down(tmp_path, replace(prepared, recipe=replace(prepared.recipe, **begun)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"was begun on \d c.* device\(s\), here it would be 1 cpu: go on where"):
        resume_recipe(tmp_path, prepared)


def test_validation_groups_hold_rows_with_their_oracle_or_without(places: tuple[Path, Path]) -> None:
    _, prepared = prepare(places)
    groups = group_validation(prepared.validation, prepared.recipe)
    assert sorted(at for group in groups for at in group) == [*range(len(prepared.validation))]
    assert all(len({prepared.validation[at].present for at in group}) == 1 for group in groups)
    trained = group_training(prepared.rows, prepared.recipe)
    assert sorted(at for group in trained for at in group) == [*range(len(prepared.rows))]


def test_the_same_validation_rows_are_chosen_each_time(places: tuple[Path, Path]) -> None:
    rows = prepare(places)[1].dataset.train
    chosen = choose_validation(rows, 7, 42)
    assert chosen == choose_validation(rows, 7, 42) != choose_validation(rows, 7, 43)
    assert [rows.index(row) for row in chosen] == sorted(rows.index(row) for row in chosen) and len(chosen) == 7
    assert choose_validation(rows, 500, 42) == rows


def test_what_is_not_installed_is_told_before_anything_is_read() -> None:
    for changes, missing, said in (
        ({}, "trl", r"training needs trl: pip install 'raft-cli\[train\]'"),
        ({"method": "qlora"}, "bitsandbytes", r"--method qlora needs bitsandbytes"),
        ({"strategy": "deepspeed"}, "deepspeed", "--strategy deepspeed needs deepspeed"),
        ({"report_to": "tensorboard,mlflow"}, "mlflow", "--report-to mlflow needs mlflow: pip install mlflow"),
    ):
        config = TrainConfig(model="m", **changes)  # type: ignore[arg-type]
        check_installed(config, lambda name: True)
        with pytest.raises(MissingExtra, match=said):
            check_installed(config, lambda name, missing=missing: name != missing)  # type: ignore[misc]
