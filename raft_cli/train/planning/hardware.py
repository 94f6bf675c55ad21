"""What there is to train on: GPUs by `nvidia-smi`, else this machine's processor. Knows no torch."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from raft_cli.errors import ConfigError
from raft_cli.train.planning.cards import QUERY, Card, choose_visible, parse_cards, parse_slices
from raft_cli.train.planning.host import measure_flops, read_memory, read_processor

AMPERE = (8, 0)  # from here on: native bf16, FlashAttention
_VARLEN_SINCE = (2, 12)  # torch.nn.attention.varlen
_TIMEOUT = 20  # seconds; a driver that wakes up can take ten


@dataclass(frozen=True, slots=True)
class Hardware:
    """The devices of this machine.

    Attributes:
        kind: `cuda` or `cpu`.
        count: Devices; different cards count as the least of them.
        memory: Bytes of one device; `free` of them are not in use.
        capability: Compute capability of a GPU.
        flops: Dense 16-bit peak of one device per second (of a CPU: float32, measured); 0 when unknown.
        flash: Whether flash-attn is installed and can run here; `varlen` whether torch's own kernel can.
    """

    kind: str
    name: str
    count: int
    memory: int
    free: int
    capability: tuple[int, int] | None
    flops: float
    flash: bool
    varlen: bool

    @property
    def native_bf16(self) -> bool:
        """Whether bf16 is as fast as fp16 here."""
        return self.capability is not None and self.capability >= AMPERE


def find_hardware(device: str) -> Hardware:
    """Find the devices to train on.

    Args:
        device: `cuda`, `cpu`, or `auto` for a GPU where there is one that the installed torch can use.

    Raises:
        ConfigError: `cuda` is asked for and there is none.
    """
    torch = _find_version("torch")
    built = not torch.endswith("+cpu")
    cards = _ask_driver() if device != "cpu" and (built or device == "cuda") else []
    if cards and built:
        return build_cuda(cards, torch=torch, flash=find_spec("flash_attn") is not None)
    if device == "cuda":
        if cards:
            raise ConfigError(f"--device cuda: there is {cards[0].name}, but torch {torch} is a build without CUDA")
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        where = "" if hidden is None else f" that CUDA_VISIBLE_DEVICES={hidden} shows"
        raise ConfigError(f"--device cuda: nvidia-smi finds no GPU here{where}; use --device cpu, or another machine")
    memory, free = read_memory()
    return Hardware("cpu", read_processor(), 1, memory, free, None, measure_flops(), flash=False, varlen=False)


def build_cuda(cards: Sequence[Card], *, torch: str, flash: bool) -> Hardware:
    """Describe GPUs; of different ones the least in each respect.

    Args:
        torch: Version of the installed torch, empty when there is none.
        flash: Whether flash-attn is installed.
    """
    least = min((card.capability for card in cards if card.capability), default=None)
    modern = least is not None and least >= AMPERE
    memory, free = min(card.memory for card in cards), min(card.free for card in cards)
    if not memory:  # shared with the processor (GB10, Jetson)
        memory, free = read_memory()
    return Hardware(
        kind="cuda",
        name=" + ".join(dict.fromkeys(card.name for card in cards)),
        count=len(cards),
        memory=memory,
        free=free,
        capability=least,
        flops=min(card.flops for card in cards),
        flash=flash and modern,
        varlen=modern and _parse_version(torch) >= _VARLEN_SINCE,
    )


def _ask_driver() -> list[Card]:
    """Return the GPUs that CUDA would show, none when there is no driver."""
    cards = parse_cards(_run_smi(f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"))
    slices = parse_slices(_run_smi("-L"), cards) if any(card.sliced for card in cards) else []
    return choose_visible(cards, slices, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _run_smi(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _parse_version(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
