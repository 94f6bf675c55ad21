"""The weights of a model folder, a tensor at a time: safetensors files read, changed and written. Knows no adapter."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from raft_cli.errors import ModelError
from raft_cli.weights import INDEX

PRECISIONS = {"bf16": "BF16", "fp16": "F16", "fp32": "F32"}

# What a safetensors file calls its types: name in torch and bytes; others are those of quantised models.
_TYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
_FLOATS = ("F64", "F32", "F16", "BF16")

Change = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it is stored: its type in the words of safetensors, and its shape."""

    type: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return prod(self.shape) * _TYPES[self.type][1]

    @property
    def real(self) -> bool:
        """Whether it holds floating-point numbers."""
        return self.type in _FLOATS

    def cast(self, precision: str) -> "Stored":
        """Return it in another precision; `auto` leaves it, and so does what holds no floats."""
        return Stored(PRECISIONS[precision], self.shape) if precision != "auto" and self.real else self


def name_type(stored: str) -> str:
    """Return torch's name of a type of safetensors."""
    return _TYPES[stored][0]


def read_stored(shards: Sequence[Path]) -> dict[str, Stored]:
    """Return how each tensor is stored, by its name.

    Raises:
        ModelError: A file is damaged, or holds numbers of a quantised model.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, Stored] = {}
    for path in shards:
        try:
            with safe_open(path, framework="pt") as file:
                found |= _describe(file)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is damaged ({error}); fetch the model again") from error
    if strange := {each.type for each in found.values()} - set(_TYPES):
        raise ModelError(
            f"{shards[0].parent} holds {', '.join(sorted(strange))} numbers: a quantised model; merging needs the "
            "weights in 16 or 32 bits"
        )
    return found


def rewrite_shard(source: Path, target: Path, change: Change, *, precision: str) -> str:
    """Write `source` anew, each tensor passed through `change` (name, tensor), and return the file's SHA-256.

    Shapes stay; floats become `precision` unless that is `auto`. One tensor is in memory at a time.
    """
    from safetensors import safe_open

    digest = hashlib.sha256()
    with safe_open(source, framework="pt") as file, target.open("wb") as written:
        planned = {name: each.cast(precision) for name, each in _describe(file).items()}
        order = sorted(planned, key=lambda name: (-_TYPES[planned[name].type][1], name))  # wide types first: aligned
        for block in _blocks(file, order, planned, change):
            written.write(block)
            digest.update(block)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def is_finite(tensor: Any) -> bool:  # noqa: ANN401 - a tensor
    """Tell whether every number is finite; twenty times as fast as asking each, since a NaN becomes the extreme."""
    return not tensor.numel() or all(each.isfinite().item() for each in tensor.aminmax())


def write_index(folder: Path, places: Mapping[str, str], total: int) -> None:
    """Write which file holds which tensor, as transformers reads it."""
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _describe(file: Any) -> dict[str, Stored]:  # noqa: ANN401 - untyped library
    parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return {name: Stored(part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}


def _blocks(file: Any, order: Sequence[str], planned: Mapping[str, Stored], change: Change) -> Any:  # noqa: ANN401
    """Yield the header, then the bytes of each tensor."""
    import torch

    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        each = planned[name]
        header[name] = {"dtype": each.type, "shape": each.shape, "data_offsets": [at, at + each.size]}
        at += each.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        dtype = getattr(torch, name_type(planned[name].type))
        before = change(name, file.get_tensor(name))
        tensor = before.to(dtype).contiguous()
        if tensor.dtype != before.dtype and not is_finite(tensor) and is_finite(before):
            raise ModelError(f"{name} holds numbers too large for 16-bit floats (fp16); use --dtype bf16 or fp32")
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
