"""What looks on while training runs: figures to disk, progress to the terminal, stops on request. Load it late."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import torch
from transformers import TrainerCallback

from raft_cli.errors import TrainingError
from raft_cli.progress import Progress
from raft_cli.train.metrics import METRICS
from raft_cli.train.stopping import Stopper

_LIMIT_ROWS = 8
_OVERFLOWS = 30  # in a row, that fp16 may take to find its scale


class Watch(TrainerCallback):  # type: ignore[misc]
    """Writes metrics.jsonl, moves the bar, and stops training that makes no sense or is no longer wanted.

    Attributes:
        interrupted: Whether training was stopped from outside.
        stopped_early: Whether it stopped because validation no longer improved.
    """

    def __init__(
        self,
        run: Path,
        *,
        progress: Progress,
        stopper: Stopper,
        patience: int,
        scaled: bool,
        before: dict[str, float],
        recent_rows: Callable[[], list[str]],
        supervised: Callable[[], int],
    ) -> None:
        self._file = run / METRICS
        self._progress = progress
        self._stopper = stopper
        self._patience = patience
        self._scaled = scaled
        self._skipped = 0
        self._before = before
        self._recent_rows = recent_rows
        self._supervised = supervised
        self._started = time.monotonic()
        self._resumed = before["seconds"] > 0
        self._first: tuple[float, float] | None = None
        self._note = ""
        self.interrupted = False
        self.stopped_early = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ANN401
        """Open the bar where an interrupted run left it."""
        del args, control, more
        self._started = time.monotonic()
        if state.is_world_process_zero:
            self._progress.open("training", state.max_steps, " steps")
            self._progress.show(state.global_step, str)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **more: Any) -> None:  # noqa: ANN401
        """Write the figures of a step or of an evaluation; stop at a loss that is no number.

        Raises:
            TrainingError: Loss or gradient are not finite, or no gradient arrives at all.
        """
        del args, control, more
        if "loss" in logs:
            self._check_finite(state.global_step, logs)
            self._write_step(state, logs)
        elif "eval_loss" in logs:
            self._check_validation(state.global_step, logs["eval_loss"])
            self._write_validation(state, logs)

    def _check_validation(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {step}: the validation loss is {loss}: training has diverged. The checkpoints before it are "
                "kept; a lower --learning-rate or --precision fp32 help"
            )

    def _write_validation(self, state: Any, logs: dict[str, float]) -> None:  # noqa: ANN401
        if state.is_world_process_zero:
            keys = ("eval_loss", "eval_oracle_loss", "eval_absent_loss", "eval_rows")
            self._write(state, {key: logs[key] for key in keys if key in logs})
            self._show_validation(state, logs)

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ANN401
        """Stop when the last evaluations brought nothing better."""
        del args, more
        if self.is_spent(state) and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True

    def is_spent(self, state: Any) -> bool:  # noqa: ANN401
        """Tell whether so many evaluations in a row brought nothing better that training is over."""
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        since = len(losses) - 1 - losses.index(min(losses)) if losses else 0
        self.stopped_early = 0 < self._patience <= since and state.global_step < state.max_steps
        return self.stopped_early

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ANN401
        """Save and stop when somebody asked for it; evaluate what comes last, or it could not be the best."""
        del more
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True
        if self._stopper.is_asked() and state.global_step < state.max_steps:
            self.interrupted = True
            control.should_save = control.should_training_stop = True
        if state.is_world_process_zero:
            self._progress.show(state.global_step, lambda: self._note)

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ANN401
        """Remove the bar."""
        del args, state, control, more
        self._progress.close()

    def _check_finite(self, step: int, logs: dict[str, float]) -> None:
        norm = float(logs.get("grad_norm", 1.0))
        if math.isfinite(logs["loss"]) and math.isfinite(norm) and norm > 0:
            self._skipped = 0
            return
        if self._scaled and math.isfinite(logs["loss"]) and not math.isfinite(norm) and self._skipped < _OVERFLOWS:
            self._skipped += 1  # fp16 overflows now and then: the scaler leaves the step out and lowers its scale
            return
        rows = ", ".join(self._recent_rows()[-_LIMIT_ROWS:])
        if norm == 0:
            raise TrainingError(
                f"step {step}: no gradient arrives at what is trained (its norm is 0); rows near it: {rows}"
            )
        raise TrainingError(
            f"step {step}: the loss is {logs['loss']}, the gradient's norm {norm}: training has diverged. The "
            "checkpoints before it are kept. A lower --learning-rate, a longer --warmup or --precision fp32 help; "
            f"rows near it: {rows}"
        )

    def _write_step(self, state: Any, logs: dict[str, float]) -> None:  # noqa: ANN401
        if not state.is_world_process_zero:
            return
        tokens, now = float(logs.get("num_tokens", 0)), time.monotonic()
        norm = float(logs.get("grad_norm", 0.0))
        if self._first is None:
            speed = tokens / max(1e-9, now - self._started)
            self._first = (tokens, now)  # the first step pays for warming up
        else:
            speed = (tokens - self._first[0]) / max(1e-9, now - self._first[1])
        self._write(
            state,
            {
                "loss": logs["loss"],
                "learning_rate": logs.get("learning_rate", 0.0),
                "grad_norm": norm if math.isfinite(norm) else None,
                "tokens": int(self._before["tokens"] + tokens),
                "supervised": int(self._before["supervised"] + self._supervised()),
                "tokens_per_second": round(speed, 1),
                "memory": measure_memory(),
            },
        )
        self._note = f"loss {logs['loss']:.3f}, {speed:,.0f} tokens/s"

    def _write(self, state: Any, figures: dict[str, float | None]) -> None:  # noqa: ANN401
        seconds = self._before["seconds"] + time.monotonic() - self._started
        line = {"step": state.global_step, "epoch": round(float(state.epoch or 0), 4), **figures}
        if self._resumed:
            line, self._resumed = {**line, "restarted": True}, False
        with self._file.open("ab") as file:
            file.write(orjson.dumps({**line, "seconds": round(seconds, 2)}) + b"\n")

    def _show_validation(self, state: Any, logs: dict[str, float]) -> None:  # noqa: ANN401
        kinds = {"eval_oracle_loss": "with oracle", "eval_absent_loss": "without"}
        parts = ", ".join(f"{logs[key]:.3f} {name}" for key, name in kinds.items() if key in logs)
        self._progress.say(
            f"step {state.global_step:,} of {state.max_steps:,}: validation loss {logs['eval_loss']:.4f} ({parts})"
        )


def measure_memory() -> int:
    """Return the most bytes that training has held so far: of the GPU, or of this process on a CPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
