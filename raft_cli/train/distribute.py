"""More than one device: how the model is spread, and how processes agree. Imports torch; load it late."""

from importlib.util import find_spec
from typing import Any

import torch

from raft_cli.errors import MissingExtra
from raft_cli.train.records import Recipe


def build_strategy(recipe: Recipe) -> dict[str, Any]:
    """Return the trainer's settings that spread the model over the devices.

    Raises:
        MissingExtra: DeepSpeed is asked for and not installed.
    """
    if recipe.strategy == "fsdp":
        return {"fsdp": True, "fsdp_config": build_fsdp(recipe), "activation_checkpointing": False}
    if recipe.strategy == "deepspeed":
        if find_spec("deepspeed") is None:
            raise MissingExtra("--strategy deepspeed needs pip install deepspeed")
        return {"deepspeed": build_deepspeed(recipe), "activation_checkpointing": recipe.checkpointing}
    return {"activation_checkpointing": recipe.checkpointing}


def build_fsdp(recipe: Recipe) -> dict[str, Any]:
    """Return FSDP2's settings: each layer of the model (as the model names them) is gathered when it is its turn."""
    return {
        "version": 2,
        "reshard_after_forward": True,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "activation_checkpointing": recipe.checkpointing,
        "state_dict_type": "FULL_STATE_DICT",
    }


def build_deepspeed(recipe: Recipe) -> dict[str, Any]:
    """Return ZeRO-3's settings; `auto` is filled in from the trainer's own."""
    return {
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": True,
            "contiguous_gradients": True,
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "bf16": {"enabled": recipe.precision == "bf16"},
        "fp16": {"enabled": recipe.precision == "fp16"},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
    }


def gather_any(asked: bool) -> bool:
    """Tell whether any process says yes; every process must ask."""
    if not torch.distributed.is_initialized():
        return asked
    place = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    flag = torch.tensor([int(asked)], device=place)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def share_number(number: int) -> int:
    """Return the number of the first process in all of them: what machines see on a shared disk may differ."""
    if not torch.distributed.is_initialized():
        return number
    place = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor([number], device=place)
    torch.distributed.broadcast(shared, src=0)
    return int(shared.item())
