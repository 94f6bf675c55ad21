"""Supervised fine-tuning: a recipe and encoded rows in, checkpoints out. Imports torch; load it late."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerState
from transformers.trainer_callback import ProgressCallback
from trl import SFTConfig

from raft_cli.errors import Interrupted, TrainingError
from raft_cli.progress import Progress
from raft_cli.train.checkpoints import find_checkpoints, remove_broken
from raft_cli.train.data.shelf import Shelf
from raft_cli.train.distribute import build_strategy, gather_any, share_number
from raft_cli.train.load import (
    build_adapters,
    check_vocabulary,
    load_base,
    load_tokenizer,
    restore_adapter_type,
)
from raft_cli.train.metrics import START, rewind_metrics
from raft_cli.train.outcome import CHECKPOINTS, RESULT, ROWS
from raft_cli.train.records import Recipe
from raft_cli.train.stopping import Stopper
from raft_cli.train.trainer import Collator, RaftTrainer
from raft_cli.train.watch import Watch, measure_memory

_SMALL = 20_000_000  # parameters below which one thread is several times faster than two (measured on CPU)
_SCHEDULES = {"cosine": "cosine_with_min_lr", "linear": "linear", "constant": "constant_with_warmup"}


def train(run: Path, recipe: Recipe, progress: Progress) -> None:
    """Train as the recipe says, from the newest whole checkpoint on, and write `result.json`.

    Raises:
        Interrupted: Somebody asked to stop; a checkpoint is written and the same command goes on.
        TrainingError: Out of memory, or a loss that is no number.
        ModelError: The model cannot be loaded.
    """
    checkpoints = run / CHECKPOINTS
    with Stopper(run, gather_any if recipe.processes * recipe.nodes > 1 else None) as stopper:
        try:
            trainer, watch, step = build_trainer(run, recipe, progress, stopper)
            last = checkpoints / f"checkpoint-{step}"
            if step:
                trainer.state = TrainerState.load_from_json(str(last / "trainer_state.json"))
            if step < recipe.steps and not watch.is_spent(trainer.state):
                trainer.train(resume_from_checkpoint=str(last) if step else None)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            raise _explain(error, recipe) from error
        finally:
            progress.close()
    if watch.interrupted:
        raise Interrupted(
            f"at step {trainer.state.global_step:,} of {recipe.steps:,}; a checkpoint is written, run the same command "
            "to go on"
        )
    if trainer.is_world_process_zero():
        _write_result(run, trainer, watch)


def build_trainer(run: Path, recipe: Recipe, progress: Progress, stopper: Stopper) -> tuple[RaftTrainer, Watch, int]:
    """Return the trainer, what watches it, and the step of the checkpoint to go on from (0: from the start)."""
    settings = build_settings(run, recipe)
    settings._n_gpu = min(1, settings.n_gpu)  # one process, one device, however many are visible
    step, before = _find_start(run, settings)
    settings.eval_on_start = recipe.eval_every > 0 and not step
    shelf = Shelf(run / ROWS, "train")
    validation = Shelf(run / ROWS, "validation") if recipe.eval_every else None
    model = load_base(recipe)
    _choose_threads(model, recipe)
    check_vocabulary(model, shelf.highest, Path(recipe.base_path))
    collator = Collator(shelf, pad_id=recipe.pad_id, packed=recipe.packing)
    trainer = RaftTrainer(
        model=model,
        args=settings,
        data_collator=collator,
        train_dataset=Dataset.from_dict({"group": list(range(len(shelf)))}),
        eval_dataset=Dataset.from_dict({"group": list(range(len(validation)))}) if validation else None,
        processing_class=load_tokenizer(recipe),
        peft_config=build_adapters(recipe, model),
        validation=validation,
        packed=recipe.packing,
        pad_id=recipe.pad_id,
    )
    if recipe.method == "qlora":
        restore_adapter_type(trainer.model)
    watch = Watch(
        run,
        progress=progress,
        stopper=stopper,
        patience=recipe.patience,
        scaled=recipe.precision == "fp16",
        before=before,
        recent_rows=lambda: [name for group in collator.recent for name in shelf.name_rows(group)],
        supervised=lambda: trainer.supervised,
    )
    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    trainer.add_callback(watch)
    return trainer, watch, step


def _find_start(run: Path, settings: SFTConfig) -> tuple[int, dict[str, float]]:
    """Return the step of the newest whole checkpoint, and the sums up to it; clear away what came after it."""
    first = settings.process_index == 0
    if first:
        remove_broken(run / CHECKPOINTS)
    whole = find_checkpoints(run / CHECKPOINTS) if first else []
    step = share_number(whole[-1][0] if whole else 0)
    return step, rewind_metrics(run, step) if first else dict(START)


def build_settings(run: Path, recipe: Recipe) -> SFTConfig:
    """Return the recipe in TRL's words. Nothing is left to its defaults that could cut, re-mask or report elsewhere."""
    often = recipe.eval_every or max(1, recipe.steps // 4)
    return SFTConfig(
        output_dir=str(run / CHECKPOINTS),
        per_device_train_batch_size=1,  # one group of rows
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=recipe.accumulation,
        max_steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=_SCHEDULES[recipe.schedule],
        lr_scheduler_kwargs={"min_lr_rate": 0.1} if recipe.schedule == "cosine" else {},
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim=recipe.optimizer,
        seed=recipe.seed,
        data_seed=recipe.seed,
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        use_cpu=recipe.device == "cpu",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if recipe.eval_every else "no",
        eval_steps=often,
        save_strategy="steps",
        save_steps=often,
        save_total_limit=recipe.keep + 1,
        metric_for_best_model="eval_loss" if recipe.eval_every else None,
        greater_is_better=False,
        report_to=list(recipe.report_to) or "none",
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        **build_strategy(recipe),
    )


def _choose_threads(model: Any, recipe: Recipe) -> None:  # noqa: ANN401 - untyped library
    if recipe.device == "cpu" and "OMP_NUM_THREADS" not in os.environ and model.num_parameters() < _SMALL:
        torch.set_num_threads(1)


def _write_result(run: Path, trainer: RaftTrainer, watch: Watch) -> None:
    """Write what came out, and last the name that says that training is over."""
    state = trainer.state
    steps = [step for step, _ in find_checkpoints(run / CHECKPOINTS)]
    best = state.best_global_step if state.best_global_step in steps else steps[-1]
    result = {
        "steps": state.global_step,
        "epochs": round(float(state.epoch or 0), 4),
        "best_step": best,
        "best_loss": state.best_metric if best == state.best_global_step else None,
        "stopped_early": watch.stopped_early,
        "peak_memory": measure_memory(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    partial = run / f"{RESULT}.part"
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.replace(run / RESULT)


def _explain(error: Exception, recipe: Recipe) -> Exception:
    """Return what to tell a person whose device ran out of memory; other errors stay as they are."""
    text = str(error) or "no memory left on this machine"
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in text:
        return error
    ways = [f"--micro-tokens {max(16, recipe.micro_tokens // 2)}"]
    if not recipe.checkpointing:
        ways.insert(0, "--checkpointing on")
    if recipe.method == "full":
        ways.append("--method lora")
    elif recipe.method == "lora":
        ways.append("--method qlora")
    first = text.splitlines()[0]
    return TrainingError(
        f"not enough memory with micro-batches of {recipe.micro_tokens:,} tokens: {first}\nWhat helps, best first: "
        + ", ".join(ways)
        + ". Whole checkpoints are kept; choose another -o for other settings."
    )
