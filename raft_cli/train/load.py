"""The model that is trained: base weights in their precision, adapters on them. Imports torch; load it late."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from raft_cli.errors import ModelError
from raft_cli.train.attention import NAME, register_varlen
from raft_cli.train.records import Recipe

_TOWERS = r".*(vision|audio|image|multi_modal).*"  # parts of multimodal models that text does not reach
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def load_base(recipe: Recipe) -> Any:  # noqa: ANN401 - untyped library
    """Return the base model, on its device when it is a 4-bit one.

    Full fine-tuning keeps weights in 32 bits (the arithmetic is autocast), unless its optimizer is the 8-bit one.

    Raises:
        ModelError: The weights cannot be loaded, or attention of this kind is not to be had.
    """
    if recipe.attention == NAME:
        register_varlen()
    more: dict[str, Any] = {}
    if recipe.method == "qlora":
        more = {"quantization_config": _quantise(recipe), "device_map": {"": _find_place(recipe)}}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            recipe.base_path,
            dtype=find_type(recipe),
            attn_implementation=recipe.attention,
            local_files_only=True,
            trust_remote_code=recipe.trust_remote_code,
            **more,
        )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{recipe.base}: cannot be loaded: {error}") from error
    model.config.use_cache = False
    _keep_trainable(model)
    if recipe.method == "full" and _is_multimodal(model):
        for name, parameter in model.named_parameters():
            parameter.requires_grad = re.fullmatch(_TOWERS, name) is None
    return model


def _is_multimodal(model: Any) -> bool:  # noqa: ANN401
    return model.config.get_text_config() is not model.config


def _keep_trainable(model: Any) -> None:  # noqa: ANN401
    """Keep bitsandbytes from re-packing 4-bit weights on a CPU in validation: no gradient passes what it packed."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def find_type(recipe: Recipe) -> torch.dtype:
    """Return the type that the base weights are loaded in."""
    if recipe.method == "full" and "8bit" not in recipe.optimizer:
        return torch.float32
    return _TYPES[recipe.precision]


def _find_place(recipe: Recipe) -> str | int:
    import os

    return "cpu" if recipe.device == "cpu" else int(os.environ.get("LOCAL_RANK", "0"))


def _quantise(recipe: Recipe) -> Any:  # noqa: ANN401
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_TYPES[recipe.precision],
    )


def load_tokenizer(recipe: Recipe) -> Any:  # noqa: ANN401
    """Return the tokenizer with a pad token that does not end a turn, and the end that the student learns."""
    tokenizer = AutoTokenizer.from_pretrained(
        recipe.base_path, local_files_only=True, trust_remote_code=recipe.trust_remote_code
    )
    special = {token.content for token in tokenizer.added_tokens_decoder.values()}
    if recipe.pad_token in special:  # an ordinary word that is declared special would vanish from decoded text
        tokenizer.pad_token = recipe.pad_token
    if tokenizer.eos_token_id != recipe.end_id:  # so that servers stop where the student learnt to
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(recipe.end_id)
    return tokenizer


def build_adapters(recipe: Recipe, model: Any) -> Any:  # noqa: ANN401
    """Return the configuration of the adapters, or None for full fine-tuning.

    The towers of a multimodal model get none: text passes no gradient through them.
    """
    if recipe.method == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules="all-linear" if recipe.targets == ("all-linear",) else list(recipe.targets),
        use_dora=recipe.dora,
        use_rslora=recipe.rslora,
        exclude_modules=_TOWERS if _is_multimodal(model) else None,
    )


def check_vocabulary(model: Any, highest: int, where: Path) -> None:  # noqa: ANN401
    """Make sure that every token has an embedding.

    Raises:
        ModelError: The tokenizer knows more tokens than the model.
    """
    rows = model.get_input_embeddings().num_embeddings  # the weights themselves may be spread over devices
    if highest >= rows:
        raise ModelError(
            f"{where}: its tokenizer gives token {highest}, but the model has {rows} embeddings; they do not belong "
            "together"
        )


def restore_adapter_type(model: Any) -> None:  # noqa: ANN401
    """Keep what is trained in 32 bits: over a 4-bit base TRL makes it 16 bits, in which small updates are lost."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
