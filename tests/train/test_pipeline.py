"""What is settled before the first step: what a run is, what of it may change, what is written down first."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_drill_train import write_data

from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError, MissingExtra
from raft_cli.store import read_json
from raft_cli.train.data.shelf import Shelf
from raft_cli.train.pipeline import describe_run, plan_run, resume_recipe, write_down
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
