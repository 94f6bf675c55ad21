"""Which checkpoints of a run are whole: a seal, written last, lists every file with its size. Knows no torch."""

import os
import shutil
from pathlib import Path

from raft_cli.errors import DatasetError
from raft_cli.store import read_json, write_json

SEAL = "complete.json"
_PREFIX = "checkpoint-"


def seal_checkpoint(folder: str | Path, step: int) -> None:
    """Mark the checkpoint of a step as whole, once its files are on the disk."""
    checkpoint = Path(folder) / f"{_PREFIX}{step}"
    sizes = {}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and path.name != SEAL:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            sizes[path.relative_to(checkpoint).as_posix()] = path.stat().st_size
    write_json(checkpoint / SEAL, {"step": step, "files": sizes})


def find_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return the whole checkpoints with their steps, oldest first."""
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        number = path.name.removeprefix(_PREFIX)
        if number.isdecimal() and is_whole(path):
            found.append((int(number), path))
    return sorted(found)


def is_whole(checkpoint: Path) -> bool:
    """Tell whether every file that the seal lists is there with its size."""
    try:
        files = read_json(checkpoint / SEAL)["files"]
    except (DatasetError, KeyError, TypeError):
        return False
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size for name, size in files.items()
    )


def remove_broken(folder: Path) -> list[str]:
    """Remove what a killed process left half written, and return the names."""
    broken = [path for path in sorted(folder.glob(f"{_PREFIX}*")) if path.is_dir() and not is_whole(path)]
    for path in broken:
        shutil.rmtree(path)
    return [path.name for path in broken]
