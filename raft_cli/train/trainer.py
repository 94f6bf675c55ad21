"""TRL's trainer over rows that are token ids already: it can neither cut nor mask them. Imports torch; load it late."""

import time
from collections import deque
from typing import Any

import torch
from transformers import Trainer
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from raft_cli.train.checkpoints import seal_checkpoint
from raft_cli.train.data.shelf import Shelf

_REMEMBERED = 64


class Collator:
    """Turns numbers of groups into a batch: packed rows that do not see each other, or padded rows."""

    def __init__(self, shelf: Shelf, *, pad_id: int, packed: bool) -> None:
        self._shelf = shelf
        self._collate = DataCollatorForLanguageModeling(pad_token_id=pad_id, padding_free=packed)
        self.recent: deque[int] = deque(maxlen=_REMEMBERED)

    def __call__(self, items: list[dict[str, int]]) -> dict[str, Any]:
        """Return the tensors of the groups that `items` name."""
        groups = [item["group"] for item in items]
        self.recent.extend(groups)
        return self.collate(groups)

    def collate(self, groups: list[int]) -> dict[str, Any]:
        """Return the tensors of some groups."""
        rows = [row for group in groups for row in self._shelf.take(group)]
        batch = self._collate(
            [{"input_ids": row.ids.astype("int64"), "labels": row.labels.astype("int64")} for row in rows]
        )
        return dict(batch)


class RaftTrainer(SFTTrainer):  # type: ignore[misc]
    """`SFTTrainer` with a validation loss by oracle present and absent, weighted by tokens."""

    control: Any

    def __init__(self, *, validation: Shelf | None, packed: bool, pad_id: int, **more: Any) -> None:
        self._validation = validation
        self._validation_collator = Collator(validation, pad_id=pad_id, packed=packed) if validation else None
        self.supervised = 0
        super().__init__(**more)

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 - untyped library
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Count the supervised tokens of each step, then go on as the parent."""
        if num_items_in_batch is not None and self.accelerator.sync_gradients:
            self.supervised += int(num_items_in_batch)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Count nothing: transformers would walk all parameters for every micro-batch, and nobody reads the sum."""
        del inputs
        return 0

    def evaluate(self, *unused: Any, **also: Any) -> dict[str, float]:
        """Return the mean loss of a supervised token: of all rows, of those with their oracle, of those without.

        Every process takes its share of the groups, and as many as the others: what is over counts nothing.
        """
        del unused, also
        assert self._validation is not None and self._validation_collator is not None
        started = time.monotonic()
        model = self._wrap_model(self.model, training=False)
        model.eval()
        sums = torch.zeros(4, dtype=torch.float64)
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        for first in range(0, len(self._validation), world):
            group = min(first + rank, len(self._validation) - 1)
            loss, count = self._measure(model, self._validation_collator.collate([group]))
            if first + rank < len(self._validation):
                place = 0 if self._validation.is_present(group) else 2
                sums[place] += loss
                sums[place + 1] += count
        if world > 1:
            sums = self.accelerator.reduce(sums.to(self.accelerator.device, torch.float32), "sum").double().cpu()
        metrics = _summarise(sums.tolist())
        metrics["eval_rows"] = self._validation.rows
        metrics["eval_seconds"] = time.monotonic() - started
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _measure(self, model: Any, batch: dict[str, Any]) -> tuple[float, int]:  # noqa: ANN401
        inputs = self._prepare_inputs(batch)
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        return -float(outputs.log_probs.double().sum()), int(outputs.label_mask.sum())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:  # noqa: ANN401
        """Save as the grandparent does (the parent adds a card of its own), then seal what is whole."""
        Trainer._save_checkpoint(self, model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal_checkpoint(self.args.output_dir, self.state.global_step)


def _summarise(sums: list[float]) -> dict[str, float]:
    present, presents, absent, absents = sums
    metrics = {"eval_loss": (present + absent) / max(1.0, presents + absents)}
    if presents:
        metrics["eval_oracle_loss"] = present / presents
    if absents:
        metrics["eval_absent_loss"] = absent / absents
    return metrics
