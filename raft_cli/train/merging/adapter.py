"""A LoRA adapter as files hold it, and what it adds to a weight. Knows no model and writes nothing."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_cli.errors import ModelError
from raft_cli.train.merging.shards import is_finite

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_KEY = re.compile(r"base_model\.model\.(.+)\.lora_(A|B|magnitude_vector)(?:\.weight)?")
# Settings that do not change what is added, or that are followed here; any other that is set is left to peft.
_FOLLOWED = frozenset(
    "auto_mapping base_model_name_or_path bias exclude_modules inference_mode layers_pattern layers_to_transform "
    "lora_alpha lora_dropout megatron_core peft_type peft_version qalora_group_size r revision runtime_config "
    "target_modules task_type use_dora use_rslora eva_config init_lora_weights".split()
)
# Ways to begin that leave the base as it was.
_PLAIN_STARTS = (True, False, "gaussian", "eva")


@dataclass(frozen=True, slots=True)
class Factors:
    """What an adapter holds for one linear layer: `b @ a` is added, `magnitude` (DoRA) sets the length of each row."""

    a: Any
    b: Any
    magnitude: Any | None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter.

    Attributes:
        layers: By the name of the weight that they change.
        others: Names of its tensors that are none of a linear layer.
        obstacle: Why it cannot be merged a tensor at a time; empty when it can.
    """

    config: Mapping[str, Any]
    layers: Mapping[str, Factors]
    others: tuple[str, ...]
    obstacle: str

    @property
    def scale(self) -> float:
        """What the product of its factors is multiplied by."""
        rank, alpha = self.config["r"], self.config["lora_alpha"]
        return float(alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank)

    def change(self, name: str, weight: Any) -> Any:  # noqa: ANN401 - a tensor
        """Return `weight` with the adapter in it, in float32 at least; other weights as they are.

        Raises:
            ModelError: The result is not finite.
        """
        import torch

        factors = self.layers.get(name)
        if factors is None:
            return weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        merged = (factors.b.to(wide) @ factors.a.to(wide)).mul_(self.scale).add_(weight)
        if factors.magnitude is not None:  # DoRA: arXiv 2402.09353, equation 5
            merged *= (factors.magnitude.to(wide) / torch.linalg.norm(merged, dim=1)).view(-1, 1)
        if not is_finite(merged):
            raise ModelError(f"{name}: the adapter or the base holds numbers that are not finite; the run is of no use")
        return merged


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's settings and weights.

    Raises:
        ModelError: A file is missing or damaged, or it is no LoRA adapter.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder}: its adapter cannot be read: {error}") from error
    if config.get("peft_type") != "LORA":
        raise ModelError(f"{folder} holds a {config.get('peft_type')} adapter; only LoRA adapters are merged")
    parts: dict[str, dict[str, Any]] = {}
    others = []
    for key, tensor in tensors.items():
        if (found := _KEY.fullmatch(key)) and tensor.ndim == (1 if found[2] == "magnitude_vector" else 2):
            parts.setdefault(f"{found[1]}.weight", {})[found[2]] = tensor
        else:
            others.append(key)
    if damaged := [name for name, each in parts.items() if not {"A", "B"} <= set(each)]:
        raise ModelError(f"{folder}: its adapter lacks half of {damaged[0]}; it was not written whole")
    layers = {name: Factors(each["A"], each["B"], each.get("magnitude_vector")) for name, each in parts.items()}
    return Adapter(config, layers, tuple(others), _find_obstacle(config, layers, others))


def _find_obstacle(config: Mapping[str, Any], layers: Mapping[str, Factors], others: list[str]) -> str:
    for name, value in config.items():
        if name not in _FOLLOWED and value not in (None, False, [], {}, "none"):
            return f"{name} is set"
    if config.get("bias", "none") != "none":
        return f"bias is {config['bias']}"
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        return f"it began as {config['init_lora_weights']}"
    if others:
        return f"it holds {others[0]}"
    rank, dora = config["r"], bool(config.get("use_dora"))
    if any(each.a.shape[0] != rank or (each.magnitude is not None) != dora for each in layers.values()):
        return "its layers differ in kind"
    return ""
