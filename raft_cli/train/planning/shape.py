"""What a model is made of, in parameters: whole, per token, adapters. Knows no torch and loads no weights."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

ALL_LINEAR = "all-linear"


@dataclass(frozen=True, slots=True)
class Linear:
    """A kind of matrix of the layers.

    Attributes:
        count: How many there are in the whole model.
        active: How many of them a token goes through.
        module: Whether it is a module that can get an adapter (experts and their router are bare parameters).
    """

    name: str
    inputs: int
    outputs: int
    count: int
    active: int
    bias: bool = False
    module: bool = True

    @property
    def size(self) -> int:
        """Parameters of one of them."""
        return self.outputs * (self.inputs + self.bias)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model is made of; sizes in parameters.

    Attributes:
        queries: Width of all query heads together; `keys` that of the key heads.
        ffn: Inner width of the feed-forward part that a token goes through, the mean over the layers.
        norms: Parameters that are neither matrices nor embeddings.
        head: Matrix before the logits; 0 when it is the embedding's own.
        context: Longest sequence in tokens, 0 when unknown.
        window: Tokens that a layer looks back at most, 0 when it sees all.
        exact: Whether the family is one whose count equals that of the real model.
        stored: Parameters found in the weight files, 0 when they are not there.
    """

    family: str
    layers: int
    hidden: int
    heads: int
    queries: int
    keys: int
    ffn: int
    vocab: int
    linears: tuple[Linear, ...]
    embedding: int
    head: int
    norms: int
    context: int
    window: int
    exact: bool
    stored: int = 0

    @property
    def counted(self) -> int:
        """Parameters by `config.json`."""
        return self.embedding + self.head + self.norms + sum(each.size * each.count for each in self.linears)

    @property
    def total(self) -> int:
        """Parameters of the whole model."""
        return self.stored or self.counted

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices that a token goes through: what the arithmetic of a pass is made of."""
        return sum(each.size * each.active for each in self.linears)

    @property
    def active(self) -> int:
        """Parameters that a token goes through."""
        return self.total - sum(each.size * (each.count - each.active) for each in self.linears)

    @property
    def modules(self) -> int:
        """Parameters of the layers' linear modules: what a 4-bit base quantises."""
        return sum(each.size * each.count for each in self.linears if each.module)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers that can get adapters."""
        return tuple(dict.fromkeys(each.name for each in self.linears if each.module))


def count_adapters(shape: Shape, rank: int, targets: Sequence[str], *, dora: bool) -> int:
    """Count the parameters of LoRA adapters: two matrices a layer, and with DoRA a magnitude an output.

    Experts are not counted, though peft adapts those of some families (Mixtral's with all-linear).
    """
    wanted = {target.rpartition(".")[2] for target in targets}
    return sum(
        each.count * (rank * (each.inputs + each.outputs) + (each.outputs if dora else 0))
        for each in shape.linears
        if each.module and (ALL_LINEAR in wanted or each.name in wanted)
    )


def count_stored(path: Path) -> int | None:
    """Count the parameters in the weight files of a model folder by their headers.

    None when they are not there, cannot be read, or are packed (a quantised checkpoint).
    """
    index = path / "model.safetensors.index.json"
    try:
        if index.is_file():
            listing = json.loads(index.read_text(encoding="utf-8"))
            files = [path / str(name) for name in sorted(set(listing["weight_map"].values()))]
        else:
            files = [path / "model.safetensors"]
        tensors = [tensor for file in files for tensor in _read_header(file)]
    except (OSError, ValueError, KeyError, AttributeError, struct.error):
        return None
    if any(not str(tensor["dtype"]).startswith(("F", "BF")) for tensor in tensors):
        return None
    return sum(int(prod(tensor["shape"])) for tensor in tensors)


def _read_header(file: Path) -> list[dict[str, Any]]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > file.stat().st_size:
            raise ValueError(f"{file} is no safetensors file")
        header = json.loads(stream.read(length))
    return [tensor for name, tensor in header.items() if name != "__metadata__"]
