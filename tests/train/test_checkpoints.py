"""Only a checkpoint whose files are all there, each with its size, is one to go on from."""

import os
from pathlib import Path

import pytest

from raft_cli.store import read_json
from raft_cli.train.checkpoints import SEAL, find_checkpoints, is_whole, remove_broken, seal_checkpoint


def write_checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    (path / "inner").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(bytes(1000))
    (path / "inner" / "state.pt").write_bytes(bytes(step))
    seal_checkpoint(folder, step)
    return path


def test_the_seal_lists_every_file(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, 4)
    assert read_json(path / SEAL) == {"step": 4, "files": {"inner/state.pt": 4, "model.safetensors": 1000}}
    assert is_whole(path)


def test_whole_ones_are_found_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step in (100, 9, 20):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert [step for step, _ in find_checkpoints(tmp_path)] == [9, 20, 100]
    assert find_checkpoints(tmp_path / "none") == [] and remove_broken(tmp_path / "none") == []


@pytest.mark.parametrize("fault", ["cut", "missing", "unsealed", "seal cut", "seal of something else"])
def test_broken_ones_are_removed(fault: str, tmp_path: Path) -> None:
    whole, broken = write_checkpoint(tmp_path, 5), write_checkpoint(tmp_path, 10)
    match fault:
        case "cut":
            os.truncate(broken / "model.safetensors", 999)
        case "missing":
            (broken / "inner" / "state.pt").unlink()
        case "unsealed":
            (broken / SEAL).unlink()
        case "seal cut":
            os.truncate(broken / SEAL, 20)
        case _:
            (broken / SEAL).write_text("[]")
    assert find_checkpoints(tmp_path) == [(5, whole)]
    assert remove_broken(tmp_path) == ["checkpoint-10"] and not broken.exists() and whole.exists()
