"""One process of a training run: reads the recipe in the run folder and follows it. Also started once a device."""

import ctypes
import logging
import os
import shutil
import signal
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from raft_cli.errors import RaftError, TrainingError
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_json
from raft_cli.train.records import Recipe

RECIPE = "recipe.json"
FAILURE = "failure.json"
INTERRUPTED = 130
_LITTLE = 1 << 20  # bytes; a disk with less is full
_PR_SET_PDEATHSIG = 1


def write_recipe(run: Path, recipe: Recipe) -> None:
    """Leave the recipe where every process finds it."""
    write_json(run / RECIPE, asdict(recipe))


def read_recipe(run: Path) -> Recipe:
    """Return the recipe of a run."""
    held: dict[str, Any] = read_json(run / RECIPE)
    lists = {name: tuple(value) for name, value in held.items() if isinstance(value, list)}
    return Recipe(**{**held, **lists})


def work(run: Path, progress: Progress, *, base_path: str = "") -> None:
    """Train in this process.

    Args:
        base_path: Where the base lies on this machine, if not where the recipe says.

    Raises:
        RaftError: As `raft_cli.train.sft.train`, or the disk is full.
    """
    quiet_libraries()
    from safetensors import SafetensorError

    from raft_cli.train.sft import train

    try:
        recipe = read_recipe(run)
        train(run, replace(recipe, base_path=base_path or recipe.base_path), progress)
    except (OSError, RuntimeError, SafetensorError) as error:
        if "No space left" in str(error) or shutil.disk_usage(run).free < _LITTLE:  # torch does not say why
            raise TrainingError(
                f"no space left in {run} for a checkpoint; the whole ones are kept: free some space, or lower --keep, "
                "and run the same command again"
            ) from error
        raise


def quiet_libraries() -> None:
    """Keep the libraries from calling home and from writing between our lines."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in ("bitsandbytes", "DeepSpeed"):
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).addFilter(_is_error)  # DeepSpeed sets its level anew, and writes to stdout
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def main() -> int:
    """Train as one of several processes; what went wrong is left in the run folder for the one that started us."""
    run, rank = Path(sys.argv[1]), os.environ.get("RANK", "0")
    first = rank == "0"
    _die_with_parent()
    try:
        work(run, Progress(quiet=not first), base_path=sys.argv[2] if len(sys.argv) > 2 else "")
    except RaftError as error:
        if first or error.exit_code == 1:
            said = run / f"{FAILURE}.{rank}"  # several may fail at once
            write_json(said, {"code": error.exit_code, "message": str(error)})
            said.replace(run / FAILURE)
        return 0 if error.exit_code == INTERRUPTED else 1
    return 0


def _die_with_parent() -> None:
    """Have the kernel kill this process when torchrun is killed, which starts each in a session of its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
