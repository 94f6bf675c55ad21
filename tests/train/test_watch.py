"""What looks on while training runs: which figures stop it, and which do not."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raft_cli.errors import TrainingError
from raft_cli.progress import Progress
from raft_cli.train.metrics import START, read_metrics
from raft_cli.train.stopping import Stopper
from raft_cli.train.watch import Watch

STATE = SimpleNamespace(global_step=7, epoch=0.5, max_steps=20, is_world_process_zero=True, log_history=[])


def make_watch(run: Path, **settings: Any) -> Watch:
    return Watch(
        run,
        progress=Progress(quiet=True),
        stopper=Stopper(run),
        before=dict(START),
        recent_rows=lambda: ["row-1", "row-2"],
        supervised=lambda: 3,
        **{"patience": 0, "scaled": False, **settings},
    )


def log(watch: Watch, **figures: float) -> None:
    watch.on_log(None, STATE, None, logs=figures)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"loss": math.nan, "grad_norm": 1.0}, "step 7: the loss is nan.*row-1, row-2"),
        ({"loss": 1.0, "grad_norm": math.inf}, "the gradient's norm inf"),
        ({"loss": 1.0, "grad_norm": 0.0}, "no gradient arrives"),
        ({"eval_loss": math.nan}, "the validation loss is nan"),
    ],
)
def test_figures_that_are_none_stop_training(figures: dict[str, float], said: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=said):
        log(make_watch(tmp_path), **figures)


def test_fp16_may_overflow_now_and_then(tmp_path: Path) -> None:
    """The scaler leaves such a step out and lowers its scale; only a scale that is never found is a fault."""
    watch = make_watch(tmp_path, scaled=True)
    for _ in range(3):
        for _ in range(29):
            log(watch, loss=1.0, grad_norm=math.inf)
        log(watch, loss=1.0, grad_norm=2.0)
    assert [line["grad_norm"] for line in read_metrics(tmp_path)[28:30]] == [None, 2.0]
    for _ in range(30):
        log(watch, loss=1.0, grad_norm=math.inf)
    with pytest.raises(TrainingError, match="diverged"):
        log(watch, loss=1.0, grad_norm=math.inf)
    with pytest.raises(TrainingError, match="the loss is nan"):
        log(make_watch(tmp_path, scaled=True), loss=math.nan, grad_norm=math.inf)
