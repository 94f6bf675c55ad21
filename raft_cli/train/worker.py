"""One process of a training run: reads the recipe in the run folder and follows it. Also started once a device."""

import ctypes
import logging
import os
import signal
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raft_cli.errors import RaftError
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_json
from raft_cli.train.records import Recipe

RECIPE = "recipe.json"
FAILURE = "failure.json"
INTERRUPTED = 130
_PR_SET_PDEATHSIG = 1


def write_recipe(run: Path, recipe: Recipe) -> None:
    """Leave the recipe where every process finds it."""
    write_json(run / RECIPE, asdict(recipe))


def read_recipe(run: Path) -> Recipe:
    """Return the recipe of a run."""
    held: dict[str, Any] = read_json(run / RECIPE)
    lists = {name: tuple(value) for name, value in held.items() if isinstance(value, list)}
    return Recipe(**{**held, **lists})


def work(run: Path, progress: Progress) -> None:
    """Train in this process.

    Raises:
        RaftError: As `raft_cli.train.sft.train`.
    """
    quiet_libraries()
    from raft_cli.train.sft import train

    train(run, read_recipe(run), progress)


def quiet_libraries() -> None:
    """Keep the libraries from calling home and from writing between our lines."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in ("bitsandbytes", "DeepSpeed"):  # a filter: they set their level when they are imported
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def main() -> int:
    """Train as one of several processes; what went wrong is left in the run folder for the one that started us."""
    run, rank = Path(sys.argv[1]), os.environ.get("RANK", "0")
    first = rank == "0"
    _die_with_parent()
    try:
        work(run, Progress(quiet=not first))
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
