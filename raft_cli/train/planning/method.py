"""Precision, attention, packing and targets: what the settings ask, where hardware and model allow it."""

from collections.abc import Mapping
from typing import Any

from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError
from raft_cli.train.planning.hardware import Hardware
from raft_cli.train.planning.shape import ALL_LINEAR, Shape

PACKED = ("flash_attention_2", "varlen")  # attention whose cost does not grow with the pack
_WIDEST = 256  # FlashAttention's widest head


def choose_precision(config: TrainConfig, hardware: Hardware) -> str:
    """Resolve `--precision`.

    Raises:
        ConfigError: fp16 on a CPU.
    """
    if config.precision == "fp16" and hardware.kind == "cpu":
        raise ConfigError("--precision fp16 needs a GPU; a CPU trains in fp32 or bf16")
    if config.precision != "auto":
        return config.precision
    if hardware.kind == "cpu":
        return "fp32"
    return "bf16" if hardware.native_bf16 else "fp16"


def choose_attention(
    config: TrainConfig, hardware: Hardware, shape: Shape, model: Mapping[str, Any], precision: str
) -> str:
    """Resolve `--attention`.

    Args:
        model: Its `config.json`.

    Raises:
        ConfigError: The kernel asked for cannot run here.
    """
    wide = shape.queries // max(1, shape.heads) > _WIDEST
    special = bool(model.get("attn_logit_softcapping")) or shape.family == "gpt_oss"  # scores that kernels do not know
    if config.attention == "auto":
        if special:
            return "eager"
        if precision == "fp32" or wide:
            return "sdpa"
        if hardware.flash:
            return "flash_attention_2"
        return "varlen" if hardware.varlen and config.packing != "off" and shape.exact else "sdpa"
    if config.attention in ("flash", "varlen"):
        ready = hardware.flash if config.attention == "flash" else hardware.varlen
        need = "flash-attn installed" if config.attention == "flash" else "torch 2.12 or newer"
        if not ready:
            raise ConfigError(f"--attention {config.attention} needs {need} and a GPU of Ampere or newer; use sdpa")
        if precision == "fp32" or wide:
            why = "--precision fp32" if precision == "fp32" else f"heads wider than {_WIDEST}"
            raise ConfigError(f"--attention {config.attention} does not work with {why}; use sdpa")
        if config.attention == "varlen" and (config.packing == "off" or special):
            why = "--packing off" if config.packing == "off" else f"a {shape.family} model"
            raise ConfigError(f"--attention varlen does not work with {why}; use sdpa, eager or flash")
    return "flash_attention_2" if config.attention == "flash" else config.attention


def choose_packing(config: TrainConfig, attention: str, shape: Shape) -> bool:
    """Resolve `--packing`: by itself only for families that are known to carry nothing from row to row.

    Raises:
        ConfigError: It is asked for where the model needs the whole attention matrix.
    """
    if config.packing == "on" and attention == "eager":
        raise ConfigError("--packing on: this model needs attention eager, which would keep the whole matrix; use off")
    return attention in PACKED and shape.exact if config.packing == "auto" else config.packing == "on"


def choose_targets(config: TrainConfig, shape: Shape) -> tuple[str, ...]:
    """Return the layers that get adapters.

    Raises:
        ConfigError: The model is known to have no layer of such a name.
    """
    targets = tuple(name.strip() for name in config.targets.split(",") if name.strip())
    if config.method == "full" or targets == (ALL_LINEAR,):
        return targets
    for target in targets:
        name = target.rpartition(".")[2]
        if name == "lm_head":
            raise ConfigError(
                "--targets lm_head: the loss is taken without building logits, so the head stays as it is"
            )
        if shape.exact and name not in shape.names:
            known = ", ".join(shape.names)
            raise ConfigError(f"--targets {target}: no such layer in this {shape.family} model; it has {known}")
    return targets
